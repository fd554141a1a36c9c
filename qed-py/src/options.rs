//! Keyword arguments as the engine's named options: one table for C, Python and the command line.

use crate::arguments;
use crate::errors;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyInt, PyString};
use qed_core::{
    Aio, CheckPlan, CreateOptions, Format, NamedOptions, OpenOptions, OptionValue, QueueOptions,
};

/// What `open` and `inspect` take.
pub(crate) fn open(py: Python<'_>, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<OpenOptions> {
    named(py, keywords)?.to_open().map_err(|error| errors::to_python(py, &error))
}

/// What `check` takes.
pub(crate) fn check(py: Python<'_>, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<CheckPlan> {
    named(py, keywords)?.to_check().map_err(|error| errors::to_python(py, &error))
}

/// What `create` takes.
pub(crate) fn create(
    py: Python<'_>,
    keywords: Option<&Bound<'_, PyDict>>,
) -> PyResult<CreateOptions> {
    named(py, keywords)?.to_create().map_err(|error| errors::to_python(py, &error))
}

/// What queues take beside their depth.
pub(crate) fn queue(
    py: Python<'_>,
    keywords: Option<&Bound<'_, PyDict>>,
) -> PyResult<QueueOptions> {
    named(py, keywords)?.to_queue().map_err(|error| errors::to_python(py, &error))
}

/// The engine that the word means, by the table's entry for `aio`.
pub(crate) fn aio(py: Python<'_>, word: &str) -> PyResult<Aio> {
    let mut options = NamedOptions::new();
    options
        .set("aio", OptionValue::Str(word.to_owned()))
        .and_then(|()| options.to_queue())
        .map(|options| options.aio)
        .map_err(|error| errors::to_python(py, &error))
}

/// The format that the word means, by the table's entry for `format`.
pub(crate) fn format(py: Python<'_>, word: String) -> PyResult<Format> {
    let mut options = NamedOptions::new();
    options
        .set("format", OptionValue::Str(word))
        .and_then(|()| options.to_open())
        .map(|options| options.format)
        .map_err(|error| errors::to_python(py, &error))
}

fn named(py: Python<'_>, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<NamedOptions> {
    let mut options = NamedOptions::new();
    for (name, value) in keywords.into_iter().flatten() {
        let name: String = name.extract()?;
        let value = option_value(&name, &value)?;
        options.set(&name, value).map_err(|error| errors::to_python(py, &error))?;
    }
    Ok(options)
}

fn option_value(name: &str, value: &Bound<'_, PyAny>) -> PyResult<OptionValue> {
    // bool before int: True is an int to Python.
    if value.is_instance_of::<PyBool>() {
        return value.extract().map(OptionValue::Bool);
    }
    if value.is_instance_of::<PyInt>() {
        let arguments::Bytes(number) = value.extract()?;
        return Ok(OptionValue::U64(number));
    }
    if value.is_instance_of::<PyString>() {
        return value.extract().map(OptionValue::Str);
    }
    if value.is_instance_of::<PyBytes>() || value.hasattr("__fspath__")? {
        return arguments::path(value).map(OptionValue::Path);
    }
    let kind = value.get_type();
    Err(PyTypeError::new_err(format!(
        "option {name:?} takes a str, an int, a bool or a path, not {}",
        kind.name()?
    )))
}
