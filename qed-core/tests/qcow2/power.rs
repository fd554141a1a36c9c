//! Power cuts: what a disk may keep of unsynced writes, sector by sector, in any combination.
//!
//! A session is recorded; at a random event the power fails. Everything that a completed sync
//! covers is on the disk, of the rest each sector may be. QEMU repairs what is left.

use std::sync::Arc;

use qed_core::Flags;
use qed_core::storage::{Event, Log, MemoryStorage, Operation, Recorder};

use crate::crash::one_of;
use crate::rig::{
    Dice, TOOLS, bytes_by_qemu, bytes_of, change, folder, from_storage, has_tools, in_memory,
    is_clean, len, succeed, text,
};

const SIZE: u64 = 6 << 20;
const SECTOR: usize = 512;

/// A recorded session. Each version of the disk's content stands beside the event behind which the
/// operation that made it was called, each flush beside the event behind which it had returned.
struct Session {
    before: Vec<u8>,
    log: Log,
    versions: Vec<(usize, Vec<u8>)>,
    flushes: Vec<(usize, usize)>,
}

fn session(cluster_size: u64, dice: &mut Dice) -> Session {
    let storage = in_memory(SIZE, cluster_size);
    let before = storage.to_bytes();
    let recorder = Arc::new(Recorder::new(storage).unwrap());
    let disk = from_storage(recorder.clone(), None, false).unwrap();
    let mut plain = vec![0; len(SIZE)];
    let (mut versions, mut flushes) = (vec![(0, plain.clone())], Vec::new());
    for _ in 0..40 {
        let begun = recorder.log().events.len();
        if dice.below(4) == 0 {
            disk.flush().unwrap();
            flushes.push((recorder.log().events.len(), versions.len() - 1));
            continue;
        }
        change(&disk, &mut plain, dice, 100_000);
        versions.push((begun, plain.clone()));
    }
    let begun = recorder.log().events.len();
    disk.pwrite(&[1; 512], 0, Flags::FUA).unwrap();
    plain[..512].fill(1);
    versions.push((begun, plain));
    flushes.push((recorder.log().events.len(), versions.len() - 1));
    Session { before, log: recorder.log(), versions, flushes }
}

/// What the disk holds when the power fails behind `cut` events.
fn left_behind(session: &Session, cut: usize, dice: &mut Dice) -> Vec<u8> {
    let events = &session.log.events[..cut];
    let operations: Vec<&Operation> = events
        .iter()
        .filter_map(|event| match event {
            Event::Issued { operation, .. } => Some(operation),
            _ => None,
        })
        .collect();
    // One thread: a sync that has completed covers everything issued before it.
    let completed = |at: &usize| {
        matches!(operations[*at], Operation::Sync)
            && (at + 1 < operations.len() || matches!(events.last(), Some(Event::Completed { .. })))
    };
    let settled = (0..operations.len()).rev().find(completed).unwrap_or(0);
    let mut bytes = session.before.clone();
    let chance = 1 + dice.below(9);
    for (at, operation) in operations.into_iter().enumerate() {
        let mut survives = || at < settled || dice.below(10) < chance;
        match operation {
            Operation::SetLength { length } => {
                if survives() {
                    bytes.resize(len(*length), 0);
                }
            }
            Operation::Write { offset, data, .. } => {
                let mut at = len(*offset);
                let mut rest = &data[..];
                while !rest.is_empty() {
                    let count = (SECTOR - at % SECTOR).min(rest.len());
                    // What the length did not survive for is not there either.
                    if survives() && at + count <= bytes.len() {
                        bytes[at..at + count].copy_from_slice(&rest[..count]);
                    }
                    (at, rest) = (at + count, &rest[count..]);
                }
            }
            Operation::Sync => {}
            other => panic!("nobody does {other:?} here"),
        }
    }
    bytes
}

/// Goal: after a power cut at any moment QEMU's repair makes the image sound, and every byte is
/// what it was at the last flush that had returned, or what was being written since; also before
/// that repair, as we read it. Method: as the module says, for three cluster sizes.
#[test]
fn a_power_cut_loses_nothing_that_was_flushed() {
    if !has_tools(&TOOLS) {
        return;
    }
    let (_keep, folder) = folder();
    for seed in 0..6 {
        let cluster_size = [512, 4096, 65536][len(seed % 3)];
        let mut dice = Dice::new(seed);
        let session = session(cluster_size, &mut dice);
        let total = session.log.events.len() as u64;
        for turn in 0..4 {
            let what = format!("seed {seed}, turn {turn}");
            let cut = len(dice.below(total + 1));
            let bytes = left_behind(&session, cut, &mut dice);
            let flushed = session.flushes.iter().rev().find(|(at, _)| *at <= cut);
            let first = flushed.map_or(0, |(_, version)| *version);
            let last = session.versions.iter().rposition(|(at, _)| *at <= cut).unwrap();
            let legal: Vec<_> =
                session.versions[first..=last].iter().map(|(_, plain)| plain.clone()).collect();
            let dirty = bytes[79] & 1 == 1;
            let path = folder.join(format!("{seed}-{turn}"));
            std::fs::write(&path, &bytes).unwrap();
            let left = Arc::new(MemoryStorage::from_bytes(&bytes));
            let disk = from_storage(left, None, true).unwrap();
            one_of(&bytes_of(&disk, 65536), &legal, &format!("{what}, as left"));
            if dirty {
                succeed(
                    "qemu-img",
                    &["check", "-q", "-T", "unsafe", "-r", "all", "-f", "qcow2", text(&path)],
                );
            }
            is_clean(&path);
            one_of(&bytes_by_qemu(&path, "qcow2"), &legal, &format!("{what}, repaired"));
        }
    }
}
