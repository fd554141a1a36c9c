//! Images: creating, opening and closing them. Their I/O, extents and facts stand in `io`,
//! `extents` and `info`.

use crate::arguments;
use crate::guard::{count, status};
use crate::handle::{self, Handle};
use crate::options::{self, qed_options};
use qed_core::{CreateOptions, Disk, Error, ErrorKind, Result, create, create_file};
use std::ffi::{c_char, c_int};
use std::sync::Arc;

/// The qed_image_* functions are there that create, open, close, read, write, zero, discard and
/// flush an image, and tell its size.
pub const LIBQED_HAVE_IMAGE: c_int = 1;
/// The functions are there that take a file descriptor: qed_image_create_fd, qed_image_open_fd.
pub const LIBQED_HAVE_IMAGE_FD: c_int = 1;

/// As the size of qed_image_create: the size of the backing file.
pub const QED_SIZE_OF_BACKING: u64 = u64::MAX;

/// An open image. Every call but qed_image_close may be made from any number of threads at once;
/// requests that overlap and run at the same time end in some order. Closed by qed_image_close.
pub struct qed_image {
    _opaque: [u8; 0],
}

impl Handle for qed_image {
    /// Its queues share it.
    type Value = Arc<Disk>;
    const MAGIC: u64 = u64::from_le_bytes(*b"qed-imag");
    const ARGUMENT: &'static str = "image";
    const TYPE: &'static str = "qed_image";
    const SURVIVES_FORK: bool = false;
}

/// Creates an image of size bytes (rounded up to 512): a QED image, or a disk of the format that
/// the option "format" names. QED_SIZE_OF_BACKING takes the size of the
/// backing file, which the option "backing" names. The file must not exist, unless the option
/// "overwrite" is on. A create that fails leaves nothing behind.
///
/// Ownership: options may be NULL and is not kept. Threads: any.
/// Errors: -EEXIST: the file exists; -EINVAL: a size or an option out of range, an option that is
/// not one of creating; -EAGAIN: another process holds the file that would be overwritten; what the
/// operating system reports.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_create(
    path: *const c_char,
    size: u64,
    options: *const qed_options,
) -> c_int {
    status("qed_image_create", || {
        // SAFETY: the header's contract: NULL or a C string.
        let path = unsafe { arguments::path(path) }?;
        // SAFETY: the header's contract: NULL or a handle.
        create(path, &unsafe { of_creating(options, size) }?)
    })
}

/// qed_image_create into an empty file that is open for reading and writing.
///
/// Ownership: the descriptor stays the caller's; options may be NULL and is not kept. Threads: any.
/// Errors: as qed_image_create; -EBADF: not an open descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_create_fd(
    fd: c_int,
    size: u64,
    options: *const qed_options,
) -> c_int {
    status("qed_image_create_fd", || {
        // SAFETY: the header's contract: NULL or a handle.
        let options = unsafe { of_creating(options, size) }?;
        create_file(&arguments::descriptor(fd)?, &options)
    })
}

/// Opens an image for reading and writing: a QED image, or a disk of the format that the option
/// "format" names (qed, qcow2, raw; never guessed). With the option "read_only" it is opened for
/// reading alone. The image is locked against other processes as QEMU locks it, unless the option
/// "lock" is off. Backing files are opened as the option "backing_policy" allows: deny, beneath
/// (the default: a name that stays inside the image's own directory) or follow.
///
/// Ownership: *out is written on success only; close it with qed_image_close. options may be NULL
/// and is not kept. Threads: any.
/// Errors: -ENOENT, -EACCES (permissions, or a backing file that the policy refuses), -EINVAL (not
/// a QED image; an option that is not one of opening), -EUCLEAN (the image is damaged), -ENOTSUP
/// (unknown incompatible features), -EAGAIN (another process holds the image), and what the
/// operating system reports.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_open(
    path: *const c_char,
    options: *const qed_options,
    out: *mut *mut qed_image,
) -> c_int {
    status("qed_image_open", || {
        // SAFETY: the header's contract: NULL or a C string.
        let path = unsafe { arguments::path(path) }?;
        let out = arguments::place(out, "out")?;
        // SAFETY: the header's contract: NULL or a handle.
        let image = Disk::open(path, &unsafe { options::to_open(options) }?)?;
        // SAFETY: not NULL, aligned, and the caller's to write.
        unsafe { out.write(handle::new(Arc::new(image))) };
        Ok(())
    })
}

/// Opens the image behind a descriptor that is open for reading and, unless the option "read_only"
/// is on, for writing. Such an image has no directory: its backing file is refused unless the
/// options have it, or a directory for it (qed_options_add_backing_fd and its siblings).
///
/// Ownership: the library takes a duplicate (close-on-exec): the descriptor stays the caller's and
/// may be closed at once. The duplicate shares what belongs to the open file: its flags and its
/// locks. *out and options: as qed_image_open. Threads: any.
/// Errors: as qed_image_open; -EBADF: not an open descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_open_fd(
    fd: c_int,
    options: *const qed_options,
    out: *mut *mut qed_image,
) -> c_int {
    status("qed_image_open_fd", || {
        let out = arguments::place(out, "out")?;
        // SAFETY: the header's contract: NULL or a handle.
        let options = unsafe { options::to_open(options) }?;
        let image = Disk::open_file(arguments::descriptor(fd)?, &options)?;
        // SAFETY: not NULL, aligned, and the caller's to write.
        unsafe { out.write(handle::new(Arc::new(image))) };
        Ok(())
    })
}

/// The bytes of the guest's disk, or a negative errno.
///
/// Threads: any. Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_size(image: *const qed_image) -> i64 {
    // SAFETY: the header's contract: a handle that nobody closes meanwhile.
    count("qed_image_size", || Ok(unsafe { handle::get(image) }?.size()))
}

/// Flushes *image, closes it and sets it to NULL: also where the flush fails, whose error is
/// returned. NULL, or a pointer to NULL, is fine. While the image has queues it is not closed, and
/// *image stays as it is: free them first.
///
/// Threads: one, when no other thread uses the handle.
/// Errors: -EBUSY: the image has queues; what the last flush reports; -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_close(image: *mut *mut qed_image) -> c_int {
    status("qed_image_close", || {
        // SAFETY: the header's contract: NULL, or a place that holds NULL or a handle.
        let image = unsafe { handle::take_when(image, no_queues) }?;
        // None else can hold it: queues alone do, and there are none.
        image.and_then(|image| Arc::into_inner(*image)).map_or(Ok(()), Disk::close)
    })
}

/// Fails where queues hold the disk.
fn no_queues(disk: &Arc<Disk>) -> Result<()> {
    if Arc::strong_count(disk) == 1 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Busy, "the image has queues: free them first"))
}

/// # Safety
/// `options` is NULL or a handle that nobody frees meanwhile.
unsafe fn of_creating(options: *const qed_options, size: u64) -> Result<CreateOptions> {
    // SAFETY: the caller's promise.
    let mut options = unsafe { options::to_create(options) }?;
    options.size = (size != QED_SIZE_OF_BACKING).then_some(size);
    Ok(options)
}
