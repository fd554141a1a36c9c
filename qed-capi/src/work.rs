//! Work on a whole image in use: compaction, and streaming what lies below into it.

use crate::arguments;
use crate::convert::{qed_progress, tell};
use crate::guard::status;
use crate::handle;
use crate::image::qed_image;
use crate::options::{self, qed_options};
use qed_core::{compact, stream};
use std::ffi::{c_int, c_void};

/// The function qed_image_compact is there.
pub const LIBQED_HAVE_COMPACT: c_int = 1;
/// The function qed_image_stream is there.
pub const LIBQED_HAVE_STREAM: c_int = 1;

/// Brings the clusters of a QED image into the order of the guest's disk, its tables in front of
/// them, and cuts the file to what it holds. Other calls on the image may go on beside it; so that
/// they do not wait long, "batch" bytes (16M) move at once. *moved is set to the number of clusters
/// that have moved.
///
/// Ownership: options, moved and progress may be NULL; options is not kept, user_data is passed on
/// untouched. Threads: any; the library starts a thread of its own for the time of the call.
/// Errors: -ECANCELED: progress stopped it, and the image is as sound as before; -EBUSY: it is
/// being compacted already; -ENOTSUP: not a QED image; what reading and writing report.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_compact(
    image: *mut qed_image,
    options: *const qed_options,
    progress: qed_progress,
    user_data: *mut c_void,
    moved: *mut u64,
) -> c_int {
    status("qed_image_compact", || {
        // SAFETY: the header's contract: a handle that nobody closes meanwhile.
        let disk = unsafe { handle::get(image.cast_const()) }?;
        // SAFETY: the header's contract: NULL or a handle.
        let how = unsafe { options::to_compact(options) }?;
        let place = if moved.is_null() { None } else { Some(arguments::place(moved, "moved")?) };
        let report = &mut |done, total| tell(progress, user_data, done, total);
        let done = compact(disk, &how, report)?;
        if let Some(place) = place {
            // SAFETY: not NULL, aligned, and the caller's to write.
            unsafe { place.write(done.clusters_moved) };
        }
        Ok(())
    })
}

/// Brings what a QED image has from its backing files into its own file, down to the option "base"
/// (the path of a file of the chain), which is its backing file from then on; without it, the
/// image needs no other file. Other calls on the image may go on beside it, and what they write
/// wins. At most "rate" bytes a second are brought in.
///
/// Ownership: options and progress may be NULL; options is not kept, user_data is passed on
/// untouched. Threads: any; the library starts a thread of its own for the time of the call.
/// Errors: -ECANCELED: progress stopped it, and the image has its backing file still; -EINVAL: the
/// base is not in the chain, or its name has no room; -ENOTSUP: not a QED image; what reading and
/// writing report.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_stream(
    image: *mut qed_image,
    options: *const qed_options,
    progress: qed_progress,
    user_data: *mut c_void,
) -> c_int {
    status("qed_image_stream", || {
        // SAFETY: the header's contract: a handle that nobody closes meanwhile.
        let disk = unsafe { handle::get(image.cast_const()) }?;
        // SAFETY: the header's contract: NULL or a handle.
        let how = unsafe { options::to_stream(options) }?;
        let report = &mut |done, total| tell(progress, user_data, done, total);
        stream(disk, &how, report)
    })
}
