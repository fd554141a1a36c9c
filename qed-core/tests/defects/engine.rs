//! Defects of order, locking and memory: shown on images in memory and on one real file.

use std::sync::Arc;

use qed_core::crash::oracle::Tables;
use qed_core::crash::{Medium, Step, Workload};
use qed_core::storage::{CallKind, Event, Fault, MemoryStorage, Operation, Recorder, Trigger};
use qed_core::{
    Corruption, CreateOptions, ErrorKind, Flags, Image, ImageSettings, OpenOptions, check_storage,
    create, inspect, open,
};

use crate::support::judged::{assert_crash_safe, assert_ok, by};

const C: u64 = 4096;
const NEED_CHECK: u64 = 2;
/// Entries of the L2 table of [`foreign`], and where its data clusters stand.
const L2_AT: u64 = 2 * C;
const DATA_AT: u64 = 3 * C;

fn settings() -> ImageSettings {
    ImageSettings { background: false, ..ImageSettings::default() }
}

/// An image of another writer: an L2 table at cluster 2, the data of guest cluster 3 at cluster 3,
/// and `words` put at file offsets.
fn foreign(features: u64, words: &[(u64, u64)]) -> Arc<MemoryStorage> {
    let mut bytes = Workload::small(Vec::new()).image();
    bytes.resize(4 * C as usize, 0);
    bytes[DATA_AT as usize..].fill(0xdd);
    let own = [(16, features), (C, L2_AT), (L2_AT + 8 * 3, DATA_AT)];
    for (offset, word) in own.iter().chain(words) {
        let at = *offset as usize;
        bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }
    Arc::new(MemoryStorage::from_bytes(&bytes))
}

fn word(storage: &MemoryStorage, offset: u64) -> u64 {
    let bytes = storage.to_bytes();
    u64::from_le_bytes(bytes[offset as usize..offset as usize + 8].try_into().unwrap())
}

#[test]
fn d05_no_crash_of_an_allocation_leaves_a_dangling_entry() {
    // QEMU: the L2 sector may persist without NEED_CHECK; the next allocation takes the cluster
    // again.
    let write = |cluster| Step::write(cluster * C, C);
    let steps = vec![write(0), write(1), Step::flush(), write(2), Step::flush()];
    let report = assert_crash_safe(&Workload::small(steps), "allocating writes");
    assert!(report.judged() > 20, "{report:?}");
}

#[test]
fn d06_duplicates_behind_need_check_fail_the_open() {
    // QEMU: opens, and drops the flag.
    let storage = foreign(NEED_CHECK, &[(L2_AT + 8 * 7, DATA_AT)]);
    let before = storage.to_bytes();
    let error = Image::from_storage(storage.clone(), None, settings()).expect_err("damage");
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    assert_eq!(storage.to_bytes(), before, "the refused image was changed");
}

#[test]
fn d07_need_check_is_cleared_after_the_repair_is_stable() {
    // QEMU: clears it first. Here every crash of the repair leaves the flag or a sound image.
    let storage = foreign(NEED_CHECK, &[(L2_AT + 8 * 7, 900 * C)]);
    let recorder = Arc::new(Recorder::new(storage.clone()).unwrap());
    let image = Image::from_storage(recorder.clone(), None, settings()).unwrap();
    assert_eq!(word(&storage, L2_AT + 8 * 7), 0);
    assert_eq!(word(&storage, 16) & NEED_CHECK, 0);
    let report = by(&recorder.log(), &[], |disk: &Medium, _| {
        let flagged = disk.word(16) & NEED_CHECK != 0;
        if flagged { Ok(()) } else { Tables::read(disk).map(|_| ()) }
    });
    assert!(report.judged() > 2, "{report:?}");
    assert_ok(&report, "repair at open");
    drop(image);
}

#[test]
fn d08_allocating_writes_flushes_and_closing_run_side_by_side() {
    // QEMU: an allocating write during the timer's flush aborts the process.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.qed");
    let mut options = CreateOptions::default();
    options.size = Some(1 << 30);
    create(&path, &options).unwrap();
    let image = open(&path, &OpenOptions::default()).unwrap();
    let threads = 8_u64;
    let block = |thread: u64, number: u64| [(thread * 31 + number % 200 + 1) as u8; 4096];
    let place = |thread: u64, number: u64| (number * threads + thread) * 65536;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let image = &image;
            scope.spawn(move || {
                for number in 0..150 {
                    let data = block(thread, number);
                    image.pwrite(&data, place(thread, number), Flags::NONE).unwrap();
                    if number % 10 == thread {
                        image.flush().unwrap();
                    }
                }
            });
        }
    });
    image.close().unwrap();
    let image = open(&path, &OpenOptions::default()).unwrap();
    let mut found = [0; 4096];
    for (thread, number) in (0..threads).flat_map(|thread| (0..150).map(move |n| (thread, n))) {
        image.pread(&mut found, place(thread, number)).unwrap();
        assert_eq!(found, block(thread, number), "thread {thread}, block {number}");
    }
    image.close().unwrap();
    let report = qed_core::check(&path, &OpenOptions::default()).unwrap();
    assert!(report.is_clean() && report.leaks == 0, "{report:?}");
}

