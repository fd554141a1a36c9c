//! The verbs that judge a file: check with repair, `undo_repair`, `safety_check`, lint.

use crate::arguments::{self, Bytes, Target};
use crate::call::detached;
use crate::progress::Reporter;
use crate::{errors, options, results};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};
use qed_core::{Format, LintFinding, LintReport, Reader, SafetyOptions, SafetyReport};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Checks an image, and repairs it where the options say so; never opens a backing file.
#[pyfunction]
#[pyo3(signature = (path, progress, **options))]
pub(crate) fn check<'py>(
    py: Python<'py>,
    path: Target,
    progress: Option<Py<PyAny>>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let plan = options::check(py, options)?;
    let mut reporter = Reporter::new(progress);
    let checked = detached(py, || {
        let report = &mut |done, total| reporter.report(done, total);
        match path {
            Target::Path(path) => qed_core::check_with(path, &plan.open, &plan.how, report),
            Target::File(file) => qed_core::check_file_with(file, &plan.open, &plan.how, report),
        }
    });
    results::report(py, &reporter.finish(checked)?)
}

/// Takes a repair back.
#[pyfunction]
#[pyo3(signature = (path, undo, **options))]
pub(crate) fn undo_repair(
    py: Python<'_>,
    path: Target,
    undo: &Bound<'_, PyAny>,
    options: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    let undo = arguments::path(undo)?;
    let options = options::open(py, options)?;
    detached(py, move || match path {
        Target::Path(path) => qed_core::undo_repair(path, undo, &options),
        Target::File(file) => qed_core::undo_repair_file(file, undo, &options),
    })
}

/// What a service wants to know of an upload.
#[pyfunction]
#[pyo3(signature = (path, *, max_table_bytes))]
pub(crate) fn safety_check(
    py: Python<'_>,
    path: Target,
    max_table_bytes: Option<Bytes>,
) -> PyResult<Bound<'_, PyAny>> {
    let mut options = SafetyOptions::default();
    if let Some(Bytes(most)) = max_table_bytes {
        options.max_table_bytes = most;
    }
    let report = detached(py, move || match path {
        Target::Path(path) => qed_core::safety_check(path, &options),
        Target::File(file) => qed_core::safety_check_file(file, &options),
    })?;
    safety(py, &report)
}

/// What another program would choke on or harm.
#[pyfunction]
#[pyo3(signature = (path, reader, *, fix, progress, **options))]
pub(crate) fn lint<'py>(
    py: Python<'py>,
    path: Target,
    reader: &str,
    fix: bool,
    progress: Option<Py<PyAny>>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let Some(reader) = Reader::by_name(reader) else {
        let text = format!("reader takes qemu or virtualbox, not {reader:?}");
        return Err(errors::invalid(py, text));
    };
    let options = options::open(py, options)?;
    let mut reporter = Reporter::new(progress);
    let linted = detached(py, || {
        let report = &mut |done, total| reporter.report(done, total);
        match path {
            Target::Path(path) => qed_core::lint(path, reader, fix, &options, report),
            Target::File(file) => qed_core::lint_file(file, reader, fix, &options, report),
        }
    });
    lint_report(py, &reporter.finish(linted)?)
}

/// `qed.SafetyReport`.
fn safety<'py>(py: Python<'py>, report: &SafetyReport) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let backing = report.backing.as_ref();
    let fields = PyDict::new(py);
    fields.set_item("safe", report.is_safe())?;
    fields.set_item("format", report.format.map(Format::name))?;
    fields.set_item("file_length", report.file_length)?;
    fields.set_item("virtual_size", report.virtual_size)?;
    fields.set_item("backing", backing.map(|backing| OsStr::from_bytes(&backing.name)))?;
    fields.set_item("unknown_features", report.unknown_features)?;
    fields.set_item("needs_check", report.needs_check)?;
    fields.set_item("consistent", report.consistent)?;
    fields.set_item("fault", report.fault.as_ref().map(ToString::to_string))?;
    CLASS.import(py, "qed._results", "SafetyReport")?.call((), Some(&fields))
}

/// `qed.LintReport`.
fn lint_report<'py>(py: Python<'py>, report: &LintReport) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let list = |found: &[LintFinding]| {
        let found = found.iter().map(|finding| lint_finding(py, finding));
        PyTuple::new(py, found.collect::<PyResult<Vec<_>>>()?)
    };
    let class = CLASS.import(py, "qed._results", "LintReport")?;
    class.call1((report.reader.name(), list(&report.findings)?, list(&report.fixed)?))
}

/// `qed.LintFinding`.
fn lint_finding<'py>(py: Python<'py>, finding: &LintFinding) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let rule = finding.rule;
    let class = CLASS.import(py, "qed._results", "LintFinding")?;
    class.call1((rule.name(), rule.severity().name(), finding.text.as_str(), finding.fixable))
}
