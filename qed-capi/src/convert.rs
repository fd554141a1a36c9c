//! Copying and comparing whole disks: long calls that tell how far they are, and can be stopped.

use crate::arguments;
use crate::guard::{code, status};
use crate::options::{self, qed_options};
use qed_core::{
    ConvertSource, ConvertTarget, Difference, Disk, compare as compare_disks,
    convert as convert_disk,
};
use std::ffi::{c_char, c_int, c_void};
use std::ops::ControlFlow;

/// The functions qed_convert and qed_compare are there.
pub const LIBQED_HAVE_CONVERT: c_int = 1;

/// The disks are identical.
pub const QED_COMPARE_IDENTICAL: c_int = 0;
/// The disks read differently.
pub const QED_COMPARE_CONTENT: c_int = 1;
/// The disks have different sizes (option "strict").
pub const QED_COMPARE_SIZE: c_int = 2;
/// One disk has data, zeroes or nothing where the other one has not (option "strict").
pub const QED_COMPARE_ALLOCATION: c_int = 3;

/// Called again and again during a long call, at least every 100 milliseconds, with the bytes that
/// are done and the bytes in all. Returns 0 to go on; anything else stops the call, which then
/// fails with -ECANCELED. Runs in the caller's thread, under no lock, and may call libqed. It must
/// return: no longjmp, no C++ exception.
pub type qed_progress =
    Option<unsafe extern "C" fn(user_data: *mut c_void, done: u64, total: u64) -> c_int>;

/// Copies the disk at source into a new disk at target, which appears when it is complete and
/// stable; where anything fails nothing appears. Of the options, "format" and "cache" are the
/// target's, "source_format" and "source_cache" the source's ("qed" and "writeback"); "offset" and
/// "length" cut a part out of the source; runs of "sparse_size" zeroes (4096) take no space, with 0
/// every byte is written; "workers" (8) is how many threads read and write, "in_order" (on) whether
/// they write in ascending order; with "salvage" what cannot be read becomes zeroes. Where
/// "backing" is a layer of the source's chain (and "offset" 0), only what lies above it is copied.
///
/// Ownership: options may be NULL and is not kept; progress may be NULL, user_data is passed on
/// untouched. Threads: any; the library starts threads of its own for the time of the call.
/// Errors: -ECANCELED: progress stopped it; else as qed_image_open and qed_image_create, and what
/// reading and writing report.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_convert(
    source: *const c_char,
    target: *const c_char,
    options: *const qed_options,
    progress: qed_progress,
    user_data: *mut c_void,
) -> c_int {
    status("qed_convert", || {
        // SAFETY: the header's contract: NULL or a C string.
        let source = unsafe { arguments::named_path(source, "source") }?;
        // SAFETY: as above.
        let target = unsafe { arguments::named_path(target, "target") }?;
        // SAFETY: the header's contract: NULL or a handle.
        let plan = unsafe { options::to_convert(options) }?;
        let disk = Disk::open(source, &plan.source)?;
        let source = ConvertSource::Disks(vec![&disk]);
        let target = ConvertTarget::New(target, plan.target);
        let report = &mut |done, total| tell(progress, user_data, done, total);
        convert_disk(source, target, &plan.how, report).map(drop)
    })
}

/// Compares what the disks at a and b read as. The shorter one counts as padded with zeroes; with
/// the option "strict" sizes and allocation have to be the same as well. The option "source_format"
/// is the format of a, "format" that of b; the others are for both.
///
/// Returns QED_COMPARE_IDENTICAL, or how the disks differ: one of QED_COMPARE_*. Where contents or
/// allocation differ, *offset is set to the first such byte; else it is left alone.
///
/// Ownership: offset may be NULL; options, progress and user_data as in qed_convert. Threads: as
/// qed_convert. Errors: -ECANCELED: progress stopped it; else as qed_image_open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_compare(
    a: *const c_char,
    b: *const c_char,
    options: *const qed_options,
    progress: qed_progress,
    user_data: *mut c_void,
    offset: *mut u64,
) -> c_int {
    code("qed_compare", || {
        // SAFETY: the header's contract: NULL or a C string.
        let a = unsafe { arguments::named_path(a, "a") }?;
        // SAFETY: as above.
        let b = unsafe { arguments::named_path(b, "b") }?;
        // SAFETY: the header's contract: NULL or a handle.
        let plan = unsafe { options::to_compare(options) }?;
        let place = if offset.is_null() { None } else { Some(arguments::place(offset, "offset")?) };
        let (a, b) = (Disk::open(a, &plan.a)?, Disk::open(b, &plan.b)?);
        let report = &mut |done, total| tell(progress, user_data, done, total);
        let (answer, at) = match compare_disks(&a, &b, &plan.how, report)? {
            None => (QED_COMPARE_IDENTICAL, None),
            Some(Difference::Content { offset }) => (QED_COMPARE_CONTENT, Some(offset)),
            Some(Difference::Allocation { offset }) => (QED_COMPARE_ALLOCATION, Some(offset)),
            Some(_) => (QED_COMPARE_SIZE, None),
        };
        if let (Some(place), Some(at)) = (place, at) {
            // SAFETY: not NULL, aligned, and the caller's to write.
            unsafe { place.write(at) };
        }
        Ok(answer)
    })
}

/// Tells a caller how far a long call is, and hears whether it is to go on.
pub(crate) fn tell(
    progress: qed_progress,
    user_data: *mut c_void,
    done: u64,
    total: u64,
) -> ControlFlow<()> {
    let Some(progress) = progress else { return ControlFlow::Continue(()) };
    // SAFETY: the header's contract: a function of this type that returns.
    let answer = unsafe { progress(user_data, done, total) };
    if answer == 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}
