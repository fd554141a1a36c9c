//! Compaction: what it promises of a quiet image, and what of one in use.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests
#![allow(clippy::field_reassign_with_default)]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use qed_core::format::Geometry;
use qed_core::storage::{CallKind, Fault, MemoryStorage, Storage, Trigger};
use qed_core::{
    CheckReport, CompactOptions, CompactReport, CreateSpec, Disk, ErrorKind, Flags, Image,
    ImageSettings, OpenOptions, ResizeOptions, check, check_storage, compact, compact_image,
    format_storage,
};

const C: u64 = 4096;
const SIZE: u64 = 8 << 20;

/// A number that follows from another and looks like none of its kind.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

fn settings(background: bool) -> ImageSettings {
    let mut settings = ImageSettings::default();
    settings.background = background;
    settings
}

/// Writes `clusters` clusters in random order, frees some of them, and closes.
fn scattered(storage: &Arc<MemoryStorage>, seed: u64, table: u64) -> Vec<u8> {
    let spec = CreateSpec::new(Geometry::new(C, table).unwrap(), SIZE).unwrap();
    format_storage(&**storage, &spec).unwrap();
    let image = Image::from_storage(storage.clone(), None, settings(false)).unwrap();
    let mut model = vec![0; usize::try_from(SIZE).unwrap()];
    let mut seed = seed;
    for step in 0..300_u64 {
        let cluster = next(&mut seed) % (SIZE / C);
        let at = usize::try_from(cluster * C).unwrap();
        if step % 5 == 4 {
            image.discard(cluster * C, C).unwrap();
            model[at..at + 4096].fill(0);
        } else {
            let byte = u8::try_from(step % 255).unwrap() + 1;
            image.pwrite(&vec![byte; 4096], cluster * C, Flags::NONE).unwrap();
            model[at..at + 4096].fill(byte);
        }
        if step % 50 == 0 {
            image.flush().unwrap();
        }
    }
    image.close().unwrap();
    model
}

fn compacted(image: &Image, batch: u64) -> CompactReport {
    let mut options = CompactOptions::default();
    options.batch = batch;
    compact_image(image, &options, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

fn content(image: &Image) -> Vec<u8> {
    let mut bytes = vec![0xee; usize::try_from(image.size()).unwrap()];
    image.pread(&mut bytes, 0).unwrap();
    bytes
}

/// Nothing is fragmented, nothing leaks, and the file ends with what is used.
fn assert_compact(storage: &MemoryStorage) -> CheckReport {
    let report = check_storage(storage).unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.fragmented_clusters, report.leaks), (0, 0), "{report:?}");
    assert_eq!(storage.len().unwrap(), report.image_end_offset);
    report
}

#[test]
fn a_quiet_image_lies_in_the_guest_s_order_and_nothing_else_is_in_the_file() {
    // Goal: 0 fragmented, no leaks, the length of what is referenced, the same bytes. Method:
    // images written in random order, with tables of one and two clusters and batches of any size.
    for (seed, table, batch) in [(1, 1, 1), (2, 1, 3 * C), (3, 2, 64 * C), (4, 1, 1 << 30)] {
        let storage = Arc::new(MemoryStorage::new());
        let model = scattered(&storage, seed, table);
        let before = check_storage(&*storage).unwrap();
        assert!(before.fragmented_clusters > 20, "{before:?}");
        let image = Image::from_storage(storage.clone(), None, settings(seed % 2 == 0)).unwrap();
        let report = compacted(&image, batch);
        assert!(report.clusters_moved > 20 && report.length_after <= report.length_before);
        assert!(content(&image) == model, "seed {seed}: the disk has changed");
        assert_eq!(assert_compact(&storage).allocated_clusters, before.allocated_clusters);
        image.pwrite(&[7; 4096], SIZE - C, Flags::NONE).unwrap();
        image.close().unwrap();
        let image = Image::from_storage(storage.clone(), None, settings(false)).unwrap();
        let last = usize::try_from(SIZE - C).unwrap();
        assert!(content(&image)[..last] == model[..last], "seed {seed}: reopened");
    }
}

#[test]
fn what_is_compact_already_costs_nothing() {
    // Goal: the second compaction moves nothing and writes no data. Method: the file's bytes.
    let storage = Arc::new(MemoryStorage::new());
    scattered(&storage, 9, 1);
    let image = Image::from_storage(storage.clone(), None, settings(false)).unwrap();
    compacted(&image, 1 << 20);
    let before = storage.to_bytes();
    let report = compacted(&image, 1 << 20);
    assert_eq!((report.clusters_moved, report.tables_moved), (0, 0));
    assert!(before == storage.to_bytes());
}

