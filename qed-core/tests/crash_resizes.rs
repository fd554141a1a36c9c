//! Disks that change their size, every crash of it judged: alone, with guest I/O beside it, and by
//! engines that break one of its rules.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod support;

use std::sync::Arc;

use qed_core::crash::oracle::{Oracle, by_name};
use qed_core::crash::{Plan, Workload};
use qed_core::{Rule, Rules};
use support::judged::{assert_ok, explored, judge_by};

/// Runs of resizing: tables that go with the end of the disk, space for what it grows by.
const RESIZE: [&str; 10] = [
    "size=2105344 | write 2097152+4096; write 0+512; flush; resize 2093056; write 4096+4096; \
     resize 2105344; write 2101248+512; flush",
    "size=2105344 backing=2105344 | write 2097152+4096; flush; resize 2093056; \
     resize 2105344; write 2101248+512; flush",
    "punch=0 size=2105344 | write 2097152+4096; write 0+512; flush; \
     during [sync nth=2] {write 4096+4096, write 512+512} resize 2093056; write 8192+8192; flush",
    "size=2105344 backing=2101248 | discard 2097152+8192; flush; resize 4096; kill; \
     resize 8192; write 4096+512; flush",
    "size=2093056 | write 0+512; flush; resize 2105344 metadata; write 2097664+512; flush",
    "size=2093056 backing=2105344 | write 0+512; flush; \
     during [sync] {write 512+512, write 4096+4096} resize 2105344 metadata; write 2097664+512; \
     flush",
    "size=2093056 | write 0+512; flush; resize 2105344 falloc; write 2097664+512; flush",
    "punch=0 size=2093056 | write 0+20480; flush; discard 0+16384; flush; \
     during [sync] {write 16896+512} resize 2105344 full; write 2097664+512; write 0+512; flush",
    "punch=0 size=2093056 | write 0+16384; flush; discard 0+16384; flush; \
     resize 2105344 metadata; write 2097664+512; flush",
    "unit=4096 size=2092544 | write 0+512; flush; resize 2101248 full; kill; \
     resize 2105344 falloc; write 2101760+512; flush",
];

/// The oracles that look at a state as it lies there: quick.
fn raw() -> Vec<Arc<dyn Oracle>> {
    by_name(&["structure", "no-foreign-data", "durable"]).unwrap()
}

/// What is walked of each run: a part, or with `QED_CRASH_DEEP` set much more.
fn plan() -> Plan {
    match std::env::var_os("QED_CRASH_DEEP") {
        Some(_) => Plan { states: Some(20_000), ..Plan::default() },
        None => Plan { states: Some(60), ..Plan::default() },
    }
}

#[test]
fn resizing_survives_every_crash() {
    // Goal: C9, C11 and C18 where tables go with the end of the disk and come with it. Method: as
    // they lie there, and a few of them lived on.
    for line in RESIZE {
        let workload: Workload = line.parse().unwrap();
        let lying = workload.explore(&Plan::default(), &raw()).unwrap();
        assert_ok(&lying, line);
        assert!(lying.judged() > 10, "{line}: {}", lying.judged());
        assert_ok(&explored(&workload, &plan()), line);
    }
}

#[test]
fn engines_that_resize_without_order_are_caught() {
    // Goal: the rules of tables that come and go with the end, and these runs would miss them.
    let rules = [
        Rule::HidingTablesLast,
        Rule::TableWaitsForLength,
        Rule::InitialiseReusedTables,
        Rule::OrderReusedTables,
    ];
    for rule in rules {
        assert!(is_missed(rule, RESIZE.iter()), "nobody misses {rule:?}");
    }
}

#[test]
fn a_crash_of_what_follows_a_resize_is_survived_too() {
    for line in [RESIZE[1], RESIZE[7]] {
        let oracles = by_name(&["nested"]).unwrap();
        let workload: Workload = line.parse().unwrap();
        assert_ok(&judge_by(workload.record().unwrap(), &plan(), oracles), line);
    }
}

/// Whether an engine without `rule` fails in one of these runs.
fn is_missed<'a>(rule: Rule, mut lines: impl Iterator<Item = &'a &'a str>) -> bool {
    lines.any(|line| {
        let mut workload: Workload = line.parse().unwrap();
        workload.settings.rules = Rules::without(rule);
        let run = || workload.explore(&Plan::default(), &raw()).unwrap();
        let run = std::panic::AssertUnwindSafe(run);
        std::panic::catch_unwind(run).map_or(true, |report| !report.failures.is_empty())
    })
}
