//! Repairing an image, and taking a repair back.

use crate::arguments;
use crate::convert::{qed_progress, tell};
use crate::guard::status;
use crate::options::{self, qed_options};
use crate::report::{qed_report, report};
use qed_core::{check_with, undo_repair};
use std::ffi::{c_char, c_int, c_void};

/// The functions qed_repair and qed_undo_repair are there.
pub const LIBQED_HAVE_REPAIR: c_int = 1;

/// Checks an image and repairs what is wrong. The option "repair" says what: "all" (the default),
/// "leaks" (space that nothing references is given back) or "off". What is referenced twice is
/// copied, which takes at most "max_growth" bytes of new space; entries that name nothing are
/// cleared. With "dry_run" it is done in memory alone. With "undo" a new file of that name keeps
/// what is overwritten. The report says what is left, and how much was fixed; its findings are what
/// was found. Broken off at any moment, by progress too, a repair can be made again.
///
/// Ownership: *out is written on success only; free it with qed_report_free. options may be NULL
/// and is not kept; progress may be NULL, user_data is passed on untouched. Threads: any.
/// Errors: -ECANCELED: progress stopped it; -EACCES: it would take more than "max_growth";
/// -EEXIST: the undo file is there already; else as qed_check, and what writing reports.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_repair(
    path: *const c_char,
    options: *const qed_options,
    progress: qed_progress,
    user_data: *mut c_void,
    out: *mut *mut qed_report,
) -> c_int {
    status("qed_repair", || {
        // SAFETY: the header's contract: NULL or a C string.
        let path = unsafe { arguments::path(path) }?;
        let out = arguments::place(out, "out")?;
        // SAFETY: the header's contract: NULL or a handle.
        let plan = unsafe { options::to_check(options) }?;
        let telling = &mut |done, total| tell(progress, user_data, done, total);
        let facts = check_with(path, &plan.open, &plan.how, telling)?;
        // SAFETY: not NULL, aligned, and the caller's to write.
        unsafe { out.write(report(facts)) };
        Ok(())
    })
}

/// Makes an image what it was before the repair that kept the file undo, bit by bit and with the
/// length it had. Broken off, it can be made again.
///
/// Ownership: options may be NULL and is not kept. Threads: any.
/// Errors: -EACCES: the image was changed since, or the repair was taken back already; -EUCLEAN:
/// undo is no undo file; else as qed_image_open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_undo_repair(
    path: *const c_char,
    undo: *const c_char,
    options: *const qed_options,
) -> c_int {
    status("qed_undo_repair", || {
        // SAFETY: the header's contract: NULL or a C string.
        let path = unsafe { arguments::path(path) }?;
        // SAFETY: as above.
        let undo = unsafe { arguments::named_path(undo, "undo") }?;
        // SAFETY: the header's contract: NULL or a handle.
        undo_repair(path, undo, &unsafe { options::to_open(options) }?)
    })
}
