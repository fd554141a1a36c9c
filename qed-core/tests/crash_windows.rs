//! Every state that a crash may leave of short runs of the engine is sound, holds what was flushed,
//! shows nobody else's bytes, and can be lived on.
//!
//! One run for each window of the commit protocol, on disks that write 512 and 4096 bytes as a
//! whole. Clusters of 4 KiB: the guest's cluster n begins at `n * C`, its second L2 table at `L2`.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod support;

use qed_core::crash::Step::{self, During, Fail, Kill, Reopen, Try};
use qed_core::crash::oracle::{Shape, Tables};
use qed_core::crash::workload::empty_image;
use qed_core::crash::{Call, Medium, Plan, Subject, Workload, explore};
use qed_core::format::Geometry;
use qed_core::storage::{CallKind, MemoryStorage, Recorder, Trigger};
use qed_core::{CreateSpec, format_storage};
use std::sync::Arc;
use support::judged::{assert_crash_safe, assert_ok, verdict};

const C: u64 = 4096;
const S: u64 = 512;
/// Where the second L2 table's part of the disk begins.
const L2: u64 = 2 << 20;

/// Judges every crash of `workload`, with either size of a disk's sectors, and with a disk that
/// can punch and one that cannot.
fn survives(name: &str, workload: Workload) {
    let large = workload.clone().in_large_units();
    for workload in [workload.clone(), large, workload.without_punch()] {
        let Workload { unit, punches, .. } = workload;
        let report =
            assert_crash_safe(&workload, &format!("{name}, {unit} bytes, punch {punches}"));
        let least = workload.steps.len();
        assert!(report.unique() > least, "{name}: {} states are too few", report.unique());
        assert!(report.sampled.is_empty(), "{name}: a window was not walked in full");
    }
}

fn write(offset: u64, length: u64) -> Step {
    Step::write(offset, length)
}

fn write_forced(offset: u64, length: u64) -> Step {
    Step::write_forced(offset, length)
}

fn unmap(offset: u64, length: u64) -> Step {
    Step::unmap(offset, length)
}

fn zero(offset: u64, length: u64) -> Step {
    Step::zero(offset, length)
}

fn discard(offset: u64, length: u64) -> Step {
    Step::discard(offset, length)
}

