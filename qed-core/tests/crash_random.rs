//! Random short runs of the engine, every crash of each judged. The same seed is the same run.
//!
//! `QED_CRASH_SEEDS=from..to` judges others than the few that every run of the tests judges.

#![allow(clippy::unwrap_used)] // clippy knows tests by their attribute, not their helpers

mod support;

use qed_core::storage::{CallKind, Trigger};
use support::explore::{Options, Random};
use support::guest::Call;
use support::workload::Step::{self, During, Fail, Kill, Make, Reopen, Shorten, Try};
use support::workload::{Workload, flush, write};

const C: u64 = 4096;
const S: u64 = 512;
const L2: u64 = 2 << 20;

/// A range of a few clusters under either L2 table, often whole clusters.
fn range(random: &mut Random) -> (u64, u64) {
    let mut below = |limit: usize| random.below(limit) as u64;
    let cluster = if below(5) == 0 { L2 / C + below(2) } else { below(6) };
    if below(2) == 0 {
        return (cluster * C, C * (1 + below(3)));
    }
    (cluster * C + below(8) * S, S * (1 + below(10)))
}

/// A change of the disk's content.
fn change(random: &mut Random) -> Call {
    let kind = random.below(14);
    let (offset, length) = range(random);
    match kind {
        0..8 => Call::Write { offset, length, forced: false },
        8..12 => Call::Discard { offset, length },
        _ => Call::Zeroes { offset, length, forced: false, unmap: kind == 12 },
    }
}

fn call(random: &mut Random) -> Call {
    match random.below(20) {
        0..13 => change(random),
        13 => {
            let (offset, length) = range(random);
            Call::Write { offset, length, forced: true }
        }
        _ => Call::Flush,
    }
}

/// Some small image on some disk.
fn workload(random: &mut Random) -> Workload {
    let mut workload = Workload::small(Vec::new());
    if random.below(2) == 0 {
        workload = workload.over(4 * C + 5 * S);
    }
    if random.below(3) == 0 {
        workload = workload.in_large_units();
    }
    if random.below(3) == 0 {
        workload = workload.without_punch();
    }
    workload
}

/// Judges the runs that `steps` makes of the seeds: `few` of them, or those that were asked for.
fn judge_seeds(few: u64, steps: impl Fn(&mut Random) -> Vec<Step>) {
    let asked = std::env::var("QED_CRASH_SEEDS").unwrap_or_else(|_| format!("0..{few}"));
    let (first, last) = asked.split_once("..").unwrap();
    let mut judged = 0;
    for seed in first.parse::<u64>().unwrap()..last.parse().unwrap() {
        let mut random = Random(seed);
        let mut workload = workload(&mut random);
        workload.steps = steps(&mut random);
        let options = Options { seed, samples: 20, full: 7, ..Options::default() };
        let report = workload.explore(&options);
        report.assert_ok(&format!("seed {seed}"));
        judged += report.judged;
    }
    println!("{judged} states judged");
}

fn some<T>(
    random: &mut Random,
    least: usize,
    more: usize,
    make: impl Fn(&mut Random) -> T,
) -> Vec<T> {
    (0..least + random.below(more)).map(|_| make(random)).collect()
}

#[test]
fn random_runs_survive_every_crash() {
    judge_seeds(15, |random| {
        some(random, 4, 10, |random| match random.below(10) {
            0 => Kill,
            1 => Reopen,
            _ => Make(call(random)),
        })
    });
}

#[test]
fn random_changes_in_the_midst_of_a_flush_survive_every_crash() {
    // Goal: C6, C7, C9 in runs nobody thought of. Method: calls are made from inside the writes
    // and the syncs of a flush, whose end comes after theirs.
    judge_seeds(15, |random| {
        let mut steps = vec![write(0, C), flush()];
        steps.extend(some(random, 4, 7, |random| {
            if random.below(2) == 0 {
                return Make(call(random));
            }
            let kind = if random.below(2) == 0 { CallKind::Sync } else { CallKind::Write };
            let when = Trigger::on(kind).nth(1 + random.below(2) as u64);
            During(Call::Flush, when, some(random, 1, 2, change))
        }));
        steps
    });
}

#[test]
fn random_calls_in_the_midst_of_a_write_survive_every_crash() {
    // Goal: what is on its way belongs to nobody else (C3, C6, C9). Method: calls are made while a
    // write's data is about to move, or has moved and is not published.
    judge_seeds(15, |random| {
        let mut steps = vec![write(9 * C, C), flush()];
        steps.extend(some(random, 4, 7, |random| {
            if random.below(2) == 0 {
                return Make(call(random));
            }
            let start = 9 + random.below(3) as u64;
            let slow = Call::Write { offset: start * C + 3 * S, length: 2 * C, forced: false };
            let when = Trigger::on(CallKind::Write).metadata(false);
            let when = if random.below(2) == 0 { when } else { when.afterwards() };
            During(slow, when, some(random, 1, 4, call))
        }));
        steps
    });
}

#[test]
fn random_faults_lose_nothing_that_was_flushed() {
    // Goal: C3 and C17. Method: data writes fail half way, and their requests alone; then a write
    // or a sync fails that latches, and what follows may fail as well.
    judge_seeds(15, |random| {
        let mut steps = some(random, 2, 5, |random| Make(call(random)));
        let data = Trigger::on_any(&[CallKind::Write, CallKind::ZeroRange]).metadata(false);
        let length = S * random.below(9) as u64;
        steps.push(Shorten(data.nth(1 + random.below(3) as u64), length));
        steps.push(Fail(Trigger::on(CallKind::SetLen)));
        steps.push(Fail(Trigger::on(CallKind::Punch)));
        steps.extend(some(random, 2, 5, |random| Try(call(random))));
        steps.push(Fail(match random.below(3) {
            0 => Trigger::on(CallKind::Write).metadata(true),
            _ => Trigger::on(CallKind::Sync).nth(1 + random.below(2) as u64),
        }));
        steps.extend(some(random, 2, 5, |random| Try(call(random))));
        steps
    });
}
