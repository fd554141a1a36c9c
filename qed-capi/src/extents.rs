//! Which parts of an image are allocated: one callback for each run.

use crate::guard::code;
use crate::handle;
use crate::image::qed_image;
use qed_core::{Error, ErrorKind, Extent, ExtentKind};
use std::ffi::{c_int, c_void};

/// The function qed_image_extents is there.
pub const LIBQED_HAVE_EXTENTS: c_int = 1;

/// The run holds data of this image, at file_offset.
pub const QED_EXTENT_DATA: u32 = 1;
/// The run reads as zeroes and hides the backing file.
pub const QED_EXTENT_ZERO: u32 = 2;
/// The run reads as the backing file does, and as zeroes without one.
pub const QED_EXTENT_UNALLOCATED: u32 = 3;

/// A run of the guest's disk. The library makes it, so later versions may add members at the end.
#[repr(C)]
pub struct qed_extent {
    /// Where the run begins on the guest's disk, in bytes.
    pub offset: u64,
    /// The run's bytes, at least 1.
    pub length: u64,
    /// Where the run stands in the image file, in bytes; 0 unless kind is QED_EXTENT_DATA.
    pub file_offset: u64,
    /// One of QED_EXTENT_*. Later versions may add kinds.
    pub kind: u32,
    /// 0.
    pub reserved: u32,
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
    let mut stopped = 0;
    let answer = code("qed_image_extents", || {
        // SAFETY: the header's contract: a handle that nobody closes meanwhile.
        let image = unsafe { handle::get(image) }?;
        let callback = callback.ok_or_else(|| Error::invalid("callback is NULL"))?;
        for extent in image.extents(offset, length)? {
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
        ExtentKind::Data { file_offset } => (QED_EXTENT_DATA, file_offset),
        ExtentKind::Zero => (QED_EXTENT_ZERO, 0),
        ExtentKind::Unallocated => (QED_EXTENT_UNALLOCATED, 0),
    };
    let (offset, length) = (extent.offset, extent.length);
    qed_extent { offset, length, file_offset, kind, reserved: 0 }
}
