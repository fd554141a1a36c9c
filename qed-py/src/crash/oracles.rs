//! Oracles as Python names them: a word, a tuple of a word and its settings, or any callable.

use super::prepared::Prepared;
use super::view::View;
use parking_lot::Mutex;
use pyo3::exceptions::{PyException, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyString, PyTuple};
use qed_core::crash::oracle::{Case, Nested, Oracle, Own, Qemu, named};
use qed_core::crash::{Recording, Study};
use std::path::PathBuf;
use std::sync::Arc;

/// Oracles that can be built for any recording.
pub(crate) struct Oracles {
    all: Vec<One>,
    /// What is no verdict but ends the run: an interrupt, an exit.
    raised: Arc<Mutex<Option<PyErr>>>,
}

enum One {
    Built(Arc<dyn Oracle>),
    Own { name: String, judge: Arc<Py<PyAny>> },
}

impl Oracles {
    pub(crate) fn of(objects: &Bound<'_, PyAny>) -> PyResult<Self> {
        let all = objects.try_iter()?.map(|object| one(&object?)).collect::<PyResult<_>>()?;
        Ok(Self { all, raised: Arc::default() })
    }

    /// The oracles, for judging states of `study`.
    pub(crate) fn build(&self, study: &Arc<Study>) -> Vec<Arc<dyn Oracle>> {
        let build = |one: &One| match one {
            One::Built(oracle) => Arc::clone(oracle),
            One::Own { name, judge } => own(name, judge, study, &self.raised),
        };
        self.all.iter().map(build).collect()
    }

    /// Whether to go on judging: no signal has a handler that raises, and no oracle has.
    pub(crate) fn goes_on(&self) -> bool {
        let mut raised = self.raised.lock();
        if raised.is_none() {
            drop(raised);
            let signal = Python::attach(|py| py.check_signals().err());
            raised = self.raised.lock();
            *raised = raised.take().or(signal);
        }
        raised.is_none()
    }

    /// Fails with what ended the run, if anything did.
    pub(crate) fn settle(&self) -> PyResult<()> {
        self.raised.lock().take().map_or(Ok(()), Err)
    }
}

fn one(object: &Bound<'_, PyAny>) -> PyResult<One> {
    let py = object.py();
    if let Ok(name) = object.cast::<PyString>() {
        let oracle = named(&name.to_string()).map_err(|e| crate::errors::to_python(py, &e))?;
        return Ok(One::Built(oracle));
    }
    if let Ok(words) = object.cast::<PyTuple>() {
        return configured(words).map(One::Built);
    }
    if !object.is_callable() {
        let kind = object.get_type();
        let text = format!("an oracle is a name or a callable, not {}", kind.name()?);
        return Err(PyTypeError::new_err(text));
    }
    let name = object.getattr_opt("__name__")?.unwrap_or_else(|| object.get_type().into_any());
    Ok(One::Own { name: name.str()?.to_string(), judge: Arc::new(object.clone().unbind()) })
}

fn configured(words: &Bound<'_, PyTuple>) -> PyResult<Arc<dyn Oracle>> {
    let name: String = words.get_item(0)?.extract()?;
    if name == "nested" {
        let (_, depth): (String, usize) = words.extract()?;
        return Ok(Arc::new(Nested::new(depth)));
    }
    let (_, jobs, repair, beside): (String, usize, bool, Option<PathBuf>) = words.extract()?;
    Ok(Arc::new(Qemu { jobs: jobs.max(1), repair, beside }))
}

fn own(
    name: &str,
    judge: &Arc<Py<PyAny>>,
    study: &Arc<Study>,
    raised: &Arc<Mutex<Option<PyErr>>>,
) -> Arc<dyn Oracle> {
    let (judge, study, raised) = (Arc::clone(judge), Arc::clone(study), Arc::clone(raised));
    Arc::new(Own::new(name, move |case: &Case<'_>| {
        if raised.lock().is_some() {
            return Ok(());
        }
        let disk = study.recover(case.medium).map_err(|error| format!("opening: {error}"))?;
        let (view, prepared) = (View::new(Arc::clone(&study), case.t), Prepared::new(disk));
        Python::attach(|py| {
            let verdict = ask(py, &judge, prepared, view);
            verdict.unwrap_or_else(|error| {
                // An exception is a verdict; what asks the program to end is none.
                if error.is_instance_of::<PyException>(py) {
                    return Err(told(py, &error));
                }
                raised.lock().get_or_insert(error);
                Ok(())
            })
        })
    }))
}

/// Calls a Python oracle through `qed.crash._oracle.ask`, which gives it an image and closes that.
fn ask(
    py: Python<'_>,
    judge: &Py<PyAny>,
    prepared: Prepared,
    view: View,
) -> PyResult<Result<(), String>> {
    let ask = py.import("qed.crash._oracles")?.getattr("ask")?;
    let answer = ask.call1((judge, prepared, view))?;
    if answer.is_none() {
        return Ok(Ok(()));
    }
    if let Ok(answer) = answer.cast::<PyBool>() {
        return Ok(if answer.is_true() { Ok(()) } else { Err("it says no".to_owned()) });
    }
    if let Ok(what) = answer.cast::<PyString>() {
        return Ok(Err(what.to_string()));
    }
    let text =
        format!("an oracle answers None, a bool or a str, not {}", answer.get_type().name()?);
    Err(PyTypeError::new_err(text))
}

/// An exception in one line, the first of its text.
fn told(py: Python<'_>, error: &PyErr) -> String {
    let name = error.get_type(py).name().map(|name| name.to_string()).unwrap_or_default();
    let text = error.value(py).str().map(|text| text.to_string()).unwrap_or_default();
    match text.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(line) => format!("{name}: {line}"),
        None => name,
    }
}

/// The names of the oracles that judge images of the recording's format unless others are asked.
pub(crate) fn default_names(recording: &Recording) -> Vec<&'static str> {
    let format = recording.format;
    let serving = qed_core::crash::oracle::DEFAULT.into_iter().chain(["qemu"]);
    let serves = |name: &&str| named(name).is_ok_and(|oracle| oracle.serves(format));
    let mut names: Vec<&str> = serving.filter(serves).collect();
    // QEMU's tools are asked where nobody else can judge.
    if names.len() > 2 {
        names.retain(|name| *name != "qemu");
    }
    names
}
