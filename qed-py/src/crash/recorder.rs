//! The native class `CrashRecorder`: a disk's run, while it is recorded.

use super::log::{Below, CrashLog};
use super::prepared::Prepared;
use crate::call::detached;
use crate::{arguments, errors, options};
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use qed_core::crash::Session;
use qed_core::{Error, ErrorKind};
use std::sync::Arc;

/// Records one opened disk.
#[pyclass(frozen, module = "qed._qed")]
pub(crate) struct CrashRecorder {
    session: Arc<Session>,
    disk: Mutex<Option<Prepared>>,
    below: Below,
}

#[pymethods]
impl CrashRecorder {
    #[new]
    #[pyo3(signature = (path, **options))]
    fn new(
        py: Python<'_>,
        path: &Bound<'_, PyAny>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let path = arguments::path(path)?;
        let options = options::open(py, options)?;
        detached(py, move || {
            let (session, disk) = Session::open(&path, &options)?;
            let below = match disk.layers().get(1) {
                None => Below::default(),
                Some(layer) => {
                    let path = layer.path.as_deref().ok_or_else(|| {
                        let text = "a backing file without a path cannot be opened for exploring";
                        Error::new(ErrorKind::Unsupported, text)
                    })?;
                    Below::file(path, layer.format, &options)?
                }
            };
            Ok(Self { session, disk: Mutex::new(Some(Prepared::new(disk))), below })
        })
    }

    /// The recorded disk; once.
    fn prepared(&self, py: Python<'_>) -> PyResult<Prepared> {
        let prepared = self.disk.lock().take();
        prepared.ok_or_else(|| errors::invalid(py, "a recorder has one image"))
    }

    /// Writes a remark into the log.
    fn mark(&self, py: Python<'_>, text: &str) -> PyResult<()> {
        detached(py, || self.session.mark(text))
    }

    /// Everything so far.
    fn log(&self, py: Python<'_>) -> PyResult<CrashLog> {
        detached(py, || Ok(CrashLog::new(self.session.recording()?, self.below.clone())))
    }
}
