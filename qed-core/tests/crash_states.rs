//! The explorer of crash states is exact: hand-made logs, whose legal states are known.

#![allow(clippy::unwrap_used)] // clippy knows tests by their attribute, not their helpers

#[path = "crash_states/definition.rs"]
mod definition;
mod support;

use definition::by_definition;
use qed_core::crash::explore::Plainly;
use qed_core::crash::report::Barrier;
use qed_core::crash::states::{Frame, History, State, Window};
use qed_core::crash::{Explorer, Medium, Mode, Plan, Random, Report, Shard, explore};
use qed_core::storage::{Log, Operation};
use std::collections::BTreeSet;
use support::script::{Script, fills, sectors, write};

/// The content of every state that is legal after a crash behind the last event.
fn at_the_end(log: &Log, unit: u64) -> BTreeSet<Vec<u8>> {
    let history = History::new(log, unit);
    every_state(&history, *history.windows(&[]).last().unwrap())
}

/// Every set of elements of every choice, by brute force.
fn every_state(history: &History, window: Window) -> BTreeSet<Vec<u8>> {
    let frame = Frame::new(history, window, 0);
    let elements: Vec<(usize, usize)> = (0..frame.choices.len())
        .flat_map(|choice| (0..frame.choices[choice].elements()).map(move |part| (choice, part)))
        .collect();
    assert!(elements.len() <= 14, "too many elements for brute force: {}", elements.len());
    let state = |mask: u64| {
        let taken = |index: usize| mask >> index & 1 == 1;
        let part = |choice: usize| {
            let of = (0..elements.len()).filter(|index| elements[*index].0 == choice);
            let parts: Vec<usize> = of.filter(|i| taken(*i)).map(|i| elements[i].1).collect();
            (!parts.is_empty()).then_some((choice, parts))
        };
        State { torn: (0..frame.choices.len()).filter_map(part).collect(), ..State::default() }
    };
    let content = |mask| {
        let disk = frame.medium(&state(mask));
        fills(&disk.bytes(0, disk.length()))
    };
    (0..1 << elements.len()).map(content).collect()
}

fn set<const N: usize>(states: [&[u8]; N]) -> BTreeSet<Vec<u8>> {
    states.into_iter().map(<[u8]>::to_vec).collect()
}

/// What `explore` judges, in its order.
fn explored(log: &Log, options: &Plan) -> Vec<(Vec<u8>, usize)> {
    let mut found = Vec::new();
    explore(log, &[], options, |disk, t| {
        found.push((fills(&disk.bytes(0, disk.length())), t));
        Ok(())
    });
    found
}

#[test]
fn unsynced_writes_persist_in_any_subset() {
    let mut script = Script::sectors(&[0, 0]);
    script.fill(0, &[1]);
    script.fill(1, &[2]);
    assert_eq!(at_the_end(&script.log(), 512), set([&[0, 0], &[1, 0], &[0, 2], &[1, 2]]));
}

#[test]
fn a_sync_covers_what_completed_before_it() {
    let mut script = Script::sectors(&[0, 0]);
    script.fill(0, &[1]);
    script.sync();
    script.fill(1, &[2]);
    assert_eq!(at_the_end(&script.log(), 512), set([&[1, 0], &[1, 2]]));
}

#[test]
fn a_sync_that_has_not_completed_covers_nothing() {
    let mut script = Script::sectors(&[0]);
    script.fill(0, &[1]);
    script.issue(Operation::Sync);
    assert_eq!(at_the_end(&script.log(), 512), set([&[0], &[1]]));
}

#[test]
fn a_write_that_completes_after_the_issue_of_a_sync_is_not_covered_by_it() {
    let mut script = Script::sectors(&[0, 0]);
    let early = script.issue(write(0, &sectors(&[1]), false));
    let sync = script.issue(Operation::Sync);
    script.complete(early);
    script.fill(1, &[2]);
    script.complete(sync);
    assert_eq!(at_the_end(&script.log(), 512), set([&[0, 0], &[1, 0], &[0, 2], &[1, 2]]));
}

