//! Arguments as Python passes them: numbers, and what names a file.

use crate::{descriptor, errors};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyInt};
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// An offset or a length in bytes; negative or huge numbers are the caller's mistake.
#[derive(Clone, Copy)]
pub(crate) struct Bytes(pub(crate) u64);

impl<'py> FromPyObject<'_, 'py> for Bytes {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = object.py();
        object.extract::<u64>().map(Self).map_err(|error| {
            if !error.is_instance_of::<PyOverflowError>(py) {
                return error;
            }
            let number = object.str().map(|text| text.to_string()).unwrap_or_default();
            errors::invalid(py, format!("{number} is negative or past 2^64"))
        })
    }
}

/// What a caller opens: a path, or a descriptor of which this holds a duplicate.
pub(crate) enum Target {
    Path(PathBuf),
    File(File),
}

impl<'py> FromPyObject<'_, 'py> for Target {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        // True is an int to Python, and nobody means descriptor 1 by it.
        if object.is_instance_of::<PyBool>() {
            return Err(PyTypeError::new_err("a path or a descriptor is wanted, not bool"));
        }
        if object.is_instance_of::<PyInt>() {
            let Bytes(number) = object.extract()?;
            let file =
                descriptor::duplicate(number).map_err(|e| errors::to_python(object.py(), &e))?;
            return Ok(Self::File(file));
        }
        path(&object).map(Self::Path)
    }
}

/// The path that a `str`, `bytes` or `os.PathLike` names, byte for byte.
pub(crate) fn path(object: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    static FSENCODE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = object.py();
    let encoded = FSENCODE.import(py, "os", "fsencode")?.call1((object,))?;
    let bytes: &[u8] = encoded.extract()?;
    if bytes.contains(&0) {
        return Err(errors::invalid(py, "a path holds a NUL byte"));
    }
    Ok(PathBuf::from(OsStr::from_bytes(bytes)))
}
