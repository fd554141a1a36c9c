//! Changing what lies below an image, by paths: commit and rebase.

use crate::arguments;
use crate::call::detached;
use crate::options;
use crate::progress::Reporter;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use qed_core::{CommitOptions, RebaseOptions};
use std::path::PathBuf;

/// Commits an image to its backing file, or to one further down.
#[pyfunction]
#[pyo3(signature = (path, *, base, keep, rate, progress, **options))]
pub(crate) fn commit(
    py: Python<'_>,
    path: PathBuf,
    base: Option<&Bound<'_, PyAny>>,
    keep: bool,
    rate: Option<u64>,
    progress: Option<Py<PyAny>>,
    options: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    let options = options::open(py, options)?;
    let mut how = CommitOptions::default();
    how.base = base.map(arguments::path).transpose()?;
    (how.keep, how.rate) = (keep, rate);
    let mut reporter = Reporter::new(progress);
    let outcome = detached(py, || {
        qed_core::commit(path, &options, &how, &mut |done, total| reporter.report(done, total))
    });
    reporter.finish(outcome)
}

/// Puts an image over another backing file, or over none.
#[pyfunction]
#[pyo3(signature = (path, backing, *, backing_format, name_only, rate, progress, **options))]
#[allow(clippy::too_many_arguments)] // Each is one of Python's keywords.
pub(crate) fn rebase(
    py: Python<'_>,
    path: PathBuf,
    backing: Option<&Bound<'_, PyAny>>,
    backing_format: Option<String>,
    name_only: bool,
    rate: Option<u64>,
    progress: Option<Py<PyAny>>,
    options: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    let options = options::open(py, options)?;
    let mut how = RebaseOptions::default();
    how.backing = backing.map(arguments::path).transpose()?;
    how.backing_format = backing_format.map(|word| options::format(py, word)).transpose()?;
    (how.name_only, how.rate) = (name_only, rate);
    let mut reporter = Reporter::new(progress);
    let outcome = detached(py, || {
        qed_core::rebase(path, &options, &how, &mut |done, total| reporter.report(done, total))
    });
    reporter.finish(outcome)
}
