//! C10, C11, C15 and C16: freed space and what it still holds.

use std::sync::Arc;

use qed_core::crash::Workload;
use qed_core::storage::{CallKind, MemoryStorage, Trigger};
use qed_core::{Rule, Rules};

use crate::rig::{C, L2, Rig, SECTOR, shows};

#[test]
fn c10_a_cluster_is_not_reused_before_its_release() {
    // Cx: punched at once, then reused as fresh: the stable old entry shows G1's data.
    shows(Rule::PunchAfterRelease, |rules| {
        let rig = Rig::without_punch(rules);
        rig.write(0, C);
        rig.flush();
        rig.discard(0, C);
        // The first of these requests lets the epoch of the discard pass.
        rig.write(2 * C, C);
        rig.write(C, C);
        rig.judge()
    });
}

#[test]
fn c10_a_punched_cluster_is_fresh_after_a_sync() {
    // A punch that is not synced may be undone: what was there would show through.
    shows(Rule::PunchedIsFreshAfterSync, |rules| {
        let rig = Rig::new(rules);
        rig.write(0, C);
        rig.flush();
        rig.discard(0, C);
        rig.flush();
        rig.write(C + SECTOR, SECTOR);
        rig.flush();
        rig.judge()
    });
}

#[test]
fn c11_a_table_in_reused_space_is_initialised() {
    // The data that was there would be read as entries.
    shows(Rule::InitialiseReusedTables, |rules| {
        let rig = Rig::without_punch(rules);
        rig.write(0, C);
        rig.flush();
        rig.discard(0, C);
        rig.flush();
        rig.write(L2, C);
        rig.flush();
        rig.judge()
    });
}

#[test]
fn c15_a_scan_leaves_out_what_the_session_touched() {
    // The scan has read the first table; then the cluster of a guest cluster of the second goes to
    // one of the first: to the scan it looks free.
    shows(Rule::ScanLeavesOutTouched, |rules| {
        let before = Rig::without_punch(Rules::default());
        before.write(0, C);
        before.write(L2, C);
        before.close();
        let rig = unmapped(&before, rules);
        let mut byte = [0];
        rig.image().pread(&mut byte, 0).unwrap();
        rig.image().pread(&mut byte, L2).unwrap();
        let entry = &before.bytes()[4096 + 8..4096 + 16];
        let second = u64::from_le_bytes(entry.try_into().unwrap());
        let scanning = rig.fault.hold(Trigger::on(CallKind::Read).within(second..second + C));
        rig.discard(L2, C);
        scanning.wait();
        rig.flush();
        rig.write(C, C);
        rig.flush();
        scanning.release();
        await_scan(&rig);
        rig.write(2 * C, C);
        rig.write(3 * C, C);
        rig.reads(2, C, C)
    });
}

#[test]
fn c15_a_scan_leaves_out_what_waits_for_its_sync() {
    // An entry's image without X has landed and no sync covers it yet; the scan sees that image.
    shows(Rule::ScanLeavesOutTouched, |rules| {
        let before = Rig::without_punch(Rules::default());
        before.write(0, C);
        before.close();
        let rig = unmapped(&before, rules);
        rig.image().pread(&mut [0], 0).unwrap();
        let scanning = rig.fault.hold(Trigger::on(CallKind::Read));
        rig.discard(0, C);
        scanning.wait();
        let sync = rig.fault.hold(Trigger::on(CallKind::Sync));
        std::thread::scope(|scope| {
            let flush = scope.spawn(|| rig.flush());
            sync.wait();
            scanning.release();
            await_scan(&rig);
            // To the scan X was free: it goes to G1, and when the sync covers the image, once more.
            rig.write(C, C);
            sync.release();
            flush.join().map_err(|_| "the flush panicked".to_owned())
        })?;
        rig.flush();
        rig.write(2 * C, C);
        rig.write(3 * C, C);
        rig.reads(2, C, C)
    });
}

#[test]
fn c15_a_scan_leaves_out_what_an_incomplete_map_gave() {
    // A map that had no room for all has its clusters handed out while the scan runs, which has
    // read that table before: to the scan they are free.
    shows(Rule::ScanLeavesOutTouched, |rules| {
        let rig = fragmented(rules, true);
        rig.image().pread(&mut [0], 0).unwrap();
        let scanning = rig.fault.hold(Trigger::on(CallKind::Read).within(2 * C..3 * C));
        let length = rig.bytes().len();
        (0..MAPPED).for_each(|fragment| rig.write(2 * fragment * C + C, C));
        scanning.wait();
        if rig.bytes().len() != length {
            return Err("space of the map was not used".to_owned());
        }
        scanning.release();
        await_scan(&rig);
        (1..20).for_each(|cluster| rig.write(L2 - cluster * C, C));
        (0..MAPPED).try_for_each(|fragment| rig.reads(fragment, 2 * fragment * C + C, C))
    });
}

