//! The native class `CrashState`: one legal state of a log's file.

use super::prepared::Prepared;
use super::view::View;
use crate::arguments;
use crate::call::detached;
use pyo3::prelude::*;
use qed_core::crash::{ExploredState, Study};
use std::sync::Arc;

/// One legal state.
#[pyclass(frozen, module = "qed._qed")]
pub(crate) struct CrashState {
    study: Arc<Study>,
    state: ExploredState,
}

impl CrashState {
    pub(crate) fn new(study: Arc<Study>, state: ExploredState) -> Self {
        Self { study, state }
    }
}

#[pymethods]
impl CrashState {
    /// Its name: `window:prefix-lost+early~torn.part`.
    #[getter]
    fn name(&self) -> &str {
        &self.state.name
    }

    /// The kind of disorder: "prefix", "reorder" or "torn".
    #[getter]
    fn mode(&self) -> &'static str {
        self.state.mode.name()
    }

    /// Operations that are out of order or torn.
    #[getter]
    fn deviation(&self) -> usize {
        self.state.deviation
    }

    /// Bytes of the file.
    #[getter]
    fn length(&self) -> u64 {
        self.state.medium.length()
    }

    /// Equal for states of equal content.
    #[getter]
    fn digest(&self) -> u64 {
        self.state.medium.digest()
    }

    /// What had happened, and what was stable.
    #[getter]
    fn view(&self) -> View {
        View::new(Arc::clone(&self.study), self.state.t)
    }

    /// Opens the state in memory; each opening has a copy of its own.
    fn prepare(&self, py: Python<'_>, read_only: bool) -> PyResult<Prepared> {
        let disk = detached(py, || self.study.open(&self.state.medium, read_only))?;
        Ok(Prepared::new(disk))
    }

    /// Writes the state into a sparse file.
    fn materialise(&self, py: Python<'_>, path: &Bound<'_, PyAny>) -> PyResult<()> {
        let path = arguments::path(path)?;
        detached(py, || self.state.medium.save(&path))
    }
}