fn flush() -> Step {
    Step::flush()
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

/// Goal: what a plan remembers of the backing file serves requests in flight as asking would (C4).
/// Method: writes that begin together, over a hole that is known, over clusters of which a part is
/// data, and whole clusters of either, with a flush in their midst.
#[test]
fn writes_in_flight_over_holes_of_the_backing_file() {
    let over = |steps| plain(steps).over(8 * C + 5 * S).with_hole(C + 3 * S..5 * C + S);
    let together = |text: &str| text.parse::<Step>().unwrap();
    let known = vec![write(9 * C, S), write(2 * C + S, S), flush()];
    for calls in ["12800+512, flush, write 16384+4096", "4096+512, flush, write 20480+512"] {
        let mut steps = known.clone();
        steps.push(together(&format!("queued {{write {calls}}}")));
        steps.push(flush());
        survives(calls, over(steps));
    }
}

#[test]
fn zeroes() {
    survives("of data", plain(vec![write(0, 3 * C), flush(), unmap(0, C), zero(C, C), flush()]));
    survives("of parts", plain(vec![write(0, 3 * C), flush(), unmap(S, 2 * C), flush()]));
    let steps = vec![unmap(0, 2 * C), flush(), write(S, S), flush(), zero(S, S), write(C, C)];
    survives("over backing", overlay(steps));
    let steps = vec![write(0, C), flush(), unmap(0, C), write(S, S), flush(), zero(0, C), flush()];
    survives("of a copy", overlay(steps));
    let steps = vec![zero(23 * C, 3 * C), flush(), write(24 * C + S, S), flush()];
    survives("of the end", overlay(steps));
}

#[test]
fn discard_and_reuse() {
    let steps = vec![write(0, 2 * C), flush(), discard(0, C), flush(), write(4 * C, C), flush()];
    survives("flushed", plain(steps));
    let steps = vec![write(0, 2 * C), flush(), discard(0, C), write(4 * C, C), flush()];
    survives("unflushed", plain(steps));
    let mut steps = vec![write(0, 2 * C), flush(), discard(0, 2 * C), flush(), flush()];
    steps.extend([write(4 * C + S, S), flush(), write(5 * C, C), write(L2, S), flush()]);
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
    let mut steps = vec![write(0, 2 * C), flush(), discard(0, C)];
    steps.extend([write_forced(C, C), write_forced(0, S)]);
    survives("beside a discard", plain(steps));
}

#[test]
fn close_and_reopen() {
    let steps = vec![write(0, 2 * C), Reopen, write(C, C), write(4 * C, C), Reopen];
    survives("plain", plain(steps.clone()));
    survives("overlay", overlay(steps));
    let mut steps = vec![write(0, 3 * C), flush(), discard(0, C), discard(2 * C, C), Reopen];
    steps.extend([write(4 * C + S, S), write(L2, C), flush(), Reopen, discard(L2, C), Reopen]);
    survives("with free space", plain(steps));
}

#[test]
fn a_killed_process() {
    let steps = vec![write(0, C), flush(), discard(0, C), Kill, write(4 * C, C), flush()];
    survives("unwritten", plain(steps));
    let mut steps = vec![write(0, 2 * C), flush(), discard(0, C), write(4 * C, C), Kill];
    steps.extend([write_forced(C, S), write(5 * C + S, S), flush(), Kill, write(6 * C, S), Reopen]);
    survives("written", plain(steps.clone()));
    survives("over backing", overlay(steps));
}

#[test]
fn a_discard_in_the_midst_of_a_flush() {
    // Goal: a flush owes an entry that waited, also where its value has changed meanwhile (C7).
    // Method: the entry waits for S1; its table's turn in phase 1 is over when it is discarded.
    let first = [write(0, C), flush(), write(2 * C + S, S), write(L2, C)];
    for nth in 1..=4 {
        for kind in [CallKind::Write, CallKind::Sync] {
            let when = Trigger::on(kind).nth(nth);
            let discarded = Call::Discard { offset: 2 * C, length: C };
            let mut steps = first.to_vec();
            steps.push(During(Call::Flush, when, vec![discarded]));
            survives("discard", overlay(steps));
        }
    }
}

#[test]
fn after_a_failed_table_write() {
    // Goal: no flush that owes the lost entry succeeds (C17). Method: its write fails; flush again.
    for nth in 1..=3 {
        let mut steps = vec![write(0, C), flush(), write(2 * C + S, S), write(L2, C)];
        steps.push(Fail(Trigger::on(CallKind::Write).metadata(true).nth(nth)));
        steps.extend([Try(Call::Flush), Try(Call::Flush)]);
        survives("plain", plain(steps.clone()));
        survives("overlay", overlay(steps));
    }
}

#[test]
fn larger_clusters_and_tables() {
    let steps = vec![write(S, S), write(64 << 10, 64 << 10), flush(), discard(64 << 10, 64 << 10)];
    let workload = Workload { cluster: 64 << 10, table: 4, ..plain(steps) };
    survives("plain", workload.clone());
    survives("overlay", workload.over((200 << 10) + S));
}

/// Judges every crash while an empty image of `size` bytes is put into a file that holds `before`.
fn creation_survives(before: &[u8], unit: u64) {
    let memory = MemoryStorage::from_bytes(before).with_atomic_unit(unit);
    let recorder = Recorder::new(Arc::new(memory)).unwrap();
    let workload = plain(Vec::new());
    let geometry = Geometry::new(workload.cluster, workload.table).unwrap();
    format_storage(&recorder, &CreateSpec::new(geometry, workload.size).unwrap()).unwrap();
    let log = recorder.log();
    let shape = |bytes: &[u8]| Shape::read(&Medium::from_bytes(bytes));
    let (old, shape) = (shape(before), shape(&workload.image()).unwrap());
    let mut finished = workload.record().unwrap();
    finished.log.limits = log.limits;
    let subject = Subject::new(finished).unwrap();
    let finished = log.events.len();
    let (mut none, mut new) = (0, 0);
    let plan = Plan { unit, ..Plan::default() };
    let report = explore(&log, &[finished - 1], &plan, |disk, t| {
        let found = Shape::read(disk);
        if found == Ok(shape.clone()) {
            new += 1;
            return verdict(&subject, disk, t);
        }
        if t == finished {
            return Err(format!("the image is not there: {found:?}"));
        }
        none += 1;
        match found {
            Ok(shape) if Ok(&shape) == old.as_ref() => Tables::read(disk).map(drop),
            Ok(shape) => Err(format!("neither the old image nor the new one: {shape:?}")),
            Err(_) => Ok(()),
        }
    });
    assert_ok(&report, &format!("creating over {} bytes", before.len()));
    assert!(none > 1 && new > 0, "{none} states without the image, {new} with it");
}

#[test]
fn creation() {
    let mut old = empty_image(8192, 2, 1 << 20, 0);
    // A table full of entries that must not come back as the new image's L1.
    old.extend(vec![0; 4 * 8192]);
    let end = old.len() as u64;
    for (slot, entry) in old[C as usize..2 * C as usize].chunks_exact_mut(8).enumerate() {
        entry.copy_from_slice(&(end + slot as u64 * 8192).to_le_bytes());
    }
    for unit in [512, 4096] {
        creation_survives(&[], unit);
        creation_survives(&vec![0xa5; 3 * 8192], unit);
        creation_survives(&old, unit);
    }
}