#[test]
fn a_failed_sync_covers_nothing_and_what_it_dropped_is_never_covered() {
    let mut script = Script::sectors(&[0, 0]);
    script.fill(0, &[1]);
    let sync = script.issue(Operation::Sync);
    script.fail(sync);
    script.fill(1, &[2]);
    script.sync();
    assert_eq!(at_the_end(&script.log(), 512), set([&[0, 2], &[1, 2]]));
}

#[test]
fn a_forced_write_persists_alone_when_it_completes() {
    let mut script = Script::sectors(&[0, 0]);
    script.fill(0, &[1]);
    let forced = script.issue(write(512, &sectors(&[2]), true));
    let mut running = Script::sectors(&[0, 0]);
    running.issue(write(512, &sectors(&[2]), true));
    assert_eq!(at_the_end(&running.log(), 512), set([&[0, 0], &[0, 2]]));
    script.complete(forced);
    assert_eq!(at_the_end(&script.log(), 512), set([&[0, 2], &[1, 2]]));
}

#[test]
fn a_forced_write_persists_with_the_length_it_needs() {
    let mut script = Script::sectors(&[1]);
    script.set_sectors(2);
    script.run(write(512, &sectors(&[2]), true));
    script.set_sectors(3);
    assert_eq!(at_the_end(&script.log(), 512), set([&[1, 2], &[1, 2, 0]]));
}

#[test]
fn a_failed_write_may_have_written_any_part_for_ever() {
    let mut script = Script::sectors(&[0, 0]);
    let failed = script.issue(write(0, &sectors(&[1, 1]), false));
    script.fail(failed);
    script.sync();
    assert_eq!(at_the_end(&script.log(), 512), set([&[0, 0], &[1, 0], &[0, 1], &[1, 1]]));
}

#[test]
fn a_unit_takes_any_version_since_its_newest_stable_one() {
    let mut script = Script::sectors(&[0]);
    script.fill(0, &[1]);
    script.fill(0, &[2]);
    script.sync();
    script.fill(0, &[3]);
    script.fill(0, &[4]);
    assert_eq!(at_the_end(&script.log(), 512), set([&[2], &[3], &[4]]));
}

#[test]
fn of_writes_that_ran_at_once_either_is_on_top() {
    let mut script = Script::sectors(&[0]);
    let first = script.issue(write(0, &sectors(&[1]), false));
    let second = script.issue(write(0, &sectors(&[2]), false));
    script.complete(second);
    script.complete(first);
    script.sync();
    assert_eq!(at_the_end(&script.log(), 512), set([&[1], &[2]]));
}

#[test]
fn a_write_is_torn_between_its_units_only() {
    let mut script = Script::sectors(&[0; 16]);
    script.fill(0, &[1; 16]);
    let log = script.log();
    let states = at_the_end(&log, 4096);
    let half = |first, second| [[first; 8], [second; 8]].concat();
    assert_eq!(states, set([&half(0, 0), &half(1, 0), &half(0, 1), &half(1, 1)]));
    let torn = explored(&log, &Plan::default());
    assert!(torn.iter().any(|(state, _)| *state == [[1; 8], [0; 8]].concat()));
    assert!(torn.iter().any(|(state, _)| state[..3] == [1, 0, 1]));
}

#[test]
fn a_unit_written_in_part_carries_what_it_held() {
    // Goal: a large unit never mixes versions. Method: two writes into halves of one.
    let mut script = Script::sectors(&[0; 8]);
    script.fill(0, &[1; 4]);
    script.fill(4, &[2; 4]);
    let states = at_the_end(&script.log(), 4096);
    assert_eq!(states, set([&[0; 8], &[1, 1, 1, 1, 0, 0, 0, 0], &[1, 1, 1, 1, 2, 2, 2, 2]]));
}

