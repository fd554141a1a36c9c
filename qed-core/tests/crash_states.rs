//! The explorer of crash states is exact: hand-made logs, whose legal states are known.

#![allow(clippy::unwrap_used)] // clippy knows tests by their attribute, not their helpers

#[path = "crash_states/definition.rs"]
mod definition;
mod support;

use definition::by_definition;
use qed_core::storage::{Log, Operation};
use std::collections::BTreeSet;
use support::explore::{Options, Random, deviation, explore};
use support::history::History;
use support::script::{Script, fills, sectors, write};
use support::states::{Frame, Pick};

/// The content of every state that is legal after a crash behind the last event.
fn at_the_end(log: &Log, unit: u64) -> BTreeSet<Vec<u8>> {
    let history = History::new(log, unit);
    every_state(&history, *history.windows(&[]).last().unwrap())
}

/// Every set of elements of every choice, by brute force.
fn every_state(history: &History, window: support::history::Window) -> BTreeSet<Vec<u8>> {
    let frame = Frame::new(history, window);
    let elements: Vec<(usize, usize)> = (0..frame.choices.len())
        .flat_map(|choice| (0..frame.choices[choice].elements()).map(move |part| (choice, part)))
        .collect();
    assert!(elements.len() <= 14, "too many elements for brute force: {}", elements.len());
    let state = |mask: u64| {
        let taken = |index: usize| mask >> index & 1 == 1;
        let part = |choice: usize| {
            let of = (0..elements.len()).filter(|index| elements[*index].0 == choice);
            let parts: Vec<usize> = of.filter(|i| taken(*i)).map(|i| elements[i].1).collect();
            (!parts.is_empty()).then_some(Pick { choice, elements: Some(parts) })
        };
        (0..frame.choices.len()).filter_map(part).collect::<Vec<_>>()
    };
    let content = |mask| {
        let disk = frame.disk(&state(mask));
        fills(&disk.bytes(0, disk.length()))
    };
    (0..1 << elements.len()).map(content).collect()
}

fn set<const N: usize>(states: [&[u8]; N]) -> BTreeSet<Vec<u8>> {
    states.into_iter().map(<[u8]>::to_vec).collect()
}

/// What `explore` judges, in its order.
fn explored(log: &Log, options: &Options) -> Vec<(Vec<u8>, usize)> {
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
    let torn = explored(&log, &Options::default());
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
                length = support::disk::at(new / 512);
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
    let mut random = Random(1);
    let (mut largest, mut walked) = (0, 0);
    for _ in 0..2000 {
        let log = random_log(&mut random);
        let states = at_the_end(&log, 512);
        largest = largest.max(states.len());
        assert_eq!(states, by_definition(&log, log.events.len()), "{:#?}", log.events);
        for (state, t) in explored(&log, &Options { seed: 7, ..Options::default() }) {
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

fn dangles(state: &[u8]) -> bool {
    state[0] == 1 && state.get(1) != Some(&7)
}

#[test]
fn reordering_finds_at_once_what_prefixes_miss() {
    // Goal: the order of the walk. Method: an entry that must not persist before its data.
    let log = unordered_log();
    let prefixes = explored(&log, &Options { reorder: false, torn: false, ..Options::default() });
    assert!(!prefixes.iter().any(|(state, _)| dangles(state)));
    let states = explored(&log, &Options { torn: false, ..Options::default() });
    let found = states.iter().position(|(state, _)| dangles(state)).unwrap();
    assert!(found <= prefixes.len() + 1, "found as state {found}");
}

#[test]
fn deviation_counts_what_is_out_of_order() {
    let of = |text: &str| deviation(&text.chars().map(|c| c == '1').collect::<Vec<_>>());
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
    let of = |seed| explored(&log, &Options { seed, samples: 300, ..Options::default() });
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    let report = explore(&log, &[], &Options { samples: 300, ..Options::default() }, |_, _| Ok(()));
    assert_eq!((report.windows, report.sampled, report.largest), (1, 1, 20));
    assert!(report.generated > report.unique && report.unique == report.judged);
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
        explore(&log, boundaries, &Options::default(), |disk, t| {
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
    let judge = |disk: &support::disk::Disk| {
        let state = fills(&disk.bytes(0, disk.length()));
        if state == [0, 2, 0, 0] { Err("torn without the first".to_owned()) } else { Ok(()) }
    };
    let report = explore(&log, &[], &Options::default(), |disk, _| judge(disk));
    let failure = report.failures.first().unwrap();
    assert_eq!(failure.replay, "0:2,3/0");
    let story = failure.to_string();
    for line in ["torn without the first", "guest call 3", "#1 write 0x0 + 0x200  [LOST]"] {
        assert!(story.contains(line), "{story}");
    }
    assert!(story.contains("#3 write 0x200 + 0x400  [TORN: parts [0] of 2]"), "{story}");
    assert!(story.ends_with("replay: QED_CRASH_REPLAY='0:2,3/0'"), "{story}");
    let again = Options { replay: Some(failure.replay.clone()), ..Options::default() };
    let report = explore(&log, &[], &again, |disk, _| judge(disk));
    assert_eq!((report.judged, report.failures.len()), (1, 1));
}
