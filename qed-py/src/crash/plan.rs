//! A Python `qed.crash.Plan` as the engine's.

use crate::errors;
use pyo3::prelude::*;
use qed_core::crash::{Mode, Plan};

/// The fields of a `qed.crash.Plan`; None means what the engine does by itself.
#[derive(FromPyObject)]
pub(crate) struct Fields {
    modes: Vec<String>,
    unit: u64,
    seed: u64,
    states: Option<usize>,
    failures: usize,
    full: Option<usize>,
    torn_full: Option<usize>,
    samples: Option<usize>,
}

impl Fields {
    pub(crate) fn to_plan(&self, py: Python<'_>) -> PyResult<Plan> {
        let default = Plan::default();
        let mode = |name: &String| {
            let found = Mode::ALL.into_iter().find(|mode| mode.name() == name);
            let text = || format!("mode {name:?} is none of prefix, reorder, torn");
            found.ok_or_else(|| errors::invalid(py, text()))
        };
        Ok(Plan {
            unit: self.unit,
            modes: self.modes.iter().map(mode).collect::<PyResult<_>>()?,
            seed: self.seed,
            full: self.full.unwrap_or(default.full),
            torn_full: self.torn_full.unwrap_or(default.torn_full),
            samples: self.samples.unwrap_or(default.samples),
            states: self.states,
            failures: self.failures.max(1),
        })
    }
}
