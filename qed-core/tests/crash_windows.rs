//! Every state that a crash may leave of short runs of the engine is sound, holds what was flushed,
//! shows nobody else's bytes, and can be lived on.
//!
//! One run for each window of the commit protocol, on disks that write 512 and 4096 bytes as a
//! whole. Clusters of 4 KiB: the guest's cluster n begins at `n * C`, its second L2 table at `L2`.

mod support;

use support::explore::Report;
use support::workload::Step::{self, Kill, Reopen};
use support::workload::{Workload, discard, flush, unmap, write, write_forced, zero};

const C: u64 = 4096;
const S: u64 = 512;
/// Where the second L2 table's part of the disk begins.
const L2: u64 = 2 << 20;

/// Judges every crash of `steps`, with either size of a disk's sectors.
fn survives(name: &str, workload: Workload) {
    for workload in [workload.clone(), workload.in_large_units()] {
        let report = workload.assert_crash_safe(&format!("{name}, {} bytes", workload.unit));
        assert!(walked(&report) >= workload.steps.len(), "{name}: too few states: {report:?}");
        println!("{name} {} {:?}", workload.unit, report);
    }
}

/// States that a prefix of the log did not already show.
fn walked(report: &Report) -> usize {
    report.judged.saturating_sub(1)
}

fn plain(steps: Vec<Step>) -> Workload {
    Workload::small(steps)
}

/// Over a backing file that ends in the middle of cluster 24.
fn overlay(steps: Vec<Step>) -> Workload {
    Workload::small(steps).over(24 * C + 5 * S)
}

#[test]
fn first_allocation() {
    survives("whole cluster", plain(vec![write(0, C), flush(), write(C, C), flush()]));
    survives("part of a cluster", plain(vec![write(3 * S, S), flush(), write(5 * S, S), flush()]));
    survives("never flushed", plain(vec![write(0, C), write(3 * C + S, 2 * S)]));
}

#[test]
fn several_clusters_and_sectors_of_a_table() {
    let steps =
        vec![write(0, C), write(100 * C, C), write(3 * C + S, C), flush(), write(99 * C, S)];
    survives("spread", plain(steps));
    survives("long", plain(vec![write(S, 5 * C), flush(), write(2 * C, 5 * C), flush()]));
}

#[test]
fn a_new_l2_table() {
    survives("both", plain(vec![write(0, C), write(L2, C), flush(), write(L2 + C, S), flush()]));
    survives("across", plain(vec![write(L2 - C, 2 * C), flush()]));
    survives("later", plain(vec![write(0, C), flush(), write(L2, S), flush(), write(C, C)]));
    survives("overlay", overlay(vec![write(0, C), flush(), write(L2 + S, S), flush()]));
}

#[test]
fn copies_from_the_backing_file() {
    survives("part", overlay(vec![write(3 * S, S), flush(), write(C + S, S), flush()]));
    survives("whole", overlay(vec![write(0, C), flush(), write(C, C), flush()]));
    survives("the end", overlay(vec![write(24 * C + S, S), write(25 * C + S, S), flush()]));
    survives("long", overlay(vec![write(22 * C + S, 4 * C), flush()]));
    survives("unflushed", overlay(vec![write(0, S), write(0, C), write(C, C), write(C + S, S)]));
}

#[test]
fn zeroes() {
    survives("of data", plain(vec![write(0, 3 * C), flush(), unmap(0, C), zero(C, C), flush()]));
    survives("of parts", plain(vec![write(0, 3 * C), flush(), unmap(S, 2 * C), flush()]));
    let steps = vec![unmap(0, 2 * C), flush(), write(S, S), flush(), zero(S, S), write(C, C)];
    survives("over backing", overlay(steps));
    let steps = vec![write(0, C), flush(), unmap(0, C), write(S, S), flush(), zero(0, C), flush()];
    survives("of a copy", overlay(steps));
    survives(
        "of the end",
        overlay(vec![zero(23 * C, 3 * C), flush(), write(24 * C + S, S), flush()]),
    );
}

#[test]
fn discard_and_reuse() {
    let steps = vec![write(0, 2 * C), flush(), discard(0, C), flush(), write(4 * C, C), flush()];
    survives("flushed", plain(steps));
    let steps = vec![write(0, 2 * C), flush(), discard(0, C), write(4 * C, C), flush()];
    survives("unflushed", plain(steps));
    let steps = vec![
        write(0, 2 * C),
        flush(),
        discard(0, 2 * C),
        flush(),
        flush(),
        write(4 * C + S, S),
        flush(),
        write(5 * C, C),
        write(L2, S),
        flush(),
    ];
    survives("small writes into what was freed", plain(steps.clone()));
    survives("over backing", overlay(steps));
    let steps = vec![write(0, C), discard(0, C), write(0, S), flush(), discard(0, C), write(0, S)];
    survives("the same cluster", plain(steps.clone()));
    survives("the same cluster over backing", overlay(steps));
}

#[test]
fn forced_writes() {
    let steps = vec![write_forced(0, C), write_forced(S, S), write(2 * S, S), write_forced(C, S)];
    survives("plain", plain(steps.clone()));
    survives("overlay", overlay(steps));
    let steps =
        vec![write(0, 2 * C), flush(), discard(0, C), write_forced(C, C), write_forced(0, S)];
    survives("beside a discard", plain(steps));
}

#[test]
fn close_and_reopen() {
    let steps = vec![write(0, 2 * C), Reopen, write(C, C), write(4 * C, C), Reopen];
    survives("plain", plain(steps.clone()));
    survives("overlay", overlay(steps));
    let steps = vec![
        write(0, 3 * C),
        flush(),
        discard(0, C),
        discard(2 * C, C),
        Reopen,
        write(4 * C + S, S),
        write(L2, C),
        flush(),
        Reopen,
        discard(L2, C),
        Reopen,
    ];
    survives("with free space", plain(steps));
}

#[test]
fn a_killed_process() {
    let steps = vec![write(0, C), flush(), discard(0, C), Kill, write(4 * C, C), flush()];
    survives("unwritten", plain(steps));
    let steps = vec![
        write(0, 2 * C),
        flush(),
        discard(0, C),
        write(4 * C, C),
        Kill,
        write_forced(C, S),
        write(5 * C + S, S),
        flush(),
        Kill,
        write(6 * C, S),
        Reopen,
    ];
    survives("written", plain(steps.clone()));
    survives("over backing", overlay(steps));
}
