//! Runs written as lines, every crash of each judged.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use qed_core::crash::oracle::{Oracle, by_name};
use qed_core::crash::{Plan, Workload};
use qed_core::{Rule, Rules};

use super::judged::{assert_ok, explored, judge_by};

/// The oracles that look at a state as it lies there: quick.
fn raw() -> Vec<Arc<dyn Oracle>> {
    by_name(&["structure", "no-foreign-data", "durable"]).unwrap()
}

/// How many states of each run are lived on in: a few, or with `QED_CRASH_DEEP` set many more.
fn most() -> usize {
    if std::env::var_os("QED_CRASH_DEEP").is_some() { 20_000 } else { 60 }
}

/// Judges every state of each run as it lies there, more than `least` of them; lives on in some.
pub fn survive(lines: &[&str], least: usize) {
    for line in lines {
        let workload: Workload = line.parse().unwrap();
        let lying = workload.explore(&Plan::default(), &raw()).unwrap();
        assert_ok(&lying, line);
        assert!(lying.judged() > least, "{line}: {}", lying.judged());
        let plan = Plan { states: Some(most()), ..Plan::default() };
        assert_ok(&explored(&workload, &plan), line);
    }
}

/// Crashes the sessions that follow some crashes of each run as well.
pub fn survive_twice(lines: &[&str]) {
    for line in lines {
        let workload: Workload = line.parse().unwrap();
        let plan = Plan { states: Some(most() / 4), ..Plan::default() };
        let nested = by_name(&["nested"]).unwrap();
        assert_ok(&judge_by(workload.record().unwrap(), &plan, nested), line);
    }
}

/// Whether an engine without `rule` fails in one of these runs.
pub fn misses(lines: &[&str], rule: Rule) -> bool {
    lines.iter().any(|line| {
        let mut workload: Workload = line.parse().unwrap();
        workload.settings.rules = Rules::without(rule);
        let run = || workload.explore(&Plan::default(), &raw()).unwrap();
        catch_unwind(AssertUnwindSafe(run)).map_or(true, |report| !report.failures.is_empty())
    })
}
