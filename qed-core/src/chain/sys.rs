//! The system calls of opening and creating that the standard library does not offer.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How often a name is resolved again because somebody renamed something on the way.
const RACES: u32 = 128;

/// Opens `path`, which resolves below `directory` in every step, with `flags` (`O_*`) and
/// O_CLOEXEC.
///
/// # Errors
/// `EXDEV` where the name leaves the directory, `ELOOP` at a magic link, `ENOSYS` before Linux 5.6.
pub(super) fn open_beneath(directory: BorrowedFd<'_>, path: &Path, flags: i32) -> io::Result<File> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: zeroes are a valid open_how.
    let mut how: libc::open_how = unsafe { MaybeUninit::zeroed().assume_init() };
    how.flags = u64::try_from(flags | libc::O_CLOEXEC).map_err(io::Error::other)?;
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;
    let mut races = 0;
    loop {
        // SAFETY: `name` is a C string, and the size is that of `how`; both outlive the call.
        let opened = unsafe {
            libc::syscall(
                libc::SYS_openat2,
                directory.as_raw_fd(),
                name.as_ptr(),
                &raw const how,
                size_of::<libc::open_how>(),
            )
        };
        if let Ok(fd) = i32::try_from(opened)
            && fd >= 0
        {
            // SAFETY: the call returned a new descriptor that nobody else owns.
            return Ok(unsafe { OwnedFd::from_raw_fd(fd) }.into());
        }
        let error = io::Error::last_os_error();
        races += 1;
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EAGAIN) if races < RACES => {}
            _ => return Err(error),
        }
    }
}

/// Clears O_NONBLOCK, which was set so that opening a FIFO could not wait.
///
/// # Errors
/// What the operating system reports.
pub(super) fn clear_nonblock(file: &File) -> io::Result<()> {
    let fd = file.as_raw_fd();
    // SAFETY: F_GETFL passes no memory.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: F_SETFL passes no memory.
    if unsafe { libc::fcntl(fd, libc::F_SETFL, flags & !libc::O_NONBLOCK) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Renames `from` to `to`, which must not exist.
///
/// # Errors
/// `EEXIST` where it does, `EINVAL` or `ENOSYS` where the file system or the kernel cannot tell.
pub(crate) fn rename_exclusive(from: &Path, to: &Path) -> io::Result<()> {
    let from = CString::new(from.as_os_str().as_bytes())?;
    let to = CString::new(to.as_os_str().as_bytes())?;
    let here = libc::AT_FDCWD;
    // SAFETY: both names are C strings that outlive the call.
    let renamed = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            here,
            from.as_ptr(),
            here,
            to.as_ptr(),
            libc::RENAME_NOREPLACE,
        )
    };
    if renamed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Waits at most `timeout_ms` for `file` to have bytes or an end to read (`POLLIN`) or room to
/// write into (`POLLOUT`); whether a call would find out something now. Regular files always are.
///
/// # Errors
/// What the operating system reports.
pub(crate) fn poll(file: &File, events: i16, timeout_ms: i32) -> io::Result<bool> {
    let mut asked = libc::pollfd { fd: file.as_raw_fd(), events, revents: 0 };
    // SAFETY: one pollfd is there, and outlives the call.
    let ready = unsafe { libc::poll(&raw mut asked, 1, timeout_ms) };
    if ready >= 0 {
        return Ok(ready > 0);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) }
}

/// Asks for a pipe that holds `bytes`; where the system gives less, the pipe stays as it is.
pub(crate) fn enlarge_pipe(file: &File, bytes: i32) {
    // SAFETY: F_SETPIPE_SZ passes no memory.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) };
}
