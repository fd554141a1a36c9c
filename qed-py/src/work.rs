//! Work on a whole image in use, with progress, and stopped by what that raises.

use crate::arguments::{self, Bytes};
use crate::image::Image;
use crate::progress::Reporter;
use crate::results;
use pyo3::prelude::*;
use qed_core::{CompactOptions, StreamOptions};

/// Brings an image's clusters into the guest's order and cuts its file.
#[pyfunction]
#[pyo3(signature = (image, *, batch, progress))]
pub(crate) fn compact<'py>(
    py: Python<'py>,
    image: &Bound<'_, Image>,
    batch: Option<Bytes>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut how = CompactOptions::default();
    if let Some(Bytes(batch)) = batch {
        how.batch = batch;
    }
    let mut reporter = Reporter::new(progress);
    let outcome = Image::with_all(py, &[image.get()], |disks| {
        qed_core::compact(disks[0], &how, &mut |done, total| reporter.report(done, total))
    });
    results::compaction(py, &reporter.finish(outcome)?)
}

/// Brings what an image has from below into its own file.
#[pyfunction]
#[pyo3(signature = (image, *, base, rate, progress))]
pub(crate) fn stream(
    py: Python<'_>,
    image: &Bound<'_, Image>,
    base: Option<&Bound<'_, PyAny>>,
    rate: Option<Bytes>,
    progress: Option<Py<PyAny>>,
) -> PyResult<()> {
    let mut how = StreamOptions::default();
    how.base = base.map(arguments::path).transpose()?;
    how.rate = rate.map(|Bytes(rate)| rate);
    let mut reporter = Reporter::new(progress);
    let outcome = Image::with_all(py, &[image.get()], |disks| {
        qed_core::stream(disks[0], &how, &mut |done, total| reporter.report(done, total))
    });
    reporter.finish(outcome)
}
