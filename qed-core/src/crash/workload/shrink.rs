//! From a workload that fails to one with the fewest guest operations that still does.

use super::{Step, Workload};
use crate::crash::oracle::Oracle;
use crate::crash::report::Failure;
use crate::crash::states::Plan;
use std::sync::Arc;

/// The shortest workload found that fails the same oracle, and its failure. Steps are left out one
/// by one, then calls that are made inside others; what fails to run at all is no candidate.
#[must_use]
pub fn shrink(
    workload: &Workload,
    failure: Failure,
    plan: &Plan,
    oracles: &[Arc<dyn Oracle>],
) -> (Workload, Failure) {
    let oracle = failure.finding.oracle.clone();
    shrink_by(workload, failure, |candidate| {
        let report = candidate.explore(plan, oracles).ok()?;
        report.failures.into_iter().find(|failure| failure.finding.oracle == oracle)
    })
}

/// The same, where `retry` says how a candidate fails.
#[must_use]
pub fn shrink_by(
    workload: &Workload,
    failure: Failure,
    retry: impl Fn(&Workload) -> Option<Failure>,
) -> (Workload, Failure) {
    let oracle = failure.finding.oracle.clone();
    let (mut best, mut failure) = (workload.clone(), failure);
    loop {
        let smaller = candidates(&best.steps).into_iter().find_map(|steps| {
            let candidate = Workload { steps, ..best.clone() };
            let failed = retry(&candidate).filter(|failed| failed.finding.oracle == oracle);
            failed.map(|failure| (candidate, failure))
        });
        match smaller {
            Some(found) => (best, failure) = found,
            None => return (best, failure),
        }
    }
}

/// All lists of steps that are one step, or one inner call, shorter.
fn candidates(steps: &[Step]) -> Vec<Vec<Step>> {
    let without = |index: usize| {
        let mut steps = steps.to_vec();
        steps.remove(index);
        steps
    };
    let mut lists: Vec<Vec<Step>> = (0..steps.len()).rev().map(without).collect();
    for (index, step) in steps.iter().enumerate() {
        lists.extend(smaller(step).into_iter().map(|smaller| {
            let mut steps = steps.to_vec();
            steps[index] = smaller;
            steps
        }));
    }
    lists
}

/// What `step` is with one inner call less.
fn smaller(step: &Step) -> Vec<Step> {
    let (Step::During(_, _, inner) | Step::Beside(_, _, inner) | Step::Queued(inner)) = step else {
        return Vec::new();
    };
    let without = |index: usize| {
        let mut inner = inner.clone();
        inner.remove(index);
        match step {
            Step::During(call, ..) if inner.is_empty() => Step::Make(call.clone()),
            Step::During(call, when, _) => Step::During(call.clone(), when.clone(), inner),
            Step::Beside(work, ..) if inner.is_empty() => Step::Work(*work),
            Step::Beside(work, when, _) => Step::Beside(*work, when.clone(), inner),
            _ => Step::Queued(inner),
        }
    };
    (0..inner.len()).map(without).collect()
}
