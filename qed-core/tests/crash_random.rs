//! Random short runs of the engine, every crash of each judged. The same seed is the same run.
//!
//! `QED_CRASH_SEEDS=from..to` judges others than the few that every run of the tests judges.

#![allow(clippy::unwrap_used)] // clippy knows tests by their attribute, not their helpers

mod support;

use support::explore::{Options, Random};
use support::workload::Step::{self, Kill, Reopen};
use support::workload::{Workload, discard, flush, unmap, write, write_forced, zero};

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

fn step(random: &mut Random) -> Step {
    let kind = random.below(24);
    let (offset, length) = range(random);
    match kind {
        0..8 => write(offset, length),
        8 => write_forced(offset, length),
        9..13 => discard(offset, length),
        13 => unmap(offset, length),
        14 => zero(offset, length),
        15..21 => flush(),
        21 => Kill,
        _ => Reopen,
    }
}

fn workload(seed: u64) -> Workload {
    let mut random = Random(seed);
    let mut workload = Workload::small(Vec::new());
    if random.below(2) == 0 {
        workload = workload.over(4 * C + 5 * S);
    }
    if random.below(3) == 0 {
        workload = workload.in_large_units();
    }
    workload.steps = (0..4 + random.below(10)).map(|_| step(&mut random)).collect();
    workload
}

#[test]
fn random_runs_survive_every_crash() {
    let seeds = std::env::var("QED_CRASH_SEEDS").unwrap_or_else(|_| "0..40".to_owned());
    let (first, last) = seeds.split_once("..").unwrap();
    let mut judged = 0;
    for seed in first.parse::<u64>().unwrap()..last.parse().unwrap() {
        let options = Options { seed, samples: 20, full: 7, ..Options::default() };
        let report = workload(seed).explore(&options);
        report.assert_ok(&format!("seed {seed}"));
        judged += report.judged;
    }
    println!("{judged} states");
}
