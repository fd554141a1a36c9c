//! The profiles: what every run of the tests walks, what a long one does, and disks that fail.
//!
//! `QED_CRASH_STATES=1000000` walks so many distinct states, over all operations and cluster sizes,
//! with crashes inside the sessions that follow, two deep.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

mod support;

use qed_core::crash::oracle::{Nested, Oracle, by_name};
use qed_core::crash::workload::{Shape, every_fault, generate, judge_faults, quick, shrink};
use qed_core::crash::{Plan, Report, Workload};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use support::judged::oracles;

/// Judges a generated run; the first failure is shrunk and ends the test.
fn judged(workload: &Workload, plan: &Plan, oracles: &[Arc<dyn Oracle>]) -> Report {
    let mut report = workload.explore(plan, oracles).unwrap_or_else(|error| {
        panic!("{workload}: {error}");
    });
    if !report.failures.is_empty() {
        let failure = report.failures.remove(0);
        let (workload, failure) = shrink(workload, failure, plan, oracles);
        panic!("{workload}\n{failure}");
    }
    report
}

#[test]
fn the_quick_profile_finds_nothing_wrong() {
    let plan = Plan { full: 7, samples: 30, ..Plan::default() };
    let mut unique = 0;
    for workload in quick().unwrap() {
        unique += judged(&workload, &plan, &oracles()).unique();
    }
    assert!(unique > 5000, "only {unique} states");
}

#[test]
fn crashes_inside_recovery_and_inside_that_leave_legal_states() {
    // Goal: what holds after a crash holds after a second and a third one. Method: sessions that
    // follow a crash are recorded and crashed, two deep, in one state of each few.
    let nested = Nested { one_in: 16, ..Nested::new(2) };
    let mut oracles = by_name(&["structure", "no-foreign-data", "durable"]).unwrap();
    oracles.push(Arc::new(nested));
    let plan = Plan { full: 4, torn_full: 2, samples: 4, ..Plan::default() };
    let mut judgements = 0;
    for seed in 0..3 {
        judgements += judged(&generate(Shape::Plain, seed), &plan, &oracles).judged();
    }
    assert!(judgements > 60, "only {judgements} states");
}

#[test]
fn a_nested_crash_that_loses_something_is_found() {
    // Goal: the oracle can fail. Method: the run is sound, the engine of the session that follows a
    // crash takes a length for stable that is not.
    let mut workload: Workload = "punch=0 | write 0+4096; flush".parse().unwrap();
    let mut recording = workload.record().unwrap();
    workload.settings.rules = qed_core::Rules::without(qed_core::Rule::LengthIsData);
    recording.settings.rules = workload.settings.rules;
    let nested: Vec<Arc<dyn Oracle>> = vec![Arc::new(Nested::new(1))];
    let report = support::judged::judge_by(recording, &Plan::default(), nested);
    let failure = report.failures.first().expect("a dangling entry after a second crash");
    assert!(failure.finding.what.contains("a second crash"), "{failure}");
}

#[test]
fn a_disk_that_fails_loses_nothing_that_was_flushed() {
    // Goal: the oracle `faults`. Method: every call on the disk of some runs fails in turn: with
    // EIO, ENOSPC, half way, when it is done; once and for ever.
    let runs = [
        "| write 0+4096; flush; write 4096+512; discard 0+4096; flush; write 8192+4096; flush",
        "backing=32768 | write 512+512; flush; zero 4096+4096 unmap; write 8192+4096 fua; flush",
        "punch=0 | write 0+8192; flush; discard 0+4096; flush; write 16384+4096; flush",
    ];
    let mut count = 0;
    for run in runs {
        let workload: Workload = run.parse().unwrap();
        for fault in every_fault(&workload).unwrap() {
            count += 1;
            if let Err(finding) = judge_faults(&workload, fault).unwrap() {
                panic!("{workload}: {finding}");
            }
        }
    }
    assert!(count > 150, "only {count} faults");
}

#[test]
fn an_engine_that_forgets_its_failures_is_found_by_faults() {
    let mut workload: Workload =
        "| write 0+4096; flush; write 4096+4096; flush; flush".parse().unwrap();
    workload.settings.rules = qed_core::Rules::without(qed_core::Rule::Latch);
    let faults = every_fault(&workload).unwrap();
    let found = |fault: &&_| judge_faults(&workload, **fault).is_ok_and(|verdict| verdict.is_err());
    let fault = faults.iter().find(found).expect("a flush that claims too much");
    let finding = judge_faults(&workload, *fault).unwrap().unwrap_err();
    assert!(finding.oracle == "faults" && finding.what.contains("flush"), "{finding}");
}

#[test]
fn as_many_distinct_states_as_are_asked_for_are_legal() {
    // Goal: a million states over all operations and cluster sizes, in the slow profile; a few
    // thousand in every run. Method: generated runs of every shape, one after the other, by two
    // workers; of one state in a thousand crashes are followed two deep.
    let wanted: u64 =
        std::env::var("QED_CRASH_STATES").ok().map_or(3000, |count| count.parse().unwrap());
    let (next, unique) = (AtomicU64::new(0), AtomicU64::new(0));
    let broken = Mutex::new(Vec::new());
    let work = || {
        let mut oracles = oracles();
        oracles.push(Arc::new(Nested { one_in: 1000, ..Nested::new(2) }));
        while unique.load(Ordering::Relaxed) < wanted && broken.lock().unwrap().is_empty() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let shape = Shape::ALL[usize::try_from(seed).unwrap() % Shape::ALL.len()];
            let workload = generate(shape, 1000 + seed);
            let plan = Plan { seed, full: 9, samples: 200, ..Plan::default() };
            let report = workload.explore(&plan, &oracles);
            match report {
                Ok(report) => {
                    let more = report.unique() as u64;
                    let before = unique.fetch_add(more, Ordering::Relaxed);
                    if before / 50_000 != (before + more) / 50_000 {
                        println!("{} states of {seed} runs", before + more);
                    }
                    let told = report.failures.iter().map(|f| format!("{workload}\n{f}"));
                    broken.lock().unwrap().extend(told);
                }
                Err(error) => broken.lock().unwrap().push(format!("{workload}: {error}")),
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    println!("{} states of {} runs", unique.load(Ordering::Relaxed), next.load(Ordering::Relaxed));
    if let Some(failure) = broken.into_inner().unwrap().first() {
        panic!("{failure}");
    }
}