#[test]
fn an_l1_table_that_stands_elsewhere_comes_back_behind_the_header() {
    // Goal: header, L1 table, L2 tables, data, whatever moved the L1 table. Method: the table is
    // put to the end of the file, or a cluster behind its place, which it then overlaps.
    for (table, overlaps) in [(1, false), (2, false), (2, true)] {
        let storage = Arc::new(MemoryStorage::new());
        let model = scattered(&storage, 17 + table, table);
        let mut bytes = storage.to_bytes();
        let length = usize::try_from(C * table).unwrap();
        let l1 = bytes[4096..4096 + length].to_vec();
        let place = if overlaps {
            // All that stands behind the header moves by a cluster: so do the offsets of it.
            shifted(&mut bytes, table);
            2 * C
        } else {
            bytes[4096..4096 + length].fill(0xee);
            bytes.extend(&l1);
            bytes.len() as u64 - table * C
        };
        bytes[40..48].copy_from_slice(&place.to_le_bytes());
        let storage = Arc::new(MemoryStorage::from_bytes(&bytes));
        let before = check_storage(&*storage).unwrap();
        assert_eq!(before.corruptions, 0, "{before:?}");
        let image = Image::from_storage(storage.clone(), None, settings(table == 1)).unwrap();
        compacted(&image, 1 << 20);
        assert!(content(&image) == model);
        assert_eq!(assert_compact(&storage).allocated_clusters, before.allocated_clusters);
        assert_eq!(word(&storage.to_bytes(), 40), C, "table {table}, overlaps {overlaps}");
        // The table goes on being written where it stands now.
        image.pwrite(&[7; 4096], SIZE - C, Flags::NONE).unwrap();
        image.resize(2 * SIZE, ResizeOptions::default()).unwrap();
        image.pwrite(&[7; 4096], 2 * SIZE - C, Flags::NONE).unwrap();
        image.close().unwrap();
        let image = Image::from_storage(storage.clone(), None, settings(false)).unwrap();
        let last = usize::try_from(SIZE - C).unwrap();
        assert!(content(&image)[..last] == model[..last]);
        assert!(content(&image)[last..last + 4096] == [7; 4096]);
        assert!(check_storage(&*storage).unwrap().is_clean());
    }
}

