//! The system calls that the standard library does not offer, one thin function each.
//!
//! Interrupted calls are repeated; everything else is reported as the kernel reports it. No policy:
//! what an error means and what to try instead is for the callers.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;

/// The most buffers that one call takes (UIO_MAXIOV).
pub(super) const MAX_BUFFERS: usize = 1024;

/// Reads into at most [`MAX_BUFFERS`] of `buffers` and returns the bytes read.
pub(super) fn preadv(
    file: &File,
    buffers: &mut [IoSliceMut<'_>],
    offset: u64,
) -> io::Result<usize> {
    if let [buffer] = buffers {
        // The kernel has less to copy and to check.
        return repeat_io(|| file.read_at(buffer, offset));
    }
    let (fd, at) = (file.as_raw_fd(), to_offset(offset)?);
    let count = to_int(buffers.len().min(MAX_BUFFERS))?;
    let vector = buffers.as_mut_ptr().cast::<libc::iovec>();
    // SAFETY: IoSliceMut has the layout of iovec, `count` of them are there, and each one's memory
    // is borrowed mutably for the call.
    let read = repeat(|| unsafe { libc::preadv(fd, vector, count, at) })?;
    usize::try_from(read).map_err(io::Error::other)
}

/// Writes at most [`MAX_BUFFERS`] of `buffers` and returns the bytes written. With `stable`, they
/// are stable when it returns (RWF_DSYNC); a kernel that does not know that fails the call.
pub(super) fn pwritev(
    file: &File,
    buffers: &[IoSlice<'_>],
    offset: u64,
    stable: bool,
) -> io::Result<usize> {
    if let ([buffer], false) = (buffers, stable) {
        return repeat_io(|| file.write_at(buffer, offset));
    }
    let (fd, at) = (file.as_raw_fd(), to_offset(offset)?);
    let count = to_int(buffers.len().min(MAX_BUFFERS))?;
    let vector = buffers.as_ptr().cast::<libc::iovec>();
    let written = repeat(|| {
        if stable {
            // SAFETY: IoSlice has the layout of iovec, `count` of them are there, and each one's
            // memory is borrowed for the call.
            unsafe { libc::pwritev2(fd, vector, count, at, libc::RWF_DSYNC) }
        } else {
            // SAFETY: as above.
            unsafe { libc::pwritev(fd, vector, count, at) }
        }
    })?;
    usize::try_from(written).map_err(io::Error::other)
}

/// Changes how a range is stored (`FALLOC_FL_*`).
pub(super) fn fallocate(file: &File, mode: i32, offset: u64, length: u64) -> io::Result<()> {
    let (fd, offset, length) = (file.as_raw_fd(), to_offset(offset)?, to_offset(length)?);
    // SAFETY: no memory is passed.
    repeat(|| unsafe { libc::fallocate(fd, mode, offset, length) })?;
    Ok(())
}

/// Moves the descriptor's shared position to what `whence` names and returns it.
pub(super) fn seek(file: &File, offset: u64, whence: i32) -> io::Result<u64> {
    let (fd, offset) = (file.as_raw_fd(), to_offset(offset)?);
    // SAFETY: no memory is passed.
    let found = repeat(|| unsafe { libc::lseek(fd, offset, whence) })?;
    u64::try_from(found).map_err(io::Error::other)
}

/// Writes the dirty pages of a range back and waits for them: no flush of the disk's own cache.
pub(super) fn write_back(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let (fd, offset, length) = (file.as_raw_fd(), to_offset(offset)?, to_offset(length)?);
    let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE
        | libc::SYNC_FILE_RANGE_WRITE
        | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: no memory is passed.
    repeat(|| unsafe { libc::sync_file_range(fd, offset, length, flags) })?;
    Ok(())
}

/// The descriptor's `O_*` flags, its access mode among them.
pub(super) fn flags(file: &File) -> io::Result<i32> {
    let fd = file.as_raw_fd();
    // SAFETY: F_GETFL passes no memory.
    repeat(|| unsafe { libc::fcntl(fd, libc::F_GETFL) })
}

/// Sets the descriptor's `O_*` flags.
pub(super) fn set_flags(file: &File, flags: i32) -> io::Result<()> {
    let fd = file.as_raw_fd();
    // SAFETY: F_SETFL passes no memory.
    repeat(|| unsafe { libc::fcntl(fd, libc::F_SETFL, flags) })?;
    Ok(())
}

/// What statx says of direct I/O: alignment of memory, alignment of offsets and lengths (0 where
/// the file allows none). None where the kernel or the file system does not say.
pub(super) fn direct_alignment(file: &File) -> Option<(u64, u64)> {
    let fd = file.as_raw_fd();
    let mut facts = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the path is an empty C string and the result is as large as a statx.
    let asked = repeat(|| unsafe {
        let path = c"".as_ptr();
        libc::statx(fd, path, libc::AT_EMPTY_PATH, libc::STATX_DIOALIGN, facts.as_mut_ptr())
    });
    asked.ok()?;
    // SAFETY: zeroes are a valid statx, and the call can only have filled fields in.
    let facts = unsafe { facts.assume_init() };
    let told = facts.stx_mask & libc::STATX_DIOALIGN != 0;
    told.then(|| (u64::from(facts.stx_dio_mem_align), u64::from(facts.stx_dio_offset_align)))
}

/// The logical block size of a block device.
pub(super) fn logical_block_size(file: &File) -> io::Result<u64> {
    let fd = file.as_raw_fd();
    let mut size: libc::c_int = 0;
    // SAFETY: BLKSSZGET stores one int, and `size` is one.
    repeat(|| unsafe { libc::ioctl(fd, libc::BLKSSZGET, &raw mut size) })?;
    u64::try_from(size).map_err(io::Error::other)
}

/// Takes (`F_RDLCK`) or gives back (`F_UNLCK`) one byte, without waiting, for the open file
/// description.
pub(super) fn lock_byte(file: &File, kind: libc::c_int, byte: u64) -> io::Result<()> {
    let mut range = lock_range(kind, byte)?;
    lock_call(file.as_raw_fd(), libc::F_OFD_SETLK, &mut range)
}

/// Whether another open file description holds one byte in any way.
pub(super) fn byte_is_locked(file: &File, byte: u64) -> io::Result<bool> {
    let mut range = lock_range(libc::F_WRLCK, byte)?;
    lock_call(file.as_raw_fd(), libc::F_OFD_GETLK, &mut range)?;
    Ok(libc::c_int::from(range.l_type) != libc::F_UNLCK)
}

fn lock_call(fd: RawFd, command: libc::c_int, range: &mut libc::flock) -> io::Result<()> {
    // SAFETY: both commands read and may change one flock, and `range` is one.
    repeat(|| unsafe { libc::fcntl(fd, command, &raw mut *range) })?;
    Ok(())
}

fn lock_range(kind: libc::c_int, byte: u64) -> io::Result<libc::flock> {
    // SAFETY: zeroes are a valid flock; l_pid has to be 0 for these commands.
    let mut range: libc::flock = unsafe { MaybeUninit::zeroed().assume_init() };
    range.l_type = libc::c_short::try_from(kind).map_err(io::Error::other)?;
    range.l_whence = libc::c_short::try_from(libc::SEEK_SET).map_err(io::Error::other)?;
    range.l_start = to_offset(byte)?;
    range.l_len = 1;
    Ok(range)
}

/// Repeats an interrupted call; -1 is the error that errno names.
fn repeat<T: PartialOrd + Default>(mut call: impl FnMut() -> T) -> io::Result<T> {
    loop {
        let result = call();
        if result >= T::default() {
            return Ok(result);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn repeat_io(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn to_offset(offset: u64) -> io::Result<libc::off_t> {
    libc::off_t::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))
}

fn to_int(count: usize) -> io::Result<libc::c_int> {
    libc::c_int::try_from(count).map_err(io::Error::other)
}
