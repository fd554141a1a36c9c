//! Disks at rest, and external snapshots.

use crate::arguments;
use crate::guard::status;
use crate::handle;
use crate::image::qed_image;
use crate::options::{self, qed_options};
use qed_core::add_overlay;
use std::ffi::{c_char, c_int};

/// The functions qed_image_quiesce, qed_image_resume and qed_image_add_overlay are there.
pub const LIBQED_HAVE_QUIESCE: c_int = 1;

/// Brings a disk to rest: waits for the calls and requests that run, makes everything stable, and
/// closes the file, which is complete and unlocked then. It may be copied, or be changed by another
/// process. Calls of other threads, and requests in queues, wait for qed_image_resume; a call of
/// the thread that quiesced the image would wait for itself, and is refused.
///
/// Threads: any; the same one calls qed_image_resume, or another.
/// Errors: -EBUSY: it is quiesced already; what a flush reports: the disk runs on then; what
/// closing reports: calls then fail until qed_image_resume succeeds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_quiesce(image: *mut qed_image) -> c_int {
    status("qed_image_quiesce", || {
        // SAFETY: the header's contract: a handle that nobody closes meanwhile.
        unsafe { handle::get(image.cast_const()) }?.quiesce()
    })
}

/// Opens a quiesced disk again, from what its file holds now, and lets the calls go on that waited.
///
/// Threads: any.
/// Errors: -EINVAL: it is not quiesced; as qed_image_open: calls then fail with QED_ERROR_BUSY
/// until a later qed_image_resume succeeds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_resume(image: *mut qed_image) -> c_int {
    status("qed_image_resume", || {
        // SAFETY: the header's contract: a handle that nobody closes meanwhile.
        unsafe { handle::get(image.cast_const()) }?.resume()
    })
}

/// Takes an external snapshot: creates an image at path over the disk's own file, and the disk goes
/// on in it. The file it ran on keeps everything written before this call, complete and stable, and
/// is only read from now on; what is written from now on goes into the new image. Calls of other
/// threads wait meanwhile. Of the options those of creating apply: "backing" is the name of the
/// disk's file as the new image stores it (its file name alone where both lie in one directory,
/// else its absolute path). On failure the disk goes on as it was, and the new image is gone.
///
/// Ownership: options may be NULL and is not kept. Threads: any.
/// Errors: -EEXIST: path exists; -EINVAL: the disk is read-only, or has no path while no name is
/// given; as qed_image_create and qed_image_quiesce.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_add_overlay(
    image: *mut qed_image,
    path: *const c_char,
    options: *const qed_options,
) -> c_int {
    status("qed_image_add_overlay", || {
        // SAFETY: the header's contract: a handle that nobody closes meanwhile.
        let image = unsafe { handle::get(image.cast_const()) }?;
        // SAFETY: the header's contract: NULL or a C string.
        let path = unsafe { arguments::path(path) }?;
        // SAFETY: the header's contract: NULL or a handle.
        add_overlay(image, path, &unsafe { options::to_create(options) }?)
    })
}
