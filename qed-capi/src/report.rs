//! Checking an image, and the report that comes of it.

use crate::arguments;
use crate::guard::{count, run, status};
use crate::handle::{self, Handle};
use crate::options::{self, qed_options};
use crate::status::terminate;
use qed_core::{CheckReport, Corruption, Error, Result, check, check_file};
use std::ffi::{c_char, c_int};
use std::ptr;

/// The qed_check* and qed_report_* functions are there.
pub const LIBQED_HAVE_CHECK: c_int = 1;

/// What a check found. Never changes. Freed by qed_report_free.
pub struct qed_report {
    _opaque: [u8; 0],
}

/// A report and the texts it lends to C.
pub(crate) struct Report {
    facts: CheckReport,
    findings: Vec<Vec<u8>>,
}

impl Handle for qed_report {
    type Value = Report;
    const MAGIC: u64 = u64::from_le_bytes(*b"qed-rprt");
    const ARGUMENT: &'static str = "report";
    const TYPE: &'static str = "qed_report";
}

/// Checks an image and changes nothing. That the image is damaged is not an error of the call: the
/// report says so. No backing file is opened.
///
/// Ownership: *out is written on success only; free it with qed_report_free. options may be NULL
/// and is not kept. Threads: any.
/// Errors: -ENOENT, -EACCES, -EINVAL (not a QED image; an option that is not one of opening),
/// -EAGAIN (another process is writing to the image), -ENOTSUP (unknown incompatible features), and
/// what reading the file reports.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_check(
    path: *const c_char,
    options: *const qed_options,
    out: *mut *mut qed_report,
) -> c_int {
    status("qed_check", || {
        // SAFETY: the header's contract: NULL or a C string.
        let path = unsafe { arguments::path(path) }?;
        let out = arguments::place(out, "out")?;
        // SAFETY: the header's contract: NULL or a handle.
        let facts = check(path, &unsafe { options::to_open(options) }?)?;
        // SAFETY: not NULL, aligned, and the caller's to write.
        unsafe { out.write(report(facts)) };
        Ok(())
    })
}

/// qed_check for a descriptor that is open for reading.
///
/// Ownership: as qed_check; the descriptor stays the caller's. Threads: any.
/// Errors: as qed_check; -EBADF: not an open descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_check_fd(
    fd: c_int,
    options: *const qed_options,
    out: *mut *mut qed_report,
) -> c_int {
    status("qed_check_fd", || {
        let out = arguments::place(out, "out")?;
        // SAFETY: the header's contract: NULL or a handle.
        let options = unsafe { options::to_open(options) }?;
        let facts = check_file(arguments::descriptor(fd)?, &options)?;
        // SAFETY: not NULL, aligned, and the caller's to write.
        unsafe { out.write(report(facts)) };
        Ok(())
    })
}

/// The number of broken references: entries out of range, clusters referenced twice, entries that
/// name metadata. 0 for a sound image.
///
/// Threads: any. Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_report_corruptions(report: *const qed_report) -> i64 {
    // SAFETY: the header's contract.
    unsafe { fact("qed_report_corruptions", report, |facts| facts.corruptions) }
}

/// The number of clusters that nothing references, holes inside the file included: harmless.
///
/// Threads: any. Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_report_leaks(report: *const qed_report) -> i64 {
    // SAFETY: the header's contract.
    unsafe { fact("qed_report_leaks", report, |facts| facts.leaks) }
}

/// The number of leaked clusters that hold no space: nothing is wasted.
///
/// Threads: any. Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_report_free_clusters(report: *const qed_report) -> i64 {
    // SAFETY: the header's contract.
    unsafe { fact("qed_report_free_clusters", report, |facts| facts.free_clusters) }
}

/// The number of tables that could not be read: what they map was not checked.
///
/// Threads: any. Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_report_check_errors(report: *const qed_report) -> i64 {
    // SAFETY: the header's contract.
    unsafe { fact("qed_report_check_errors", report, |facts| facts.check_errors) }
}

