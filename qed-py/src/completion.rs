//! The native class `Completion`: a request that has ended.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A request of a queue that has ended.
#[pyclass(frozen, get_all, module = "qed")]
pub(crate) struct Completion {
    /// What the request was queued with.
    pub(crate) user_data: Py<PyAny>,
    /// What went wrong, a `qed.Error`, or None.
    pub(crate) error: Option<Py<PyAny>>,
    /// What `pread` has read, or None.
    pub(crate) data: Option<Py<PyBytes>>,
}

#[pymethods]
impl Completion {
    /// Return `data`, or raise `error`.
    fn result(&self, py: Python<'_>) -> PyResult<Option<Py<PyBytes>>> {
        match &self.error {
            Some(error) => Err(PyErr::from_value(error.bind(py).clone())),
            None => Ok(self.data.as_ref().map(|data| data.clone_ref(py))),
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let user_data = self.user_data.bind(py).repr()?;
        let outcome = match (&self.error, &self.data) {
            (Some(error), _) => format!("error={}", error.bind(py).repr()?),
            (None, Some(data)) => format!("{} bytes", data.bind(py).as_bytes().len()),
            (None, None) => "done".to_owned(),
        };
        Ok(format!("<qed.Completion user_data={user_data} {outcome}>"))
    }
}
