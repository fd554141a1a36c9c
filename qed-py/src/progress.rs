//! Progress of long calls, told to Python on the thread that made the call.

use pyo3::prelude::*;
use std::ops::ControlFlow;

/// Calls a Python function with what is done; keeps what it raises, which stops the work. Signals
/// are looked at as well, so that Ctrl-C works, and its `KeyboardInterrupt` stops the work alike.
pub(crate) struct Reporter {
    function: Option<Py<PyAny>>,
    raised: Option<PyErr>,
}

impl Reporter {
    pub(crate) fn new(function: Option<Py<PyAny>>) -> Self {
        Self { function, raised: None }
    }

    /// Called detached from the interpreter.
    pub(crate) fn report(&mut self, done: u64, total: u64) -> ControlFlow<()> {
        let told = Python::attach(|py| {
            py.check_signals()?;
            let called = self.function.as_ref().map(|function| function.call1(py, (done, total)));
            called.transpose().map(drop)
        });
        match told {
            Ok(()) => ControlFlow::Continue(()),
            Err(raised) => {
                self.raised = Some(raised);
                ControlFlow::Break(())
            }
        }
    }

    /// The outcome of the call: what was raised on the way goes before what came of it.
    pub(crate) fn finish<T>(self, outcome: PyResult<T>) -> PyResult<T> {
        self.raised.map_or(outcome, Err)
    }
}
