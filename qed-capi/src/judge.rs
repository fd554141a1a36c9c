//! What a file is that somebody handed in, and what other programs would make of an image: facts
//! and findings in words.

use crate::arguments;
use crate::convert::{qed_progress, tell};
use crate::guard::{code, count, run, status};
use crate::handle::{self, Handle};
use crate::options::{self, qed_options};
use crate::probe::number;
use crate::report::c_string;
use qed_core::{Error, LintFinding, Reader, SafetyOptions, SafetyReport, lint, safety_check};
use std::ffi::{c_char, c_int, c_void};
use std::ptr;

/// The qed_safety_* and qed_lint* functions are there.
pub const LIBQED_HAVE_JUDGE: c_int = 1;

/// What a file is, as far as its own bytes say. Never changes. Freed by qed_safety_free.
pub struct qed_safety {
    _opaque: [u8; 0],
}

/// What another program would choke on, or harm. Never changes. Freed by qed_lint_free.
pub struct qed_lint_report {
    _opaque: [u8; 0],
}

/// A report and the texts it lends to C.
pub(crate) struct Safety {
    facts: SafetyReport,
    backing: Option<Vec<u8>>,
    fault: Option<Vec<u8>>,
}

impl Handle for qed_safety {
    type Value = Safety;
    const MAGIC: u64 = u64::from_le_bytes(*b"qed-safe");
    const ARGUMENT: &'static str = "safety";
    const TYPE: &'static str = "qed_safety";
}

/// Findings in words, those that are left before those that are fixed.
pub(crate) struct Findings {
    clean: bool,
    left: Vec<Vec<u8>>,
    fixed: Vec<Vec<u8>>,
}

impl Handle for qed_lint_report {
    type Value = Findings;
    const MAGIC: u64 = u64::from_le_bytes(*b"qed-lint");
    const ARGUMENT: &'static str = "report";
    const TYPE: &'static str = "qed_lint_report";
}

/// Looks at a file that somebody handed in: at this file alone, with bounded work, taking no lock.
/// At most max_table_bytes of its tables are read (0: 256 MiB). That it is no image, or a broken
/// one, is no error of the call.
///
/// Ownership: *out is written on success only; free it with qed_safety_free. Threads: any.
/// Errors: what opening and reading the file report; -EACCES: no regular file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_safety_check(
    path: *const c_char,
    max_table_bytes: u64,
    out: *mut *mut qed_safety,
) -> c_int {
    status("qed_safety_check", || {
        // SAFETY: the header's contract: NULL or a C string.
        let path = unsafe { arguments::path(path) }?;
        let out = arguments::place(out, "out")?;
        let mut options = SafetyOptions::default();
        if max_table_bytes != 0 {
            options.max_table_bytes = max_table_bytes;
        }
        let facts = safety_check(path, &options)?;
        let backing = facts.backing.as_ref().map(|backing| {
            let mut name = backing.name.clone();
            name.push(0);
            name
        });
        let fault = facts.fault.as_ref().map(|fault| c_string(fault.to_string()));
        let made = handle::new(Safety { facts, backing, fault });
        // SAFETY: not NULL, aligned, and the caller's to write.
        unsafe { out.write(made) };
        Ok(())
    })
}

/// 1 for a QED image that names no backing file, has no unknown feature and is known to be
/// consistent; else 0.
///
/// Threads: any. Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_safety_is_safe(safety: *const qed_safety) -> c_int {
    // SAFETY: the header's contract.
    code("qed_safety_is_safe", || Ok(unsafe { handle::get(safety) }?.facts.is_safe().into()))
}

/// One of QED_FORMAT_*. All else is known of QED images alone.
///
/// Threads: any. Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_safety_format(safety: *const qed_safety) -> c_int {
    // SAFETY: the header's contract.
    code("qed_safety_format", || Ok(number(unsafe { handle::get(safety) }?.facts.format)))
}

/// Guest bytes of the disk; 0 where the header does not say so credibly.
///
/// Threads: any. Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_safety_virtual_size(safety: *const qed_safety) -> i64 {
    count("qed_safety_virtual_size", || {
        // SAFETY: the header's contract.
        Ok(unsafe { handle::get(safety) }?.facts.virtual_size.unwrap_or(0))
    })
}

/// 1 where the image has incompatible features that this library does not know, else 0.
///
/// Threads: any. Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_safety_has_unknown_features(safety: *const qed_safety) -> c_int {
    code("qed_safety_has_unknown_features", || {
        // SAFETY: the header's contract.
        Ok((unsafe { handle::get(safety) }?.facts.unknown_features != 0).into())
    })
}

/// 1 where all tables are sound, 0 where they are not, 2 where that was not found out.
///
/// Threads: any. Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_safety_consistent(safety: *const qed_safety) -> c_int {
    code("qed_safety_consistent", || {
        // SAFETY: the header's contract.
        Ok(unsafe { handle::get(safety) }?.facts.consistent.map_or(2, c_int::from))
    })
}