#[test]
fn a_cut_may_be_undone_also_after_a_later_extension() {
    // Goal: what an unsynced cut removed comes back. Method: cut, extend, write into the new space.
    let mut script = Script::sectors(&[1, 2, 3]);
    script.set_sectors(1);
    script.set_sectors(3);
    script.fill(1, &[9]);
    let states = at_the_end(&script.log(), 512);
    let old = set([&[1, 2, 3], &[1, 9, 3], &[1]]);
    let new = set([&[1, 0, 0], &[1, 9, 0]]);
    assert!(states.is_superset(&old) && states.is_superset(&new), "{states:?}");
    // The cut itself may be torn, too.
    assert_eq!(states, &(&old | &new) | &set([&[1, 2, 0], &[1, 0, 3]]));
}

#[test]
fn a_synced_cut_is_final() {
    let mut script = Script::sectors(&[1, 2]);
    script.set_sectors(1);
    script.sync();
    script.set_sectors(2);
    assert_eq!(at_the_end(&script.log(), 512), set([&[1], &[1, 0]]));
}

#[test]
fn a_punch_may_be_undone_also_after_a_later_extension() {
    let mut script = Script::sectors(&[1, 2]);
    script.punch_sectors(1, 1);
    script.set_sectors(3);
    let states = at_the_end(&script.log(), 512);
    assert_eq!(states, set([&[1, 2], &[1, 0], &[1, 2, 0], &[1, 0, 0]]));
    let mut script = Script::sectors(&[1, 2]);
    script.punch_sectors(1, 1);
    script.sync();
    assert_eq!(at_the_end(&script.log(), 512), set([&[1, 0]]));
}

#[test]
fn the_length_may_lag_behind_the_data_or_lead_it() {
    let mut script = Script::sectors(&[1]);
    script.set_sectors(2);
    script.fill(1, &[2]);
    assert_eq!(at_the_end(&script.log(), 512), set([&[1], &[1, 0], &[1, 2]]));
}

#[test]
fn what_was_refused_did_nothing() {
    let mut script = Script::sectors(&[1]);
    let cut = script.issue(Operation::SetLength { length: 0 });
    script.fail(cut);
    assert_eq!(at_the_end(&script.log(), 512), set([&[1]]));
}

/// A random log of a few operations on three sectors, some of them running at once.
fn random_log(random: &mut Random) -> Log {
    let mut script = Script::sectors(&[101, 102, 103]);
    let mut running = Vec::new();
    let mut length = 3;
    for number in 1..=6_u8 {
        let sector = random.below(3);
        let operation = match random.below(8) {
            0..3 => write(sector as u64 * 512, &sectors(&[number]), random.below(8) == 0),
            3 => Operation::Punch { offset: sector as u64 * 512, length: 512 },
            4 => Operation::SetLength { length: 512 * (1 + random.below(3) as u64) },
            _ => Operation::Sync,
        };
        // The storage's contract: nothing is written past the end, one set_len at a time.
        match operation {
            Operation::Write { .. } | Operation::Punch { .. } if sector >= length => continue,
            Operation::SetLength { length: new } => {
                for id in running.drain(..) {
                    script.complete(id);
                }
                length = usize::try_from(new / 512).unwrap();
                script.run(operation);
                continue;
            }
            _ => {}
        }
        running.push(script.issue(operation));
        while !running.is_empty() && random.below(4) > 0 {
            let id = running.swap_remove(random.below(running.len()));
            match random.below(8) {
                0 => script.fail(id),
                _ => script.complete(id),
            }
        }
    }
    script.log()
}

#[test]
fn random_logs_leave_what_the_definition_says() {
    // Goal: the states are exactly the legal ones, each legal where it is said to be. Method: 2,000
    // short logs with operations running at once, failures and forced writes, against a second,
    // slower reading of the definition.
    let mut random = Random::new(1);
    let (mut largest, mut walked) = (0, 0);
    for _ in 0..2000 {
        let log = random_log(&mut random);
        let states = at_the_end(&log, 512);
        largest = largest.max(states.len());
        assert_eq!(states, by_definition(&log, log.events.len()), "{:#?}", log.events);
        for (state, t) in explored(&log, &Plan { seed: 7, ..Plan::default() }) {
            walked += 1;
            assert!(by_definition(&log, t).contains(&state), "{state:?} at {t}: {:#?}", log.events);
        }
    }
    assert!(largest > 20 && walked > 10_000, "the logs are too tame: {largest}, {walked}");
}

