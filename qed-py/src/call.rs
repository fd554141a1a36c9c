//! The one way from Python into the engine: detached from the interpreter, with panics caught.

use crate::errors;
use pyo3::prelude::*;
use qed_core::{Error, ErrorKind, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work` detached from the interpreter and turns its error into a Python exception.
///
/// `work` must take and release every lock it needs itself: a lock held while this thread waits to
/// attach again could be wanted by the thread that is attached.
pub(crate) fn detached<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T> + Send,
) -> PyResult<T> {
    // A panic is a bug, yet only this call fails: the engine's locks do not poison, and what it
    // left half done in memory latches or is dropped by its guards.
    py.detach(|| catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(bug(&*panic))))
        .map_err(|error| errors::to_python(py, &error))
}

fn bug(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    Error::new(ErrorKind::Internal, format!("internal error, please report it: {text}"))
}
