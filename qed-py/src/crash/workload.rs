//! The native class `CrashWorkload`: a run as data.

use super::log::{Below, CrashLog};
use super::oracles::Oracles;
use super::plan::Fields;
use crate::call::detached;
use crate::errors;
use pyo3::prelude::*;
use qed_core::crash::workload::{Shape, every_fault, generate, judge_faults, shrink_by};
use qed_core::crash::{Failure, Plan, Study, Workload};
use qed_core::{Error, Result};
use std::sync::Arc;

/// An image, and what is done to it.
#[pyclass(frozen, module = "qed._qed")]
pub(crate) struct CrashWorkload(Workload);

#[pymethods]
impl CrashWorkload {
    /// The workload that a line says.
    #[new]
    fn parse(py: Python<'_>, line: &str) -> PyResult<Self> {
        line.parse().map(Self).map_err(|error| errors::to_python(py, &error))
    }

    /// A random workload of a shape: "plain", "during-flush", "during-write", "faults", "resizing",
    /// "queued", "compacting" or "streaming".
    #[staticmethod]
    fn generate(py: Python<'_>, seed: u64, shape: &str) -> PyResult<Self> {
        let found = Shape::ALL.into_iter().find(|found| found.name() == shape);
        let known: Vec<&str> = Shape::ALL.into_iter().map(Shape::name).collect();
        let text = || format!("shape {shape:?} is none of {}", known.join(", "));
        found.map(|shape| Self(generate(shape, seed))).ok_or_else(|| errors::invalid(py, text()))
    }

    /// The steps, each as its words.
    #[getter]
    fn steps(&self) -> Vec<String> {
        self.0.steps.iter().map(ToString::to_string).collect()
    }

    /// Bytes that the workload's disk writes as a whole.
    #[getter]
    fn unit(&self) -> u64 {
        self.0.unit
    }

    /// Runs it, recorded.
    fn record(&self, py: Python<'_>) -> PyResult<CrashLog> {
        detached(py, || {
            let below = self.0.under().map_or_else(Below::default, Below::made);
            Ok(CrashLog::new(self.0.record()?, below))
        })
    }

    /// The shortest workload found that fails as this one does.
    fn shrink(&self, py: Python<'_>, plan: Fields, oracles: &Bound<'_, PyAny>) -> PyResult<Self> {
        let plan = Plan { unit: self.0.unit, failures: 1, ..plan.to_plan(py)? };
        let oracles = Oracles::of(oracles)?;
        let shrunk = detached(py, || {
            let failure = first_failure(&self.0, &plan, &oracles)?.ok_or_else(|| {
                Error::invalid("a workload that does not fail has nothing to shrink")
            })?;
            let retry = |candidate: &Workload| first_failure(candidate, &plan, &oracles).ok()?;
            Ok(Self(shrink_by(&self.0, failure, retry).0))
        })?;
        oracles.settle()?;
        Ok(shrunk)
    }

    /// Runs it with every fault of its disk in turn: how many there are, and what is wrong.
    fn faults(&self, py: Python<'_>) -> PyResult<(usize, Vec<String>)> {
        let faults = detached(py, || every_fault(&self.0))?;
        let mut wrong = Vec::new();
        for fault in &faults {
            // Between two runs, so that Ctrl-C ends it.
            py.check_signals()?;
            if let Err(finding) = detached(py, || judge_faults(&self.0, *fault))? {
                wrong.push(finding.to_string());
            }
        }
        Ok((faults.len(), wrong))
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }
}

fn first_failure(workload: &Workload, plan: &Plan, oracles: &Oracles) -> Result<Option<Failure>> {
    let study = Arc::new(Study::new(workload.record()?)?);
    let built = oracles.build(&study);
    for shard in study.shards(plan, &built)? {
        let goes_on = &mut || oracles.goes_on();
        let mut report = study.run(plan, &shard, built.clone(), goes_on)?;
        if !report.failures.is_empty() {
            return Ok(Some(report.failures.remove(0)));
        }
    }
    Ok(None)
}
