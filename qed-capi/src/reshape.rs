//! Changing what a disk is: its size, where its data lies, what lies below it.

use crate::arguments;
use crate::convert::{qed_progress, tell};
use crate::guard::status;
use crate::handle;
use crate::image::qed_image;
use crate::options::{self, qed_options};
use qed_core::{Error, Preallocation, ResizeOptions, commit, rebase};
use std::ffi::{c_char, c_int, c_void};

/// The function qed_image_resize is there.
pub const LIBQED_HAVE_RESIZE: c_int = 1;
/// The function qed_commit is there.
pub const LIBQED_HAVE_COMMIT: c_int = 1;
/// The function qed_rebase is there.
pub const LIBQED_HAVE_REBASE: c_int = 1;

/// Of qed_image_resize: the disk may become smaller; what lies beyond its new end is lost then.
pub const QED_SHRINK: u32 = 1;
/// Of qed_image_resize: the new part has all its tables, in one run of the file.
pub const QED_PREALLOCATE_METADATA: u32 = 2;
/// Of qed_image_resize: the new part has its place and its space; the file system sets it aside.
pub const QED_PREALLOCATE_FALLOC: u32 = 4;
/// Of qed_image_resize: the new part has its place and its space, written as zeroes.
pub const QED_PREALLOCATE_FULL: u32 = 8;

/// Makes the disk size bytes large while other threads use it: a multiple of 512, for a raw disk
/// any number. What is new reads as zeroes, also where the backing file is longer. Stable on
/// return. Flags: QED_SHRINK; for a disk that grows one of QED_PREALLOCATE_METADATA (not for raw
/// disks), QED_PREALLOCATE_FALLOC and QED_PREALLOCATE_FULL (not over a backing file).
///
/// Threads: any. Where the disk shrinks, requests beyond its new end fail at once, and those that
/// run are waited for.
/// Errors: -EINVAL: no such size, a smaller one without QED_SHRINK, flags that do not go together
/// or not with this disk; -ENOSPC; -ENOTSUP: a qcow2 image; -EROFS; -EIO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_resize(image: *mut qed_image, size: u64, flags: u32) -> c_int {
    status("qed_image_resize", || {
        let mut options = ResizeOptions::default();
        options.shrink = flags & QED_SHRINK != 0;
        options.preallocation = preallocation(flags & !QED_SHRINK)?;
        // SAFETY: the header's contract: a handle that nobody closes meanwhile.
        unsafe { handle::get(image.cast_const()) }?.resize(size, options)
    })
}

fn preallocation(flags: u32) -> Result<Preallocation, Error> {
    let known = QED_PREALLOCATE_METADATA | QED_PREALLOCATE_FALLOC | QED_PREALLOCATE_FULL;
    match flags {
        0 => Ok(Preallocation::Off),
        QED_PREALLOCATE_METADATA => Ok(Preallocation::Metadata),
        QED_PREALLOCATE_FALLOC => Ok(Preallocation::Falloc),
        QED_PREALLOCATE_FULL => Ok(Preallocation::Full),
        flags if flags & !known == 0 => Err(Error::invalid("more than one way to preallocate")),
        flags => Err(Error::invalid(format!("unknown flags {:#x}", flags & !known))),
    }
}

/// Gives what the image at path holds to its backing file, which grows where it is smaller, and
/// empties the image. A crash at any moment leaves a chain that reads the same. Of the options,
/// "base" names a file further down the chain instead (the layers in between, and their own
/// overlays, are of no use afterwards); with "keep", or with a base, the image is not emptied;
/// "rate" is the most bytes a second. All others are those of opening.
///
/// Ownership: options, progress and user_data as in qed_convert. Threads: any; the library starts a
/// thread of its own for the time of the call. The image must not be open.
/// Errors: -ECANCELED: progress stopped it; -EINVAL: no such backing file; -ENOTSUP: a qcow2 image
/// would have to be emptied or grown; else as qed_image_open, and what reading and writing report.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_commit(
    path: *const c_char,
    options: *const qed_options,
    progress: qed_progress,
    user_data: *mut c_void,
) -> c_int {
    status("qed_commit", || {
        // SAFETY: the header's contract: NULL or a C string.
        let path = unsafe { arguments::path(path) }?;
        // SAFETY: the header's contract: NULL or a handle.
        let plan = unsafe { options::to_commit(options) }?;
        let report = &mut |done, total| tell(progress, user_data, done, total);
        commit(path, &plan.image, &plan.how, report)
    })
}

/// Makes the image at path go on over another backing file, or over none where backing is NULL, and
/// read the same: what the new one lacks is written into the image first. The name is stored as it
/// is; a relative one is relative to the image's directory. Of the options, "backing_format" is the
/// new file's format (found by its magic where it is not given); with "name_only" the name changes
/// and nothing else, and neither file is opened; "rate" is the most bytes a second. All others are
/// those of opening.
///
/// Ownership, threads: as qed_commit.
/// Errors: -ECANCELED: progress stopped it, and the image has its old backing file; -EINVAL: the
/// name does not fit the header; -ENOTSUP: not a QED image; else as qed_commit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_rebase(
    path: *const c_char,
    backing: *const c_char,
    options: *const qed_options,
    progress: qed_progress,
    user_data: *mut c_void,
) -> c_int {
    status("qed_rebase", || {
        // SAFETY: the header's contract: NULL or a C string.
        let path = unsafe { arguments::path(path) }?;
        // SAFETY: the header's contract: NULL or a handle.
        let mut plan = unsafe { options::to_rebase(options) }?;
        if !backing.is_null() {
            // SAFETY: the header's contract: a C string.
            let backing = unsafe { arguments::named_path(backing, "backing") }?;
            plan.how.backing = Some(backing.to_path_buf());
        }
        let report = &mut |done, total| tell(progress, user_data, done, total);
        rebase(path, &plan.image, &plan.how, report)
    })
}