/// Runs that the map of an image of these has room for.
const MAPPED: u64 = (C - 512 - 48) / 16;

#[test]
fn c13_an_incomplete_map_is_used_and_handed_on() {
    // Goal: what is known to be free stays known, however short sessions are. Method: a map that
    // has no room for all; the scan, which would find the rest, fails in every session. A session
    // writes into space of the map, frees, and closes; a third one uses what that left. Every crash
    // of all this is judged.
    let rig = fragmented(Rules::default(), false);
    let length = rig.bytes().len();
    rig.write(L2 - C, C);
    rig.flush();
    rig.discard(0, C);
    rig.close();
    assert_eq!(rig.bytes()[36] & 3, 3, "the map is announced");
    rig.fault.clear();
    rig.fault.fail(Trigger::on(CallKind::Read).within(2 * C..3 * C).nth(2).for_ever(), libc::EIO);
    rig.reopen();
    rig.write(L2 - 3 * C, 2 * C);
    rig.close();
    assert_eq!(rig.bytes().len(), length, "the map had space for all of it");
    rig.fault.clear();
    rig.reopen();
    rig.reads(0, L2 - C, C).unwrap();
    rig.judge().unwrap();
}

/// Free clusters, none beside another one.
const FRAGMENTS: u64 = 240;

/// An image with more free runs than its map has room for, opened with a background thread that
/// scans it, or fails to.
fn fragmented(rules: Rules, scans: bool) -> Rig {
    let before = Rig::without_punch(Rules::default());
    before.write(0, 2 * FRAGMENTS * C);
    before.flush();
    (0..FRAGMENTS).for_each(|fragment| before.discard(2 * fragment * C + C, C));
    before.close();
    let image = before.bytes();
    assert_eq!(image[36] & 3, 3, "a map is announced");
    assert_eq!(image[512 + 12], 0, "it has no room for all");
    let memory = Arc::new(MemoryStorage::from_bytes(&image).without_punch());
    let mut workload = Workload::small(Vec::new());
    workload.settings.rules = rules;
    workload.settings.background = true;
    workload.settings.scan_limit = 0;
    let rig = Rig::of(workload, &memory);
    if !scans {
        // The guest's look-ups read a slice of it once, at most.
        let table = Trigger::on(CallKind::Read).within(2 * C..3 * C);
        rig.image().pread(&mut [0], 0).unwrap();
        rig.fault.fail(table.for_ever(), libc::EIO);
    }
    rig
}

/// The image that `before` left, as after a crash: vouched for, with no map of what is free. It has
/// a background thread.
fn unmapped(before: &Rig, rules: Rules) -> Rig {
    let mut image = before.bytes();
    image[36] &= !2;
    let memory = Arc::new(MemoryStorage::from_bytes(&image).without_punch());
    let mut workload = Workload::small(Vec::new());
    workload.settings.rules = rules;
    workload.settings.background = true;
    workload.settings.scan_limit = 0;
    Rig::of(workload, &memory)
}

fn await_scan(rig: &Rig) {
    let image = rig.image();
    while !image.has_scanned() {
        std::thread::yield_now();
    }
}

#[test]
fn c16_a_reused_cluster_is_filled_to_its_end() {
    // The disk ends in the middle of a cluster: what was behind that must not stay.
    shows(Rule::FillToTheEnd, |rules| {
        let mut workload = Workload::small(Vec::new());
        workload.size = L2 - 4 * SECTOR;
        let rig = Rig::over(workload, rules, MemoryStorage::without_punch);
        rig.write(0, C);
        rig.flush();
        rig.discard(0, C);
        rig.flush();
        let last = L2 - C;
        rig.write(last, SECTOR);
        rig.flush();
        let extent = rig.image().extents(last, SECTOR).unwrap().next().unwrap().unwrap();
        let qed_core::ExtentKind::Data { file_offset: Some(file_offset) } = extent.kind else {
            return Err("the last cluster is not mapped".into());
        };
        let bytes = rig.bytes();
        let tail =
            usize::try_from(file_offset + 512).unwrap()..usize::try_from(file_offset + C).unwrap();
        if bytes[tail].iter().all(|byte| *byte == 0) { Ok(()) } else { Err("stale bytes".into()) }
    });
}
