//! From the engine's error to an instance of the Python class for its kind.
//!
//! The classes are written in Python (`qed/_errors.py`): a native class cannot extend `OSError`
//! under the stable ABI of 3.11. This file only hands the parts over.

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use qed_core::{Error, ErrorKind};
use std::path::Path;

/// The Python exception for `error`.
pub(crate) fn to_python(py: Python<'_>, error: &Error) -> PyErr {
    let whole = error.to_string();
    let prefix = error.file().map(|file| format!("{}: ", file.display()));
    // The file travels in an attribute of its own, and Python's text puts it back in front.
    let text = prefix.and_then(|prefix| whole.strip_prefix(&prefix)).unwrap_or(&whole);
    build(py, error, text).unwrap_or_else(|failure| failure)
}

/// The Python exception for a caller's mistake that this face finds before the engine does.
pub(crate) fn invalid(py: Python<'_>, text: impl Into<String>) -> PyErr {
    to_python(py, &Error::invalid(text))
}

/// The Python exception for a call on something closed.
pub(crate) fn closed(what: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("I/O operation on a closed {what}"))
}

fn build(py: Python<'_>, error: &Error, text: &str) -> PyResult<PyErr> {
    static FACTORY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let factory = FACTORY.import(py, "qed._errors", "from_native")?;
    let file = error.file().map(Path::as_os_str);
    let parts = (error.kind().name(), error.errno(), text, file, error.offset());
    let exception = factory.call1(parts)?;
    if exception.is_instance_of::<PyOSError>() {
        return Ok(PyErr::from_value(exception));
    }
    Ok(PyOSError::new_err((error.errno(), text.to_owned())))
}
