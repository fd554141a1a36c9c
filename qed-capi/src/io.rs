//! Reading, writing, zeroing, discarding and flushing.

use crate::arguments;
use crate::guard::status;
use crate::handle;
use crate::image::qed_image;
use libc::iovec;
use qed_core::Flags;
use std::ffi::{c_int, c_void};

/// Forced unit access: the request is stable when it returns.
pub const QED_FUA: u32 = 1;
/// Of qed_image_write_zeroes: whole clusters may be freed. Without it, allocated clusters stay so.
pub const QED_MAY_UNMAP: u32 = 2;
/// Of qed_image_write_zeroes: fail with -ENOTSUP rather than write zeroes as data.
pub const QED_NO_FALLBACK: u32 = 4;

/// Reads length bytes at offset into buffer: all of them or an error.
///
/// Ownership: the buffer is the caller's. Threads: any.
/// Errors: -EINVAL: the range passes the end of the disk (nothing was read); -EIO, -EUCLEAN: the
/// file or the image failed, and the buffer's content is unspecified.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_pread(
    image: *const qed_image,
    buffer: *mut c_void,
    length: usize,
    offset: u64,
) -> c_int {
    status("qed_image_pread", || {
        // SAFETY: the header's contract: a handle that nobody closes meanwhile.
        let image = unsafe { handle::get(image) }?;
        // SAFETY: the header's contract: length bytes that are the caller's to lend.
        image.pread(unsafe { arguments::buffer_mut(buffer, length) }?, offset)
    })
}

/// Writes length bytes of buffer at offset: all of them or an error. Stable after the next flush,
/// or at once with QED_FUA.
///
/// Ownership: the buffer is the caller's and must not change during the call. Threads: any.
/// Errors: -EINVAL: the range passes the end of the disk, or a flag that writing does not know
/// (nothing was written); -EROFS; -ENOSPC; -EIO: after another error any part of the range may have
/// been written, and nothing beside it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_pwrite(
    image: *mut qed_image,
    buffer: *const c_void,
    length: usize,
    offset: u64,
    flags: u32,
) -> c_int {
    status("qed_image_pwrite", || {
        // SAFETY: the header's contract: a handle that nobody closes meanwhile.
        let image = unsafe { handle::get(image.cast_const()) }?;
        // SAFETY: the header's contract: length bytes that do not change during the call.
        let buffer = unsafe { arguments::buffer(buffer, length) }?;
        image.pwrite(buffer, offset, Flags::from_bits(flags)?)
    })
}

/// Reads at offset into the iovcnt buffers of iov, in order. They may not overlap.
///
/// Ownership, threads: as qed_image_pread.
/// Errors: as qed_image_pread; -EINVAL: iovcnt is negative or more than 1024, or buffers overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_preadv(
    image: *const qed_image,
    iov: *const iovec,
    iovcnt: c_int,
    offset: u64,
) -> c_int {
    status("qed_image_preadv", || {
        // SAFETY: the header's contract: a handle that nobody closes meanwhile.
        let image = unsafe { handle::get(image) }?;
        // SAFETY: the header's contract: buffers that are the caller's to lend.
        image.preadv(&mut unsafe { arguments::vector_mut(iov, iovcnt) }?, offset)
    })
}

/// Writes the iovcnt buffers of iov at offset, in order, as one request.
///
/// Ownership, threads: as qed_image_pwrite.
/// Errors: as qed_image_pwrite; -EINVAL: iovcnt is negative or more than 1024.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_pwritev(
    image: *mut qed_image,
    iov: *const iovec,
    iovcnt: c_int,
    offset: u64,
    flags: u32,
) -> c_int {
    status("qed_image_pwritev", || {
        // SAFETY: the header's contract: a handle that nobody closes meanwhile.
        let image = unsafe { handle::get(image.cast_const()) }?;
        // SAFETY: the header's contract: buffers that do not change during the call.
        let buffers = unsafe { arguments::vector(iov, iovcnt) }?;
        image.pwritev(&buffers, offset, Flags::from_bits(flags)?)
    })
}

/// Makes length bytes at offset read as zeroes. Flags: QED_FUA, QED_MAY_UNMAP, QED_NO_FALLBACK.
/// What is unallocated and reads as zeroes already stays unallocated.
///
/// Threads: any.
/// Errors: as qed_image_pwrite; -ENOTSUP: QED_NO_FALLBACK was given, and only writing data would
/// do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_write_zeroes(
    image: *mut qed_image,
    offset: u64,
    length: u64,
    flags: u32,
) -> c_int {
    status("qed_image_write_zeroes", || {
        // SAFETY: the header's contract: a handle that nobody closes meanwhile.
        let image = unsafe { handle::get(image.cast_const()) }?;
        image.write_zeroes(offset, length, Flags::from_bits(flags)?)
    })
}

/// Gives the whole clusters among length bytes at offset back: they read as zeroes. The parts of
/// clusters at either end keep their content. Does nothing where the option "discard" is "ignore".
///
/// Threads: any.
/// Errors: -EINVAL: the range passes the end of the disk; -EROFS; -EIO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_discard(
    image: *mut qed_image,
    offset: u64,
    length: u64,
) -> c_int {
    status("qed_image_discard", || {
        // SAFETY: the header's contract: a handle that nobody closes meanwhile.
        unsafe { handle::get(image.cast_const()) }?.discard(offset, length)
    })
}

/// Makes everything stable that completed before this call: it reads back after any later crash.
///
/// Threads: any.
/// Errors: -EIO and what a sync reports: the image is then latched, and every later flush fails
/// (QED_ERROR_LATCHED): what was written since the last good flush may be lost.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_flush(image: *mut qed_image) -> c_int {
    status("qed_image_flush", || {
        // SAFETY: the header's contract: a handle that nobody closes meanwhile.
        unsafe { handle::get(image.cast_const()) }?.flush()
    })
}