/// The backing file that the image names; NULL without one. Empty where it names one that cannot be
/// told.
///
/// Ownership: the report's, valid until it is freed. Threads: any.
/// Errors: NULL, and -EINVAL's kind in the error slot: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_safety_backing_name(safety: *const qed_safety) -> *const c_char {
    // SAFETY: the header's contract.
    let name =
        run("qed_safety_backing_name", || Ok(unsafe { handle::get(safety) }?.backing.as_ref()));
    name.ok().flatten().map_or(ptr::null(), |name| name.as_ptr().cast())
}

/// The first thing that is wrong, in words; NULL where nothing is.
///
/// Ownership: the report's, valid until it is freed. Threads: any.
/// Errors: NULL, and -EINVAL's kind in the error slot: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_safety_fault(safety: *const qed_safety) -> *const c_char {
    // SAFETY: the header's contract.
    let fault = run("qed_safety_fault", || Ok(unsafe { handle::get(safety) }?.fault.as_ref()));
    fault.ok().flatten().map_or(ptr::null(), |text| text.as_ptr().cast())
}

/// Frees *safety and sets it to NULL. NULL, or a pointer to NULL, is fine.
///
/// Threads: any, when no other thread uses the handle.
/// Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_safety_free(safety: *mut *mut qed_safety) -> c_int {
    status("qed_safety_free", || {
        // SAFETY: the header's contract: NULL, or a place that holds NULL or a handle.
        unsafe { handle::take(safety) }.map(drop)
    })
}

/// Finds what another program, "qemu" or "virtualbox", would choke on or harm in an image that this
/// library takes. With fix the image is rewritten to a form that the program takes, as far as there
/// is one; the guest reads the same before and after, and at any crash in between.
///
/// Ownership: *out is written on success only; free it with qed_lint_free. options may be NULL and
/// is not kept; progress may be NULL, user_data is passed on untouched. Threads: any.
/// Errors: -ECANCELED: progress stopped it; -EINVAL: no such program; else as qed_repair.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_lint(
    path: *const c_char,
    reader: *const c_char,
    fix: bool,
    options: *const qed_options,
    progress: qed_progress,
    user_data: *mut c_void,
    out: *mut *mut qed_lint_report,
) -> c_int {
    status("qed_lint", || {
        // SAFETY: the header's contract: NULL or a C string.
        let path = unsafe { arguments::path(path) }?;
        // SAFETY: as above.
        let name = unsafe { arguments::text(reader, "reader") }?;
        let out = arguments::place(out, "out")?;
        let wrong = || Error::invalid(format!("reader takes qemu or virtualbox, not {name:?}"));
        let reader = Reader::by_name(name).ok_or_else(wrong)?;
        // SAFETY: the header's contract: NULL or a handle.
        let options = unsafe { options::to_open(options) }?;
        let telling = &mut |done, total| tell(progress, user_data, done, total);
        let found = lint(path, reader, fix, &options, telling)?;
        let words = |list: &[LintFinding]| list.iter().map(|f| c_string(f.to_string())).collect();
        let (left, fixed) = (words(&found.findings), words(&found.fixed));
        let made = handle::new(Findings { clean: found.is_clean(), left, fixed });
        // SAFETY: not NULL, aligned, and the caller's to write.
        unsafe { out.write(made) };
        Ok(())
    })
}

/// 1 where the program takes the image and does no harm to it, else 0.
///
/// Threads: any. Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_lint_is_clean(report: *const qed_lint_report) -> c_int {
    // SAFETY: the header's contract.
    code("qed_lint_is_clean", || Ok(unsafe { handle::get(report) }?.clean.into()))
}

/// The number of findings, or with fixed of those that were mended.
///
/// Threads: any. Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_lint_findings(report: *const qed_lint_report, fixed: bool) -> i64 {
    count("qed_lint_findings", || {
        // SAFETY: the header's contract.
        let findings = unsafe { handle::get(report) }?;
        Ok(if fixed { findings.fixed.len() } else { findings.left.len() } as u64)
    })
}

/// One finding in words, "severity: rule: sentence" (refuses, harms or note), index from 0 to
/// qed_lint_findings() - 1. NULL on error.
///
/// Ownership: the report's, valid until it is freed. Threads: any.
/// Errors: NULL, and -EINVAL's kind in the error slot: not a live handle, or no such finding.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_lint_finding(
    report: *const qed_lint_report,
    fixed: bool,
    index: usize,
) -> *const c_char {
    let text = run("qed_lint_finding", || {
        // SAFETY: the header's contract.
        let findings = unsafe { handle::get(report) }?;
        let list = if fixed { &findings.fixed } else { &findings.left };
        let count = list.len();
        list.get(index).ok_or_else(|| Error::invalid(format!("no finding {index} among {count}")))
    });
    text.map_or(ptr::null(), |text| text.as_ptr().cast())
}

/// Frees *report and sets it to NULL. NULL, or a pointer to NULL, is fine.
///
/// Threads: any, when no other thread uses the handle.
/// Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_lint_free(report: *mut *mut qed_lint_report) -> c_int {
    status("qed_lint_free", || {
        // SAFETY: the header's contract: NULL, or a place that holds NULL or a handle.
        unsafe { handle::take(report) }.map(drop)
    })
}