#[test]
fn d09_info_reports_an_unchecked_image() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dirty.qed");
    std::fs::write(&path, foreign(NEED_CHECK, &[]).to_bytes()).unwrap();
    let layer = inspect(&path, &OpenOptions::default()).unwrap();
    assert!(layer.info().unwrap().needs_check);
}

#[test]
fn d11_after_a_failed_table_write_nothing_claims_to_be_stable() {
    // QEMU: memory keeps the new mapping; later writes succeed, are flushed, and are gone.
    for level in ["L1", "L2"] {
        let storage = Arc::new(MemoryStorage::from_bytes(&Workload::small(Vec::new()).image()));
        let fault = Arc::new(Fault::new(storage.clone()));
        let image = Image::from_storage(fault.clone(), None, settings()).unwrap();
        image.pwrite(&[1; 4096], 0, Flags::NONE).unwrap();
        image.flush().unwrap();
        // A new table's L1 entry, or one more entry of the table that is there.
        let offset = if level == "L1" { 3 << 20 } else { C };
        image.pwrite(&[2; 4096], offset, Flags::NONE).unwrap();
        let table = if level == "L1" { C..2 * C } else { L2_AT..L2_AT + C };
        let table_write = Trigger::on(CallKind::Write).metadata(true).within(table);
        fault.fail(table_write, libc::EIO);
        image.flush().expect_err("the table write was to fail");
        let error = image.pwrite(&[3; 4096], offset, Flags::NONE).expect_err("latched");
        assert_eq!(error.kind(), ErrorKind::Latched, "{level}: {error}");
        assert_eq!(image.flush().expect_err("latched").kind(), ErrorKind::Latched);
        assert_eq!(image.close().expect_err("latched").kind(), ErrorKind::Latched);

        let image = Image::from_storage(storage.clone(), None, settings()).unwrap();
        let mut found = [0; 4096];
        image.pread(&mut found, 0).unwrap();
        assert_eq!(found, [1; 4096], "{level}: what was flushed");
        image.pread(&mut found, offset).unwrap();
        assert!(found == [0; 4096] || found == [2; 4096], "{level}: old or new");
        drop(image);
        assert_eq!(check_storage(&*storage).unwrap().corruptions, 0);
    }
}

#[test]
fn d13_a_write_in_place_into_an_unstable_cluster_is_flushed_with_its_mapping() {
    // QEMU: it can complete and be flushed while the mapping is not on disk yet, and be lost.
    let storage = Arc::new(MemoryStorage::from_bytes(&Workload::small(Vec::new()).image()));
    let fault = Arc::new(Fault::new(storage));
    let recorder = Arc::new(Recorder::new(fault.clone()).unwrap());
    let image = Image::from_storage(recorder.clone(), None, settings()).unwrap();
    image.pwrite(&[1; 4096], 0, Flags::NONE).unwrap();
    image.flush().unwrap();
    image.pwrite(&[2; 512], C, Flags::NONE).unwrap();
    let table_write = fault.hold(Trigger::on(CallKind::Write).metadata(true));
    let flushed = std::thread::scope(|scope| {
        let first = scope.spawn(|| image.flush().unwrap());
        table_write.wait();
        // The mapping of this cluster is in flight; the write is in place, and flushed.
        image.pwrite(&[3; 512], C + 512, Flags::NONE).unwrap();
        let second = scope.spawn(|| {
            image.flush().unwrap();
            recorder.log().events.len()
        });
        table_write.release();
        first.join().unwrap();
        second.join().unwrap()
    });
    let log = recorder.log();
    let last_sync = log.events[..flushed]
        .iter()
        .rposition(|event| matches!(event, Event::Issued { operation: Operation::Sync, .. }));
    assert!(last_sync.is_some(), "the second flush synced nothing");
    let report = by(&log, &[flushed], |disk: &Medium, t| {
        if t < flushed {
            return Ok(());
        }
        let tables = Tables::read(disk)?;
        let entry = tables.entry(1).ok_or("the mapping is lost")?;
        let data = tables.content(disk, entry);
        if data[..512] == [2; 512] && data[512..1024] == [3; 512] {
            Ok(())
        } else {
            Err("flushed data is lost".to_owned())
        }
    });
    assert_ok(&report, "a write in place beside its mapping's flush");
}

#[test]
fn d16_an_entry_that_names_metadata_is_an_error() {
    // QEMU: the guest can overwrite the L1 table.
    for (what, value) in [("the L1 table", C), ("an L2 table", L2_AT)] {
        let storage = foreign(0, &[(L2_AT, value)]);
        let before = storage.to_bytes();
        let image = Image::from_storage(storage.clone(), None, settings()).unwrap();
        let error = image.pread(&mut [0; 512], 0).expect_err(what);
        let expected = Corruption::L2Entry { guest_cluster: 0, value };
        assert_eq!(error.corruption(), Some(&expected), "{what}: {error}");
        image.pwrite(&[0xbb; 512], 0, Flags::NONE).expect_err(what);
        image.pwrite(&[0xbb; 512], 3 * C, Flags::NONE).unwrap();
        image.close().unwrap();
        let after = storage.to_bytes();
        assert_eq!(after[..DATA_AT as usize], before[..DATA_AT as usize], "{what} was changed");
    }
}
