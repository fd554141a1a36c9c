//! The native class `Prepared`: a disk that is open already and becomes an `Image` once.

use crate::errors;
use parking_lot::Mutex;
use pyo3::prelude::*;
use qed_core::Disk;

/// An open disk on its way into an `Image`.
#[pyclass(frozen, module = "qed._qed")]
pub(crate) struct Prepared(Mutex<Option<Box<Disk>>>);

impl Prepared {
    pub(crate) fn new(disk: Disk) -> Self {
        Self(Mutex::new(Some(Box::new(disk))))
    }

    /// The disk; once.
    pub(crate) fn take(&self, py: Python<'_>) -> PyResult<Disk> {
        let disk = self.0.lock().take();
        disk.map(|disk| *disk)
            .ok_or_else(|| errors::invalid(py, "a prepared disk becomes one image"))
    }
}
