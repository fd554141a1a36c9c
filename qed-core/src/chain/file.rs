//! Opening files without being led astray: regular files only, block devices where asked.
//!
//! A file's type is looked at before it is opened, for opening a device can do things and opening a
//! FIFO can wait for ever, and again afterwards, for the name may have changed hands in between.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::sys;
use crate::error::{Error, ErrorKind, Result};

/// What may be opened, and how.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Access {
    /// Open for writing, too.
    pub(crate) writable: bool,
    /// The path itself may not be a symbolic link.
    pub(crate) no_follow: bool,
    /// Block devices are welcome.
    pub(crate) block_devices: bool,
}

/// Which file it is, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    /// None: the device itself is meant.
    inode: Option<u64>,
}

impl FileId {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        if metadata.file_type().is_block_device() {
            return Self { device: metadata.rdev(), inode: None };
        }
        Self { device: metadata.dev(), inode: Some(metadata.ino()) }
    }
}

/// Opens the file at `path`, which the errors call `what` ("the image").
///
/// # Errors
/// What the operating system reports; [`ErrorKind::Refused`] for a file of another type.
pub(crate) fn open_path(path: &Path, access: Access, what: &str) -> Result<File> {
    let opening = |error| opening(what, error);
    let asked = if access.no_follow { fs::symlink_metadata(path) } else { fs::metadata(path) };
    check_type(&asked.map_err(opening)?, access, what)?;
    let link = if access.no_follow { libc::O_NOFOLLOW } else { 0 };
    let opened = fs::OpenOptions::new()
        .read(true)
        .write(access.writable)
        .custom_flags(OPEN_FLAGS | link)
        .open(path);
    checked(opened.map_err(opening)?, access, what)
}

/// Opens the file at `path`, relative to `directory`, for reading, where it lies below it.
///
/// # Errors
/// As [`open_path`]; [`ErrorKind::Refused`] also for names that lead elsewhere.
pub(super) fn open_beneath(
    directory: BorrowedFd<'_>,
    path: &Path,
    access: Access,
    what: &str,
) -> Result<File> {
    let open =
        |flags| sys::open_beneath(directory, path, flags).map_err(|error| outside(what, error));
    let found = open(libc::O_PATH)?.metadata().map_err(|error| opening(what, error))?;
    check_type(&found, access, what)?;
    checked(open(libc::O_RDONLY | OPEN_FLAGS)?, access, what)
}

/// Takes a file that was opened elsewhere.
///
/// # Errors
/// [`ErrorKind::Refused`] for a file of another type.
pub(crate) fn check_file(file: &File, access: Access, what: &str) -> Result<Metadata> {
    let asked = file.metadata();
    let metadata = asked.map_err(|error| Error::io(&format!("asking about {what}"), error))?;
    check_type(&metadata, access, what)?;
    Ok(metadata)
}

fn checked(file: File, access: Access, what: &str) -> Result<File> {
    check_file(&file, access, what)?;
    sys::clear_nonblock(&file).map_err(|error| opening(what, error))?;
    Ok(file)
}

fn check_type(metadata: &Metadata, access: Access, what: &str) -> Result<()> {
    let kind = metadata.file_type();
    let is = if kind.is_file() || (access.block_devices && kind.is_block_device()) {
        return Ok(());
    } else if kind.is_block_device() {
        "a block device, not a regular file; block_devices=on would allow it"
    } else if kind.is_symlink() {
        "a symbolic link, which no_follow forbids"
    } else if kind.is_dir() {
        "a directory, not a regular file"
    } else if kind.is_fifo() {
        "a FIFO, not a regular file"
    } else if kind.is_char_device() {
        "a character device, not a regular file"
    } else {
        "no regular file"
    };
    Err(Error::new(ErrorKind::Refused, format!("{what} is {is}")))
}

fn opening(what: &str, error: io::Error) -> Error {
    Error::io(&format!("opening {what}"), error)
}

fn outside(what: &str, error: io::Error) -> Error {
    let (kind, why) = match error.raw_os_error() {
        Some(libc::EXDEV) => (ErrorKind::Refused, "lies outside the image's directory"),
        Some(libc::ELOOP) => {
            (ErrorKind::Refused, "lies behind a magic link or too many symbolic links")
        }
        Some(libc::ENOSYS) => {
            (ErrorKind::Unsupported, "needs openat2 (Linux 5.6) to stay in the image's directory")
        }
        _ => return opening(what, error),
    };
    Error::new(kind, format!("{what} {why}; backing_policy=follow would allow it"))
}

/// A FIFO cannot make us wait, a terminal cannot become ours. The standard library adds O_CLOEXEC.
const OPEN_FLAGS: i32 = libc::O_NONBLOCK | libc::O_NOCTTY;
