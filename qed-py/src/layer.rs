//! The native class `Layer`: one image file looked at, its backing file never opened.

use crate::arguments::{Bytes, Target};
use crate::call::detached;
use crate::errors;
use crate::extents::{Extents, Owner};
use crate::{options, results};
use parking_lot::RwLock;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use qed_core::Result;

/// An image file opened for looking only.
#[pyclass(frozen, subclass, module = "qed._qed")]
pub(crate) struct Layer {
    /// Boxed: an object of the interpreter's has no alignment of its own to give.
    engine: RwLock<Option<Box<qed_core::Layer>>>,
}

impl Layer {
    /// Runs `work` on the engine, detached from the interpreter.
    pub(crate) fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&qed_core::Layer) -> Result<T> + Send,
    ) -> PyResult<T> {
        detached(py, || {
            let engine = self.engine.read();
            work(engine.as_deref().ok_or_else(|| errors::closed("layer"))?)
        })
    }
}

#[pymethods]
impl Layer {
    #[new]
    #[pyo3(signature = (path, **options))]
    fn new(py: Python<'_>, path: Target, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let options = options::open(py, options)?;
        let engine = detached(py, || match path {
            Target::Path(path) => qed_core::inspect(path, &options),
            Target::File(file) => qed_core::inspect_file(file, &options),
        })?;
        Ok(Self { engine: RwLock::new(Some(Box::new(engine))) })
    }

    /// Bytes of the disk the guest sees.
    #[getter]
    fn size(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |engine| Ok(engine.size()))
    }

    /// Whether the layer is closed.
    #[getter]
    fn closed(&self, py: Python<'_>) -> PyResult<bool> {
        detached(py, || Ok(self.engine.read().is_none()))
    }

    /// What the image says about itself.
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let info = self.with(py, qed_core::Layer::info)?;
        results::info(py, &info)
    }

    /// How the guest's space lies in the file: this layer only, in runs.
    #[pyo3(
        signature = (offset = Bytes(0), length = None),
        text_signature = "($self, offset=0, length=None)"
    )]
    fn extents(slf: &Bound<'_, Self>, offset: Bytes, length: Option<Bytes>) -> PyResult<Extents> {
        Extents::new(slf.py(), Owner::Layer(slf.clone().unbind()), offset, length)
    }

    /// Closes the file. Twice is harmless.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        detached(py, || {
            drop(self.engine.write().take());
            Ok(())
        })
    }
}
