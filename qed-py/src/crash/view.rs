//! The native class `View`: what an oracle of the user's may hold a state against.

use crate::arguments::Bytes;
use crate::buffers::Source;
use crate::errors;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use qed_core::crash::Study;
use std::sync::Arc;

/// What had happened, and what was stable, when the power failed.
#[pyclass(frozen, module = "qed._qed")]
pub(crate) struct View {
    study: Arc<Study>,
    t: usize,
}

impl View {
    pub(crate) fn new(study: Arc<Study>, t: usize) -> Self {
        Self { study, t }
    }
}

#[pymethods]
impl View {
    /// The texts of all marks that were made before the crash, in order.
    #[getter]
    fn marks(&self) -> Vec<String> {
        self.study.marks_at(self.t).into_iter().map(str::to_owned).collect()
    }

    /// The guest's calls that were made before the crash, in order.
    #[getter]
    fn calls<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let class = py.import("qed.crash._results")?.getattr("GuestCall")?;
        let subject = self.study.subject();
        let call = |(number, returned, stable): (u64, bool, bool)| {
            let index = usize::try_from(number).ok();
            let call = index.and_then(|index| subject.recording.calls.get(index));
            let text = call.map(ToString::to_string).unwrap_or_default();
            class.call1((number, text, returned, stable))
        };
        let calls = subject.model.calls_at(self.t).into_iter().map(call);
        PyTuple::new(py, calls.collect::<PyResult<Vec<_>>>()?)
    }

    /// Whether the guest may read `data` at `offset` now: whole sectors of 512 bytes.
    fn allows(&self, offset: Bytes, data: &Bound<'_, PyAny>) -> PyResult<bool> {
        let source = Source::of(data)?;
        let allowed = self.study.allows(offset.0, source.as_slice(), self.t);
        allowed.map_err(|error| errors::to_python(data.py(), &error))
    }

    /// Whether every sector of the range has one value alone that the guest may read now.
    fn is_stable(&self, py: Python<'_>, offset: Bytes, length: Bytes) -> PyResult<bool> {
        let stable = self.study.is_stable(offset.0, length.0, self.t);
        stable.map_err(|error| errors::to_python(py, &error))
    }

    fn __repr__(&self) -> String {
        format!("<qed.crash.View at crash point {}>", self.t)
    }
}
