//! Every rule of the commit protocol, dropped or weakened: each such engine is caught.

use qed_core::crash::oracle::by_name;
use qed_core::crash::workload::{Shape, generate, quick};
use qed_core::crash::{Plan, Workload};
use qed_core::{ErrorKind, Rule, Rules};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Rules that take two threads, or an image which is damaged from the start: what an engine without
/// them loses is shown by tests of this suite that bear their names.
const BY_SCENARIO: [Rule; 11] = [
    Rule::FlushOwesOthersWrites,
    Rule::FlushAwaitsOthers,
    Rule::OneWriteInFlight,
    Rule::ReleaseAfterSync,
    Rule::ScanLeavesOutTouched,
    Rule::DamageStopsAllocation,
    Rule::DistrustForeignFreeMap,
    Rule::MoveAwaitsWriters,
    Rule::ShrinkWaits,
    // By the suite that crashes repairs.
    Rule::ClaimedTablesStay,
    Rule::NewSpaceIsNotNamed,
];

/// What the quick profile finds wrong with an engine of these rules: a state that fails, damage
/// that the run itself meets, or an assertion of the engine's own.
fn objection(workloads: &[Workload], rules: Rules) -> Option<String> {
    // What reads a state as it lies there is quick and mostly enough; what lives on in it is not.
    let quickly = by_oracles(workloads, rules, &["structure", "no-foreign-data", "durable"]);
    quickly.or_else(|| by_oracles(workloads, rules, &qed_core::crash::oracle::DEFAULT))
}

fn by_oracles(workloads: &[Workload], rules: Rules, names: &[&str]) -> Option<String> {
    let oracles = by_name(names).unwrap();
    let plan = Plan { full: 7, samples: 30, ..Plan::default() };
    workloads.iter().find_map(|workload| {
        let mut workload = workload.clone();
        workload.settings.rules = rules;
        let run = || workload.explore(&plan, &oracles);
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
            Err(_) => Some(format!("{workload}: the engine contradicts itself")),
            Ok(Err(error)) if [ErrorKind::Corrupt, ErrorKind::Damaged].contains(&error.kind()) => {
                Some(format!("{workload}: {error}"))
            }
            // A step that was to succeed did not: that is no state of a disk.
            Ok(Err(_)) => None,
            Ok(Ok(report)) => {
                report.failures.first().map(|failure| format!("{workload}\n{failure}"))
            }
        }
    })
}

#[test]
fn random_work_on_whole_images_kills_the_mutants_of_moving_and_copying() {
    // Goal: what the generator makes of compactions, streams and reads that copy meets the rules
    // that are about them. Method: nothing but such runs, until each rule is missed.
    let of = |shape| (0..250).map(move |seed| generate(shape, seed)).collect::<Vec<_>>();
    let (compacting, streaming) = (of(Shape::Compacting), of(Shape::Streaming));
    let rules = [
        (Rule::MoveIsOrdered, &compacting),
        (Rule::MovedTableIsOrdered, &compacting),
        (Rule::TableHoldsWrites, &compacting),
        (Rule::CutKeepsEntries, &compacting),
        (Rule::CopyIsOrdered, &streaming),
        (Rule::BackingAfterFlush, &streaming),
        (Rule::DiscardHidesBacking, &streaming),
    ];
    let raw = ["structure", "no-foreign-data", "durable"];
    for (rule, workloads) in rules {
        match by_oracles(workloads, Rules::without(rule), &raw) {
            Some(why) => println!("{rule:?}: {}", why.lines().next().unwrap()),
            None => panic!("nobody misses {rule:?}"),
        }
    }
}

#[test]
fn every_mutant_is_killed_by_the_quick_profile() {
    // Goal: the profile that every run of the tests walks would notice an engine without a rule.
    // Method: the engine with all rules passes; with any one of them broken it does not.
    let workloads = quick().unwrap();
    assert_eq!(objection(&workloads, Rules::default()), None);
    let mutants: Vec<Rule> =
        Rule::ALL.into_iter().filter(|rule| !BY_SCENARIO.contains(rule)).collect();
    let (next, alive) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(rule) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match objection(&workloads, Rules::without(*rule)) {
                        Some(why) => println!("{rule:?}: {}", why.lines().next().unwrap()),
                        None => alive.lock().unwrap().push(*rule),
                    }
                }
            });
        }
    });
    let alive = alive.into_inner().unwrap();
    assert!(alive.is_empty(), "{} of {} mutants live: {alive:?}", alive.len(), mutants.len());
}
