//! Failures of the engine's as instances of `qed.crash.Failure`.

use super::tally::Tally;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use qed_core::crash::Failure;
use qed_core::crash::explore::Report;
use qed_core::crash::report::Barrier;

/// A report as a tally and a list of failures.
pub(crate) fn report<'py>(
    py: Python<'py>,
    mut report: Report,
) -> PyResult<(Tally, Bound<'py, PyList>)> {
    let failures = std::mem::take(&mut report.failures);
    let failures = failures.iter().map(|found| failure(py, found)).collect::<PyResult<Vec<_>>>()?;
    Ok((Tally::new(report), PyList::new(py, failures)?))
}

fn failure<'py>(py: Python<'py>, failure: &Failure) -> PyResult<Bound<'py, PyAny>> {
    let module = py.import("qed.crash._results")?;
    let rows = &failure.timeline.rows;
    let write = |number: &u64| {
        let start = format!("#{number} ");
        let row = rows.iter().find(|row| row.disk.starts_with(&start));
        let text = row.map_or("", |row| row.disk[start.len()..].trim());
        module.getattr("Write")?.call1((number, text))
    };
    let writes = |numbers: &[u64]| -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, numbers.iter().map(write).collect::<PyResult<Vec<_>>>()?)
    };
    let (lost, early, torn) = match &failure.barrier {
        Barrier::Between { lost, early } => (writes(lost)?, writes(early)?, writes(&[])?),
        Barrier::Whole(torn) => (writes(&[])?, writes(&[])?, writes(torn)?),
        Barrier::None => (writes(&[])?, writes(&[])?, writes(&[])?),
    };
    let guest = rows.iter().map(|row| row.guest.as_str());
    let guest: Vec<&str> = guest.filter(|text| !text.is_empty()).collect();
    let fields = PyDict::new(py);
    fields.set_item("oracle", &failure.finding.oracle)?;
    fields.set_item("what", &failure.finding.what)?;
    fields.set_item("state", &failure.state)?;
    fields.set_item("writes", writes(&failure.writes)?)?;
    fields.set_item("barrier", module.getattr("Barrier")?.call1((lost, early, torn))?)?;
    fields.set_item("guest_operations", PyTuple::new(py, guest)?)?;
    fields.set_item("replay", &failure.replay)?;
    fields.set_item("report", failure.to_string())?;
    fields.set_item("_timeline", failure.timeline.to_string())?;
    fields.set_item("_svg", failure.timeline.svg())?;
    module.getattr("Failure")?.call((), Some(&fields))
}