/// The number of corruptions that qed_repair mended; 0 from qed_check, which changes nothing.
///
/// Threads: any. Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_report_corruptions_fixed(report: *const qed_report) -> i64 {
    // SAFETY: the header's contract.
    unsafe { fact("qed_report_corruptions_fixed", report, |facts| facts.corruptions_fixed) }
}

/// The number of leaks that qed_repair gave back; 0 from qed_check, which changes nothing.
///
/// Threads: any. Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_report_leaks_fixed(report: *const qed_report) -> i64 {
    // SAFETY: the header's contract.
    unsafe { fact("qed_report_leaks_fixed", report, |facts| facts.leaks_fixed) }
}

/// The number of clusters of the guest's disk.
///
/// Threads: any. Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_report_total_clusters(report: *const qed_report) -> i64 {
    // SAFETY: the header's contract.
    unsafe { fact("qed_report_total_clusters", report, |facts| facts.total_clusters) }
}

/// The number of clusters that hold data.
///
/// Threads: any. Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_report_allocated_clusters(report: *const qed_report) -> i64 {
    // SAFETY: the header's contract.
    unsafe { fact("qed_report_allocated_clusters", report, |facts| facts.allocated_clusters) }
}

/// The number of allocated clusters that do not stand directly behind the cluster before them.
///
/// Threads: any. Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_report_fragmented_clusters(report: *const qed_report) -> i64 {
    // SAFETY: the header's contract.
    unsafe { fact("qed_report_fragmented_clusters", report, |facts| facts.fragmented_clusters) }
}

/// The byte offset behind the last cluster in use.
///
/// Threads: any. Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_report_image_end_offset(report: *const qed_report) -> i64 {
    // SAFETY: the header's contract.
    unsafe { fact("qed_report_image_end_offset", report, |facts| facts.image_end_offset) }
}

/// The number of findings that the report describes in words: the first 100 corruptions, then why
/// the first table that could not be read could not be.
///
/// Threads: any. Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_report_findings(report: *const qed_report) -> i64 {
    // SAFETY: the header's contract.
    count("qed_report_findings", || Ok(unsafe { handle::get(report) }?.findings.len() as u64))
}

/// One finding in words, index from 0 to qed_report_findings() - 1. NULL on error.
///
/// Ownership: the report's, valid until it is freed. Threads: any.
/// Errors: NULL, and -EINVAL's kind in the error slot: not a live handle, or no such finding.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_report_finding(
    report: *const qed_report,
    index: usize,
) -> *const c_char {
    let text = run("qed_report_finding", || {
        // SAFETY: the header's contract.
        let findings = &unsafe { handle::get(report) }?.findings;
        let count = findings.len();
        let finding = findings.get(index);
        finding.ok_or_else(|| Error::invalid(format!("no finding {index} among {count}")))
    });
    text.map_or(ptr::null(), |text| text.as_ptr().cast())
}

/// Frees *report and sets it to NULL. NULL, or a pointer to NULL, is fine.
///
/// Threads: any, when no other thread uses the handle.
/// Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_report_free(report: *mut *mut qed_report) -> c_int {
    status("qed_report_free", || {
        // SAFETY: the header's contract: NULL, or a place that holds NULL or a handle.
        unsafe { handle::take(report) }.map(drop)
    })
}

pub(crate) fn report(facts: CheckReport) -> *mut qed_report {
    let corruptions = facts.findings.iter().map(Corruption::to_string);
    let findings = corruptions.chain(facts.first_check_error.clone()).map(c_string).collect();
    handle::new(Report { facts, findings })
}

pub(crate) fn c_string(text: String) -> Vec<u8> {
    let mut text = text.into_bytes();
    terminate(&mut text);
    text
}

/// # Safety
/// `report` is as the header asks.
unsafe fn fact(
    function: &str,
    report: *const qed_report,
    read: impl FnOnce(&CheckReport) -> u64,
) -> i64 {
    // SAFETY: the caller's promise.
    count(function, || -> Result<u64> { Ok(read(&unsafe { handle::get(report) }?.facts)) })
}