/// A data write and an entry that names it, in a file that grows; nothing is synced in between.
fn unordered_log() -> Log {
    let mut script = Script::sectors(&[0]);
    script.set_sectors(2);
    script.fill(1, &[7]);
    script.fill(0, &[1]);
    script.log()
}

fn only(modes: &[Mode]) -> Plan {
    Plan { modes: modes.iter().copied().collect(), ..Plan::default() }
}

fn dangles(state: &[u8]) -> bool {
    state[0] == 1 && state.get(1) != Some(&7)
}

#[test]
fn reordering_finds_at_once_what_prefixes_miss() {
    // Goal: the order of the walk. Method: an entry that must not persist before its data.
    let log = unordered_log();
    let prefixes = explored(&log, &only(&[Mode::Prefix]));
    assert!(!prefixes.iter().any(|(state, _)| dangles(state)));
    let states = explored(&log, &only(&[Mode::Prefix, Mode::Reorder]));
    let found = states.iter().position(|(state, _)| dangles(state)).unwrap();
    assert!(found <= prefixes.len() + 1, "found as state {found}");
}

#[test]
fn deviation_counts_what_is_out_of_order() {
    let of =
        |text: &str| State::of(&text.chars().map(|c| c == '1').collect::<Vec<_>>()).deviation();
    assert_eq!([of(""), of("0000"), of("1111"), of("1100")], [0; 4]);
    assert_eq!([of("0001"), of("1011"), of("0100"), of("1101")], [1; 4]);
    assert_eq!([of("0011"), of("0101"), of("10010001")], [2; 3]);
}

#[test]
fn the_same_seed_walks_the_same_states() {
    // Goal: failures can be found again. Method: a window too large to be walked in full.
    let mut script = Script::sectors(&[0; 40]);
    for sector in 0..20 {
        script.fill(2 * sector, &[1, 2]);
    }
    let log = script.log();
    let of = |seed| explored(&log, &Plan { seed, samples: 300, ..Plan::default() });
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    let report = explore(&log, &[], &Plan { samples: 300, ..Plan::default() }, |_, _| Ok(()));
    assert_eq!((report.windows.len(), report.sampled.len(), report.largest), (1, 1, 20));
    assert!(report.generated() > report.unique() && report.unique() == report.judged());
}

#[test]
fn equal_content_is_judged_again_only_where_less_is_legal() {
    // Goal: nothing is judged twice in vain, and nothing too mildly. Method: a flush that syncs
    // nothing, so that the old content is legal for the disk behind it, too.
    let mut script = Script::sectors(&[0]);
    script.fill(0, &[1]);
    script.call(0, |_| ());
    let log = script.log();
    let count = |boundaries: &[usize]| {
        let mut judged = Vec::new();
        explore(&log, boundaries, &Plan::default(), |disk, t| {
            judged.push((fills(&disk.bytes(0, 512)), t));
            Ok(())
        });
        judged
    };
    assert_eq!(count(&[]), [(vec![0], 0), (vec![1], 1)]);
    assert_eq!(count(&[3]), [(vec![0], 0), (vec![1], 1), (vec![0], 4), (vec![1], 4)]);
}