#[test]
fn tables_of_any_size_move() {
    // Goal: no table is too large, and a hole in one stays a hole. Method: tables of 128 MiB, of
    // which the second has data in front of it and entries at both its ends.
    const BIG: u64 = 8 << 20;
    let storage = Arc::new(MemoryStorage::new());
    let geometry = Geometry::new(BIG, 16).unwrap();
    let span = geometry.l2_span();
    format_storage(&*storage, &CreateSpec::new(geometry, 2 * span).unwrap()).unwrap();
    let image = Image::from_storage(storage.clone(), None, settings(false)).unwrap();
    let places = [BIG, 0, span, 2 * span - BIG];
    for (place, byte) in places.into_iter().zip(1..) {
        image.pwrite(&[byte; 512], place + 512, Flags::NONE).unwrap();
    }
    image.flush().unwrap();
    image.pwrite(&[9; 512], span + 2 * BIG, Flags::NONE).unwrap();
    let report = compacted(&image, BIG);
    assert!(report.tables_moved > 0, "{report:?}");
    let check = |image: &Image| {
        for (place, byte) in places.into_iter().zip(1..) {
            let mut found = [0; 1024];
            image.pread(&mut found, place).unwrap();
            assert!(found[..512] == [0; 512] && found[512..] == [byte; 512], "at {place}");
        }
        let mut found = [0; 512];
        image.pread(&mut found, span + 2 * BIG).unwrap();
        assert_eq!(found, [9; 512]);
    };
    check(&image);
    image.close().unwrap();
    check(&Image::from_storage(storage.clone(), None, settings(false)).unwrap());
    assert_compact(&storage);
    assert!(storage.disk_usage().unwrap() < 64 << 20, "{}", storage.disk_usage().unwrap());
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Puts a free cluster behind the header of an image whose tables have `table` clusters.
fn shifted(bytes: &mut Vec<u8>, table: u64) {
    let entries = usize::try_from(C * table / 8).unwrap();
    let tables: Vec<usize> = (0..entries)
        .map(|index| usize::try_from(word(bytes, 4096 + 8 * index)).unwrap())
        .filter(|place| *place != 0)
        .collect();
    for start in tables.into_iter().chain([4096]) {
        for at in (0..entries).map(|index| start + 8 * index) {
            let moved = word(bytes, at) + C;
            if moved > C + 1 {
                bytes[at..at + 8].copy_from_slice(&moved.to_le_bytes());
            }
        }
    }
    bytes.splice(4096..4096, vec![0xee; 4096]);
    // The saved map is of the image as it was.
    bytes[32..40].fill(0);
}

#[test]
fn one_compaction_at_a_time_and_a_cancelled_one_leaves_a_sound_image() {
    // Goal: the second caller is told; who breaks off has lost nothing. Method: the first one is
    // held in its first move while its progress function calls the second, then breaks off.
    let storage = Arc::new(MemoryStorage::new());
    let model = scattered(&storage, 5, 1);
    let fault = Arc::new(Fault::new(storage.clone()));
    let image = Image::from_storage(fault.clone(), None, settings(false)).unwrap();
    let held = fault.hold(Trigger::on(CallKind::Write).metadata(false));
    let options = CompactOptions::default();
    let mut refused = None;
    let cancelled = compact_image(&image, &options, &mut |_, _| {
        held.wait();
        let second = compact_image(&image, &options, &mut |_, _| ControlFlow::Continue(()));
        refused = Some(second.unwrap_err().kind());
        held.release();
        ControlFlow::Break(())
    });
    assert_eq!(refused, Some(ErrorKind::Busy));
    assert_eq!(cancelled.unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(content(&image) == model);
    image.close().unwrap();
    let report = check_storage(&*storage).unwrap();
    assert!(report.is_clean(), "{report:?}");
}

#[test]
fn guest_io_goes_on_while_clusters_move() {
    // Goal: no write is lost and nothing foreign is read. Method: two threads write versions of
    // clusters of their own, in place and anew, discard and read them back, while a third compacts
    // again and again.
    let storage = Arc::new(MemoryStorage::new());
    scattered(&storage, 11, 1);
    let image = Image::from_storage(storage.clone(), None, settings(true)).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let guests: Vec<_> = (0..2_u64)
            .map(|guest| {
                let image = &image;
                scope.spawn(move || {
                    let mut seed = guest + 100;
                    let mut own = vec![None; usize::try_from(SIZE / C / 2).unwrap()];
                    for step in 0..1500_u64 {
                        let number = next(&mut seed) % (SIZE / C / 2);
                        let offset = (2 * number + guest) * C;
                        let index = usize::try_from(number).unwrap();
                        let mut found = [0; 4096];
                        image.pread(&mut found, offset).unwrap();
                        if let Some(byte) = own[index] {
                            assert!(found == [byte; 4096], "guest {guest} step {step}");
                        }
                        let byte = u8::try_from(step % 251).unwrap() + 1;
                        match next(&mut seed) % 8 {
                            0 => {
                                image.discard(offset, C).unwrap();
                                own[index] = Some(0);
                            }
                            1 => image.flush().unwrap(),
                            2 => {
                                image.pwrite(&[byte; 4096], offset, Flags::FUA).unwrap();
                                own[index] = Some(byte);
                            }
                            _ => {
                                image.pwrite(&[byte; 2048], offset, Flags::NONE).unwrap();
                                image.pwrite(&[byte; 2048], offset + 2048, Flags::NONE).unwrap();
                                own[index] = Some(byte);
                            }
                        }
                    }
                    own
                })
            })
            .collect();
        let (image, done) = (&image, &done);
        let mover = scope.spawn(move || {
            let mut moved = 0;
            while !done.load(Ordering::SeqCst) {
                moved += compacted(image, 8 * C).clusters_moved;
            }
            moved
        });
        let owned: Vec<_> = guests.into_iter().map(|guest| guest.join().unwrap()).collect();
        done.store(true, Ordering::SeqCst);
        assert!(mover.join().unwrap() > 0);
        for (guest, own) in owned.iter().enumerate() {
            for (number, byte) in own.iter().enumerate() {
                let Some(byte) = byte else { continue };
                let mut found = [0; 4096];
                let offset = (2 * number + guest) as u64 * C;
                image.pread(&mut found, offset).unwrap();
                assert!(found == [*byte; 4096], "at {offset}");
            }
        }
    });
    compacted(&image, 1 << 20);
    image.close().unwrap();
    assert_compact(&storage);
}

#[test]
fn a_disk_comes_to_rest_beside_a_compaction() {
    // Goal: who quiesces and the work let each other go on. Method: a file is compacted, a cluster
    // at a time, while it is brought to rest without a pause: each time but one something moves, so
    // that comes to an end.
    const MOST: usize = 2000;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.qed");
    let storage = Arc::new(MemoryStorage::new());
    let model = scattered(&storage, 13, 1);
    std::fs::write(&path, storage.to_bytes()).unwrap();
    let disk = Disk::open(&path, &OpenOptions::default()).unwrap();
    let mut options = CompactOptions::default();
    options.batch = C;
    let report = std::thread::scope(|scope| {
        let mover = scope
            .spawn(|| compact(&disk, &options, &mut |_, _| ControlFlow::Continue(())).unwrap());
        let mut times = 0;
        while !mover.is_finished() && times < MOST {
            times += 1;
            disk.quiesce().unwrap();
            disk.resume().unwrap();
            if times < 5 {
                let mut found = vec![0; 4096];
                disk.pread(&mut found, 0).unwrap();
                assert!(found == model[..4096]);
            }
        }
        assert!(times < MOST, "it does not get on beside somebody who never lets the disk run");
        mover.join().unwrap()
    });
    assert!(report.clusters_moved > 20 && report.length_after < report.length_before, "{report:?}");
    disk.close().unwrap();
    let report = check(&path, &OpenOptions::default()).unwrap();
    assert_eq!((report.corruptions, report.leaks, report.fragmented_clusters), (0, 0, 0));
}
