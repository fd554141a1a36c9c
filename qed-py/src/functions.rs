//! The verbs that need no handle: create, probe.

use crate::arguments::{self, Bytes, Target};
use crate::call::detached;
use crate::{errors, options};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use qed_core::{ErrorKind, Format};

/// Creates an image. The Python wrapper has turned a size like "10G" into a number.
#[pyfunction]
#[pyo3(signature = (path, size, backing, **options))]
pub(crate) fn create(
    py: Python<'_>,
    path: Target,
    size: Option<Bytes>,
    backing: Option<&Bound<'_, PyAny>>,
    options: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    let backing = backing.map(arguments::path).transpose()?;
    let mut options = options::create(py, options)?;
    options.size = size.map(|Bytes(size)| size);
    // A path by any of its types, so that a name need not be text.
    options.backing = backing;
    detached(py, move || match path {
        Target::Path(path) => qed_core::create(path, &options),
        Target::File(file) => qed_core::create_file(&file, &options),
    })
}

/// The format that a file's first bytes announce, or None.
#[pyfunction]
#[pyo3(signature = (path))]
pub(crate) fn probe(py: Python<'_>, path: Target) -> PyResult<Option<&'static str>> {
    let format = detached(py, move || match path {
        Target::Path(path) => qed_core::probe(path),
        Target::File(file) => qed_core::probe_file(&file),
    })?;
    Ok(format.map(Format::name))
}

/// The stable names of the engine's kinds of errors: `qed/_errors.py` has a class for each.
#[pyfunction]
pub(crate) fn error_kinds() -> Vec<&'static str> {
    ErrorKind::ALL.iter().map(|kind| kind.name()).collect()
}

/// The bytes that a size like "10G" says.
#[pyfunction]
#[pyo3(signature = (text))]
pub(crate) fn parse_size(py: Python<'_>, text: &str) -> PyResult<u64> {
    qed_core::parse_size(text).map_err(|error| errors::to_python(py, &error))
}
