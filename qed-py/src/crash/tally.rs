//! The native class `Tally`: what was walked through; tallies of shards add up.

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use qed_core::crash::Mode;
use qed_core::crash::explore::{Counts, Report};
use std::collections::BTreeMap;

/// Counts of an exploration.
#[pyclass(frozen, module = "qed._qed")]
pub(crate) struct Tally(Mutex<Report>);

impl Tally {
    /// Of a report whose failures were taken out.
    pub(crate) fn new(report: Report) -> Self {
        Self(Mutex::new(report))
    }
}

/// A report as plain data, and back.
type Parts = (
    Vec<usize>,
    BTreeMap<String, (usize, usize)>,
    Vec<u8>,
    BTreeMap<usize, usize>,
    Vec<usize>,
    usize,
    usize,
);

#[pymethods]
impl Tally {
    #[new]
    fn empty() -> Self {
        Self::new(Report::default())
    }

    /// Adds what another shard walked through.
    fn merge(&self, other: &Self) {
        let Report { windows, modes, contents, sampled, torn_sampled, largest, left_out, .. } =
            &*other.0.lock();
        let other = Report {
            windows: windows.clone(),
            modes: modes.clone(),
            contents: contents.clone(),
            sampled: sampled.clone(),
            torn_sampled: torn_sampled.clone(),
            largest: *largest,
            left_out: *left_out,
            failures: Vec::new(),
        };
        self.0.lock().merge(other);
    }

    /// States of distinct content.
    #[getter]
    fn unique(&self) -> usize {
        self.0.lock().unique()
    }

    /// Windows of crash points.
    #[getter]
    fn windows(&self) -> usize {
        self.0.lock().windows.len()
    }

    /// For each mode the states built and the states judged.
    #[getter]
    fn modes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let modes = PyDict::new(py);
        for (mode, counts) in &self.0.lock().modes {
            modes.set_item(mode.name(), (counts.generated, counts.judged))?;
        }
        Ok(modes)
    }

    /// Windows of which only a sample was walked.
    #[getter]
    fn sampled(&self) -> usize {
        let report = self.0.lock();
        report
            .sampled
            .keys()
            .chain(&report.torn_sampled)
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    }

    /// The most operations that a window had to choose from.
    #[getter]
    fn largest(&self) -> usize {
        self.0.lock().largest
    }

    /// States that were left out for the budget.
    #[getter]
    fn left_out(&self) -> usize {
        self.0.lock().left_out
    }

    /// Whether every legal state was walked, as far as the modes go.
    #[getter]
    fn is_exhaustive(&self) -> bool {
        self.0.lock().is_exhaustive()
    }

    /// Equal where the same contents were walked.
    #[getter]
    fn digest(&self) -> u64 {
        self.0.lock().digest()
    }

    #[staticmethod]
    fn from_parts(parts: Parts) -> Self {
        let (windows, modes, contents, sampled, torn_sampled, largest, left_out) = parts;
        let mode = |(name, (generated, judged)): (String, (usize, usize))| {
            let mode = Mode::ALL.into_iter().find(|mode| mode.name() == name)?;
            Some((mode, Counts { generated, judged }))
        };
        let word = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).unwrap_or_default();
        Self::new(Report {
            windows: windows.into_iter().collect(),
            modes: modes.into_iter().filter_map(mode).collect(),
            contents: contents.chunks_exact(8).map(word).collect(),
            sampled,
            torn_sampled: torn_sampled.into_iter().collect(),
            largest,
            left_out,
            failures: Vec::new(),
        })
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        let report = slf.get().0.lock();
        let modes = report.modes.iter();
        let modes: BTreeMap<_, _> =
            modes.map(|(mode, found)| (mode.name(), (found.generated, found.judged))).collect();
        let contents: Vec<u8> = report.contents.iter().flat_map(|c| c.to_le_bytes()).collect();
        let parts = (
            report.windows.iter().copied().collect::<Vec<_>>(),
            modes,
            PyBytes::new(py, &contents),
            report.sampled.clone(),
            report.torn_sampled.iter().copied().collect::<Vec<_>>(),
            report.largest,
            report.left_out,
        );
        let restore = slf.get_type().getattr("from_parts")?;
        (restore, (parts,)).into_pyobject(py)
    }

    fn __str__(&self) -> String {
        // The failures are elsewhere, and so is their number.
        let text = self.0.lock().to_string();
        text.strip_suffix("; 0 failures").map_or_else(|| text.clone(), str::to_owned)
    }
}
