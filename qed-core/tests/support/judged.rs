//! The explorer with its usual oracles, and failures as panics.

use qed_core::crash::explore::{Judge, Plainly};
use qed_core::crash::oracle::{self, Case, Oracle};
use qed_core::crash::{
    Explorer, Medium, Panel, Plan, Recording, Report, Subject, Workload, explore,
};
use qed_core::storage::Log;
use std::sync::Arc;

/// The state that `QED_CRASH_REPLAY` asks for: a failure's word.
fn asked() -> Option<String> {
    std::env::var("QED_CRASH_REPLAY").ok()
}

/// The oracles that judge every state, in order.
pub fn oracles() -> Vec<Arc<dyn Oracle>> {
    oracle::by_name(&oracle::DEFAULT).unwrap()
}

/// Walks by `plan`, or to the one state that was asked for.
pub fn walk(explorer: &Explorer<'_>, judge: &mut dyn Judge) -> Report {
    match asked() {
        // A suite has many logs: the word is one's of them.
        Some(word) => explorer.replay(&word, judge).unwrap_or_default(),
        None => explorer.run(&explorer.whole(), judge).unwrap(),
    }
}

/// Judges every state that a crash may leave of a recording.
pub fn judge(recording: Recording, plan: &Plan) -> Report {
    judge_by(recording, plan, oracles())
}

/// The same by other oracles.
pub fn judge_by(recording: Recording, plan: &Plan, oracles: Vec<Arc<dyn Oracle>>) -> Report {
    let subject = Subject::new(recording).unwrap();
    let plan = Plan { unit: subject.recording.log.limits.atomic_unit, ..plan.clone() };
    let explorer = Explorer::new(&subject.recording.log, &subject.boundaries(), plan);
    walk(&explorer, &mut Panel::new(&subject, oracles))
}

/// Runs a workload and judges every state that a crash may leave.
pub fn explored(workload: &Workload, plan: &Plan) -> Report {
    judge(workload.record().unwrap(), plan)
}

/// Fails the test with the first failure's whole story.
pub fn assert_ok(report: &Report, name: &str) {
    if let Some(failure) = report.failures.first() {
        panic!("{name}: {failure}");
    }
}

/// Fails the test with the first state that does not hold.
pub fn assert_crash_safe(workload: &Workload, name: &str) -> Report {
    let report = explored(workload, &Plan::default());
    assert_ok(&report, &format!("{name}: {workload}"));
    report
}

/// Judges states by a function of their content and crash point.
pub fn by(
    log: &Log,
    boundaries: &[usize],
    judge: impl FnMut(&Medium, usize) -> Result<(), String>,
) -> Report {
    match asked() {
        Some(_) => {
            let explorer = Explorer::new(log, boundaries, Plan::default());
            walk(&explorer, &mut Plainly(judge))
        }
        None => explore(log, boundaries, &Plan::default(), judge),
    }
}

/// What the usual oracles say about one content.
pub fn verdict(subject: &Subject, medium: &Medium, t: usize) -> Result<(), String> {
    let case = Case::new(subject, medium, t, None);
    oracles().iter().try_for_each(|oracle| oracle.judge(&case))
}
