//! Which parts of an image are allocated: one callback for each run.

use crate::guard::code;
use crate::handle;
use crate::image::qed_image;
use qed_core::{Disk, Error, ErrorKind, Extent, ExtentKind, Extents, Result};
use std::ffi::{c_int, c_void};

/// The functions qed_image_extents and qed_image_map are there.
pub const LIBQED_HAVE_EXTENTS: c_int = 1;

/// The run holds data of this image, at file_offset.
pub const QED_EXTENT_DATA: u32 = 1;
/// The run reads as zeroes and hides the backing file.
pub const QED_EXTENT_ZERO: u32 = 2;
/// The run reads as the backing file does, and as zeroes without one.
pub const QED_EXTENT_UNALLOCATED: u32 = 3;
/// The run holds compressed data, which has no place of its own in the file.
pub const QED_EXTENT_COMPRESSED: u32 = 4;

/// A run of the guest's disk. The library makes it, so later versions may add members at the end.
#[repr(C)]
pub struct qed_extent {
    /// Where the run begins on the guest's disk, in bytes.
    pub offset: u64,
    /// The run's bytes, at least 1.
    pub length: u64,
    /// Where the run stands in its file, in bytes: the data, or space kept for zeroes; else 0.
    pub file_offset: u64,
    /// One of QED_EXTENT_*. Later versions may add kinds.
    pub kind: u32,
    /// The file that says so: 0 is the image, 1 its backing file, and so on.
    pub depth: u32,
}

/// Called for each run, in order. Returns 0 to go on; anything else stops.
/// The extent is valid during the call. No lock is held: the callback may call libqed, also for the
/// same image, but must not close it. It must return: no longjmp, no C++ exception.
pub type qed_extent_callback =
    Option<unsafe extern "C" fn(user_data: *mut c_void, extent: *const qed_extent) -> c_int>;

/// Calls callback for each run of length bytes at offset, in order, neighbours of one kind merged.
/// Tells what this image holds, never what its backing file does. Runs that change meanwhile are
/// told as they were before or after.
///
/// Returns 0 after the last run; where the callback stopped, what it returned.
///
/// Ownership: user_data is passed on untouched. Threads: any; the callback runs in the caller's.
/// Errors: -EINVAL: the range passes the end of the disk; -EIO, -EUCLEAN: a table is unreadable or
/// damaged. A negative number from the callback is returned as it is (QED_ERROR_CANCELLED).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_extents(
    image: *const qed_image,
    offset: u64,
    length: u64,
    callback: qed_extent_callback,
    user_data: *mut c_void,
) -> c_int {
    let (function, extents) = ("qed_image_extents", Disk::extents);
    // SAFETY: the header's contract.
    unsafe { tell(function, extents, image, (offset, length), callback, user_data) }
}

/// Calls callback for each run of length bytes at offset through the image and its backing files,
/// in order: where the bytes are found, and how deep in the chain. QED_EXTENT_UNALLOCATED: in none
/// of the files; the run reads as zeroes. Else as qed_image_extents.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_image_map(
    image: *const qed_image,
    offset: u64,
    length: u64,
    callback: qed_extent_callback,
    user_data: *mut c_void,
) -> c_int {
    // SAFETY: the header's contract.
    unsafe { tell("qed_image_map", Disk::map, image, (offset, length), callback, user_data) }
}

/// # Safety
/// `image`, `callback` and `user_data` are as the header asks.
unsafe fn tell(
    function: &str,
    extents: impl FnOnce(&Disk, u64, u64) -> Result<Extents<'_>>,
    image: *const qed_image,
    (offset, length): (u64, u64),
    callback: qed_extent_callback,
    user_data: *mut c_void,
) -> c_int {
    let mut stopped = 0;
    let answer = code(function, || {
        // SAFETY: the header's contract: a handle that nobody closes meanwhile.
        let image = unsafe { handle::get(image) }?;
        let callback = callback.ok_or_else(|| Error::invalid("callback is NULL"))?;
        for extent in extents(image, offset, length)? {
            let extent = to_c(&extent?);
            // SAFETY: the header's contract: a function of this type that returns.
            stopped = unsafe { callback(user_data, &raw const extent) };
            if stopped != 0 {
                break;
            }
        }
        if stopped < 0 {
            let text = format!("the callback stopped with {stopped}");
            return Err(Error::new(ErrorKind::Cancelled, text));
        }
        Ok(stopped)
    });
    if stopped < 0 { stopped } else { answer }
}

fn to_c(extent: &Extent) -> qed_extent {
    let (kind, file_offset) = match extent.kind {
        ExtentKind::Data { file_offset: None } => (QED_EXTENT_COMPRESSED, None),
        ExtentKind::Data { file_offset } => (QED_EXTENT_DATA, file_offset),
        ExtentKind::Zero { file_offset } => (QED_EXTENT_ZERO, file_offset),
        ExtentKind::Unallocated => (QED_EXTENT_UNALLOCATED, None),
    };
    let (offset, length, depth) = (extent.offset, extent.length, extent.depth);
    qed_extent { offset, length, file_offset: file_offset.unwrap_or(0), kind, depth }
}