#[test]
fn a_failure_names_its_state_and_is_found_again_by_its_replay() {
    // Goal: one line leads back to the failing state. Method: fail, then replay what was printed.
    let mut script = Script::sectors(&[0]);
    script.sync();
    script.call(3, |script| script.fill(0, &[1]));
    script.set_sectors(4);
    script.fill(1, &[2, 3]);
    let log = script.log();
    let judge = |disk: &Medium| {
        let state = fills(&disk.bytes(0, disk.length()));
        if state == [0, 2, 0, 0] { Err("torn without the first".to_owned()) } else { Ok(()) }
    };
    let report = explore(&log, &[], &Plan::default(), |disk, _| judge(disk));
    let failure = report.failures.first().unwrap();
    // Everything before the torn write may as well persist; of it the first part must be there.
    assert_eq!(failure.state, "0:0+2~3.0");
    assert_eq!(failure.barrier, Barrier::Whole(vec![3]));
    let story = failure.to_string();
    for line in ["own: torn without the first", "call 3", "#1 write 0x0 + 0x200"] {
        assert!(story.contains(line), "{story}");
    }
    assert!(story.contains("TORN: parts [0] of 2"), "{story}");
    assert!(story.ends_with(&format!("replay: {}", failure.replay)), "{story}");
    let svg = failure.timeline.svg();
    assert!(svg.starts_with("<svg") && svg.contains("TORN") && svg.ends_with("</svg>\n"), "{svg}");
    for word in [&failure.replay, &failure.state] {
        let explorer = Explorer::new(&log, &[], Plan::default());
        let report = explorer.replay(word, &mut Plainly(|disk: &Medium, _| judge(disk))).unwrap();
        assert_eq!((report.judged(), report.failures.len()), (1, 1));
        assert_eq!(report.failures[0].state, failure.state);
    }
    let other = Script::sectors(&[0]).log();
    let explorer = Explorer::new(&other, &[], Plan::default());
    let wrong = explorer.replay(&failure.replay, &mut Plainly(|_: &Medium, _| Ok(())));
    assert!(wrong.unwrap_err().to_string().contains("another log"));
}

#[test]
fn every_cut_into_shards_is_the_same_walk() {
    // Goal: the same states for 1 worker and for many. Method: a log of several windows, cut into
    // up to nine shards, each sent as text; also under a budget.
    let mut script = Script::sectors(&[0; 40]);
    for sector in 0..14 {
        script.fill(2 * sector, &[1, 2]);
        if sector % 5 == 4 {
            script.sync();
        }
    }
    let log = script.log();
    for states in [None, Some(500)] {
        let plan = Plan { samples: 100, states, ..Plan::default() };
        let explorer = Explorer::new(&log, &[], plan);
        let pass = || Plainly(|_: &Medium, _| Ok(()));
        let whole = explorer.run(&explorer.whole(), &mut pass()).unwrap();
        assert_eq!(whole.left_out > 0, states.is_some());
        assert!(states.is_none_or(|most| whole.generated() <= most), "{whole}");
        for parts in 1..10 {
            let mut sum = Report::default();
            for shard in explorer.shards(parts) {
                let shard: Shard = shard.to_string().parse().unwrap();
                sum.merge(explorer.run(&shard, &mut pass()).unwrap());
            }
            assert_eq!((sum.digest(), sum.unique()), (whole.digest(), whole.unique()), "{parts}");
            assert_eq!(sum.generated(), whole.generated(), "{parts}");
        }
    }
}

#[test]
fn the_missing_barrier_is_named() {
    // Goal: which sync is missing between which writes. Method: a data write, one that matters
    // nothing, an entry; the entry must not persist before the data.
    let mut script = Script::sectors(&[0; 4]);
    script.fill(3, &[9]);
    script.fill(1, &[7]);
    script.fill(2, &[5]);
    script.fill(0, &[1]);
    let log = script.log();
    let report = explore(&log, &[], &Plan::default(), |disk, _| {
        let state = fills(&disk.bytes(0, disk.length()));
        if dangles(&state) { Err("dangling".to_owned()) } else { Ok(()) }
    });
    let failure = report.failures.first().unwrap();
    assert_eq!(failure.barrier, Barrier::Between { lost: vec![1], early: vec![3] });
    assert_eq!((failure.deviation(), failure.writes.as_slice()), (1, [3].as_slice()));
    assert!(failure.to_string().contains("a sync after #1 and before #3"), "{failure}");
}
