//! Random short runs of the engine, every crash of each judged. The same seed is the same run.
//!
//! `QED_CRASH_SEEDS=from..to` judges others than the few that every run of the tests judges.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod support;

use qed_core::crash::Plan;
use qed_core::crash::workload::{Shape, generate, shrink};
use support::judged::{explored, oracles};

/// Judges generated runs: `few` of them, or those that were asked for.
fn judge_seeds(shape: Shape, few: u64) {
    let asked = std::env::var("QED_CRASH_SEEDS").unwrap_or_else(|_| format!("0..{few}"));
    let (first, last) = asked.split_once("..").unwrap();
    let mut judged = 0;
    for seed in first.parse::<u64>().unwrap()..last.parse().unwrap() {
        let workload = generate(shape, seed);
        let plan = Plan { seed, samples: 20, full: 7, ..Plan::default() };
        let run = std::panic::AssertUnwindSafe(|| explored(&workload, &plan));
        let mut report = std::panic::catch_unwind(run)
            .unwrap_or_else(|_| panic!("seed {seed}: {workload}: the run itself fails"));
        judged += report.judged();
        if !report.failures.is_empty() {
            let failure = report.failures.remove(0);
            let (workload, failure) = shrink(&workload, failure, &plan, &oracles());
            panic!("seed {seed}: {workload}\n{failure}");
        }
    }
    println!("{judged} states judged");
}

#[test]
fn random_runs_survive_every_crash() {
    judge_seeds(Shape::Plain, 15);
}

#[test]
fn random_writes_in_flight_together_survive_every_crash() {
    judge_seeds(Shape::Queued, 15);
}

#[test]
fn random_changes_in_the_midst_of_a_flush_survive_every_crash() {
    // Goal: C6, C7, C9 in runs nobody thought of. Method: calls are made from inside the writes
    // and the syncs of a flush, whose end comes after theirs.
    judge_seeds(Shape::DuringFlush, 15);
}

#[test]
fn random_calls_in_the_midst_of_a_write_survive_every_crash() {
    // Goal: what is on its way belongs to nobody else (C3, C6, C9). Method: calls are made while a
    // write's data is about to move, or has moved and is not published.
    judge_seeds(Shape::DuringWrite, 15);
}

#[test]
fn random_faults_lose_nothing_that_was_flushed() {
    // Goal: C3 and C17. Method: data writes fail half way, and their requests alone; then a write
    // or a sync fails that latches, and what follows may fail as well.
    judge_seeds(Shape::Faults, 15);
}

#[test]
fn random_compactions_survive_every_crash() {
    // Goal: C4, C9, C11, C14 in runs nobody thought of. Method: scattered data, holes, moves, and
    // calls from the midst of them, between reopens, kills and repairs.
    judge_seeds(Shape::Compacting, 12);
}

#[test]
fn random_streams_survive_every_crash() {
    // Goal: C4, C16, C18 where data comes from below. Method: streams down to nothing or to the
    // lower of two files, reads that copy, and calls from the midst of them.
    judge_seeds(Shape::Streaming, 12);
}

#[test]
fn random_resizes_survive_every_crash() {
    // Goal: C18, F3.6 and F3.8: a disk has one of its two sizes, and shows nothing in its grown
    // part but zeroes. Method: ends that wander about, with writes up to them and in the midst.
    judge_seeds(Shape::Resizing, 25);
}
