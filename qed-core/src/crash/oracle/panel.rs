//! Several oracles as one judge of a recording's states.

use super::Oracle;
use super::case::{Baseline, Case};
use super::subject::Subject;
use crate::crash::explore::{CrashState, Finding, Judge};
use crate::crash::states::Frame;
use std::collections::HashSet;
use std::sync::Arc;

/// Asks its oracles about every state, in order, until one of them objects.
///
/// Oracles that look at the content alone are asked once about a content.
#[derive(Debug)]
pub struct Panel<'a> {
    subject: &'a Subject,
    oracles: Vec<Arc<dyn Oracle>>,
    baseline: Option<Baseline>,
    /// Contents that passed the oracles that do not depend on the crash point.
    passed: HashSet<u64>,
    /// What was wrong before anything was judged.
    broken: Option<Finding>,
}

impl<'a> Panel<'a> {
    /// These oracles, as far as they know the recording's format.
    #[must_use]
    pub fn new(subject: &'a Subject, mut oracles: Vec<Arc<dyn Oracle>>) -> Self {
        oracles.retain(|oracle| oracle.serves(subject.recording.format));
        let broken = oracles.iter().find_map(|oracle| {
            let what = oracle.begin(subject).err()?;
            Some(Finding { oracle: oracle.name().to_owned(), what })
        });
        Self { subject, oracles, baseline: None, passed: HashSet::new(), broken }
    }
}

impl Judge for Panel<'_> {
    fn enter(&mut self, frame: &Frame<'_>) {
        let wanted = self.oracles.iter().any(|oracle| oracle.depends_on_time());
        let settled = frame.settled();
        let baseline = || Baseline::new(self.subject, &settled, frame.window.first);
        self.baseline = wanted.then(baseline).flatten();
    }

    fn judge(&mut self, states: &[CrashState<'_>]) -> Vec<Result<(), Finding>> {
        let case = |state: &'_ CrashState<'_>| state.t;
        let times: Vec<usize> = states.iter().map(case).collect();
        let cases: Vec<Case<'_>> = states
            .iter()
            .zip(times)
            .map(|(state, t)| Case::new(self.subject, &state.medium, t, self.baseline.as_ref()))
            .collect();
        let digests: Vec<u64> = states.iter().map(|state| state.medium.digest()).collect();
        let mut verdicts: Vec<Result<(), Finding>> = states.iter().map(|_| Ok(())).collect();
        for oracle in &self.oracles {
            let asked: Vec<usize> = (0..states.len())
                .filter(|index| verdicts[*index].is_ok())
                .filter(|index| oracle.depends_on_time() || !self.passed.contains(&digests[*index]))
                .collect();
            let chosen: Vec<&Case<'_>> = asked.iter().map(|index| &cases[*index]).collect();
            for (index, verdict) in asked.iter().zip(oracle.judge_all(&chosen)) {
                let name = || oracle.name().to_owned();
                verdicts[*index] = verdict.map_err(|what| Finding { oracle: name(), what });
            }
        }
        for (digest, verdict) in digests.into_iter().zip(&verdicts) {
            if verdict.is_ok() {
                self.passed.insert(digest);
            }
        }
        verdicts
    }

    fn batch(&self) -> usize {
        self.oracles.iter().map(|oracle| oracle.batch()).max().unwrap_or(1)
    }

    fn call(&self, number: u64) -> Option<String> {
        let index = usize::try_from(number).ok()?;
        self.subject.recording.calls.get(index).map(ToString::to_string)
    }

    fn finish(&mut self) -> Result<(), Finding> {
        if let Some(broken) = self.broken.take() {
            return Err(broken);
        }
        self.oracles.iter().try_for_each(|oracle| {
            let finding = |what| Finding { oracle: oracle.name().to_owned(), what };
            oracle.finish(self.subject).map_err(finding)
        })
    }
}
