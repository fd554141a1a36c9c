//! Random workloads of disks that grow and shrink, with calls in the midst of it.

use super::generate::S;
use super::{Step, Workload};
use crate::crash::guest::Call;
use crate::crash::random::Random;
use crate::storage::{CallKind, Preallocation, Trigger};
use std::ops::Range;

/// A disk whose end wanders about, in its first clusters or about the end of its first L2 table.
pub(super) fn resizing(mut workload: Workload, mut random: Random) -> Workload {
    let Workload { cluster, table, .. } = workload;
    let span = cluster * table / 8 * cluster;
    // The sectors between two ends are all looked at: they must not be many.
    let near_end = cluster == 4096 && table == 1 && random.once_in(2);
    let first = if near_end { span - 4 * cluster } else { 0 };
    let sectors = 8 * cluster / S;
    let end = |random: &mut Random| match random.below(3) {
        0 => first + (1 + random.below(8) as u64) * cluster,
        _ => first + (1 + random.word() % sectors) * S,
    };
    workload.size = end(&mut random);
    if let Some(backing) = workload.backing.take() {
        let Range { start, end } = backing.hole();
        workload = workload.over(first + backing.bytes()).with_hole(first + start..first + end);
    }
    let kinds = match workload.backing {
        Some(_) => &[Preallocation::Metadata][..],
        None => &[Preallocation::Metadata, Preallocation::Falloc, Preallocation::Full],
    };
    let mut size = workload.size;
    for _ in 0..4 + random.below(8) {
        let step = match random.below(4) {
            0 => {
                let resize = |size: &mut u64, random: &mut Random| {
                    let (from, to) = (*size, end(random));
                    *size = to;
                    let preallocation = match to > from && random.once_in(3) {
                        true => kinds[random.below(kinds.len())],
                        false => Preallocation::Off,
                    };
                    (Call::Resize { from, to, preallocation }, from.min(to))
                };
                let (call, _) = resize(&mut size, &mut random);
                if random.once_in(2) {
                    Step::Make(call)
                } else {
                    // The first change of a session is made, so that no lock is held at a sync.
                    workload.steps.push(Step::Make(call));
                    let (call, on_both) = resize(&mut size, &mut random);
                    let tail = Trigger::on(CallKind::Write).metadata(false);
                    let sync = Trigger::on(CallKind::Sync).nth(1 + random.below(2) as u64);
                    // The cluster across the end is claimed while its tail is written.
                    let whole = on_both - on_both % cluster;
                    let in_tail = random.once_in(3) && whole > first;
                    let (when, end) = if in_tail { (tail, whole) } else { (sync, on_both) };
                    let count = 1 + random.below(2);
                    let inside = (0..count).map(|_| change(&mut random, first, end, cluster));
                    Step::During(call, when, inside.collect())
                }
            }
            1 if random.once_in(2) => [Step::Reopen, Step::Kill][random.below(2)].clone(),
            1 => Step::flush(),
            _ => Step::Make(change(&mut random, first, size, cluster)),
        };
        workload.steps.push(step);
    }
    workload
}

/// A change of what lies between `first` and `end`, often up to the end.
fn change(random: &mut Random, first: u64, end: u64, cluster: u64) -> Call {
    let offset = first + random.word() % ((end - first) / S) * S;
    let length = match random.below(3) {
        0 => end - offset,
        1 => cluster,
        _ => S * (1 + random.below(8) as u64),
    };
    let length = length.min(end - offset);
    match random.below(6) {
        0..4 => Call::write(offset, length),
        4 => Call::Discard { offset, length },
        _ => Call::Zeroes { offset, length, forced: false, unmap: random.once_in(2) },
    }
}
