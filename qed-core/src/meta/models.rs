//! Small protocols under a scheduler that explores interleavings (feature `shuttle`).
//!
//! Run by name: `cargo test -p qed-core --lib --features shuttle model_`.

mod data;
mod detached;
mod mover;

use std::io::IoSlice;
use std::sync::Arc;

use crate::addr::FileOffset;
use crate::format::{Geometry, Header};
use crate::meta::plan::grace::Grace;
use crate::meta::plan::lookup::Place;
use crate::meta::tables::cache::Cache;
use crate::meta::tables::header::HeaderBlock;
use crate::meta::tables::slice::{SLICE_BYTES, Slice};
use crate::meta::{Meta, MetaSettings, Rule, Rules, Trust};
use crate::storage::{MemoryStorage, Storage, WriteFlags};
use crate::sync::atomic::{AtomicBool, Ordering::SeqCst};
use crate::sync::thread;

const SCHEDULES: usize = 2000;

fn open(storage: Arc<dyn Storage>, settings: MetaSettings) -> crate::Result<Arc<Meta>> {
    let header = HeaderBlock::read(&*storage)?;
    Meta::open(storage, header, None, settings)
}

/// A cluster that a request found in a table is not handed out before the request has ended (C9).
#[test]
fn model_no_cluster_is_reused_under_a_request() {
    check(SCHEDULES, || {
        let grace = Arc::new(Grace::new());
        let mapped = Arc::new(AtomicBool::new(true));
        let reused = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (grace, mapped, reused) = (grace.clone(), mapped.clone(), reused.clone());
                thread::spawn(move || {
                    for _ in 0..2 {
                        let request = grace.enter();
                        if mapped.load(SeqCst) {
                            assert!(!reused.load(SeqCst), "reused under a request");
                        }
                        drop(request);
                    }
                })
            })
            .collect();
        mapped.store(false, SeqCst);
        let unlinked = grace.unlinked_now();
        while !grace.has_passed(unlinked) {
            thread::yield_now();
        }
        reused.store(true, SeqCst);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

/// A look-up that holds nothing believes only words of the slice that it looked for, while other
/// threads have the cache give its few lines to other slices.
#[test]
fn model_a_look_up_never_takes_one_slice_for_another() {
    look_ups_beside_evictions(true);
}

/// The model sees what it is there for.
#[test]
#[should_panic(expected = "words of another slice")]
fn model_a_look_up_that_does_not_ask_its_view_is_caught() {
    look_ups_beside_evictions(false);
}

fn look_ups_beside_evictions(asks: bool) {
    check(SCHEDULES / 10, move || {
        let cache = Arc::new(Cache::new(0));
        // One looks at the same slices again and again, the other wants many others.
        let threads: Vec<_> = [vec![0, 1, 0, 1, 0], (2..10).collect()]
            .into_iter()
            .map(|numbers| {
                let cache = Arc::clone(&cache);
                thread::spawn(move || {
                    for number in numbers {
                        if let Some(view) = cache.view(number) {
                            let first = view.slice().word(3);
                            // The others' turn: as a rule this is where the slice goes.
                            thread::yield_now();
                            let words = (first, view.slice().word(500));
                            let is_own = words == (Ok(4096 + number), Ok(4096 + number));
                            assert!(is_own || asks && !view.holds(), "words of another slice");
                        }
                        let held = cache.hold(number, |slice| {
                            fill(slice, number);
                            Ok(())
                        });
                        assert_eq!(held.unwrap().word(500), Ok(4096 + number));
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

fn fill(slice: &Slice, number: u64) {
    let mut bytes = [0; SLICE_BYTES];
    for entry in [3, 500] {
        bytes[8 * entry..8 * entry + 8].copy_from_slice(&(4096 + number).to_le_bytes());
    }
    slice.fill(number, FileOffset(4096), &bytes, |_| false);
}

/// A change stays where it was made: its slice is not read again from the disk, which does not know
/// it yet, whatever else is looked at.
#[test]
fn model_a_change_outlives_evictions() {
    check(SCHEDULES / 10, || {
        let storage = Arc::new(MemoryStorage::new());
        format_with(&storage, Geometry::new(4096, 1).unwrap(), 16 << 20);
        let settings = MetaSettings { l2_cache_size: 0, ..settings(Rules::default()) };
        let meta = open(storage, settings).unwrap();
        meta.begin_write().unwrap();
        (0..6).for_each(|table| write(&meta, 512 * table));
        meta.flush().unwrap();
        let threads: Vec<_> = (0..2_u64)
            .map(|thread| {
                let meta = Arc::clone(&meta);
                thread::spawn(move || {
                    write(&meta, 1 + thread);
                    for table in 1 + thread..5 {
                        meta.segment(512 * 4096 * table, 4096).unwrap();
                    }
                    let own = meta.segment((1 + thread) * 4096, 4096).unwrap();
                    assert!(matches!(own.place, Place::File(_)), "a change was lost");
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        meta.close().unwrap();
    });
}

/// Writers and flushes together: what a flush has covered is on the disk, whoever wrote it, and the
/// last image of a sector is the newest (C7, C8).
#[test]
fn model_a_flush_leaves_the_newest_on_disk() {
    flushes_leave_the_newest_on_disk(Rules::default());
}

/// The model sees what it is there for.
#[test]
#[should_panic(expected = "flushed, and not on disk")]
fn model_a_flush_that_does_not_wait_is_caught() {
    flushes_leave_the_newest_on_disk(Rules::without(Rule::FlushAwaitsOthers));
}

fn flushes_leave_the_newest_on_disk(rules: Rules) {
    check(SCHEDULES, move || {
        let storage = Arc::new(MemoryStorage::new());
        format(&storage);
        let meta = open(storage.clone(), settings(rules)).unwrap();
        // The table is there and the length durable: entries are safe at once.
        write_and_flush(&meta, 7);
        let threads: Vec<_> = (0..2_u64)
            .map(|number| {
                let meta = Arc::clone(&meta);
                thread::spawn(move || {
                    write_and_flush(&meta, number);
                    let entry = word(&*meta.storage, 2 * 4096 + 8 * number);
                    assert!(entry != 0, "flushed, and not on disk");
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        meta.close().unwrap();
    });
}

/// Flushes that image several slices at once, and one that images the second of them alone, end and
/// leave what they owe on the disk.
#[test]
fn model_flushes_of_neighbouring_slices_do_not_wait_in_a_circle() {
    check(SCHEDULES / 4, || {
        let storage = Arc::new(MemoryStorage::new());
        format_with(&storage, Geometry::new(4096, 2).unwrap(), 4 << 20);
        let meta = open(storage, settings(Rules::default())).unwrap();
        write_and_flush(&meta, 7);
        let threads: Vec<_> = [vec![0, 512], vec![513], vec![1, 514]]
            .into_iter()
            .map(|clusters| {
                let meta = Arc::clone(&meta);
                thread::spawn(move || {
                    clusters.iter().for_each(|cluster| write(&meta, *cluster));
                    meta.flush().unwrap();
                    for cluster in clusters {
                        // The header, the L1 table of two clusters, the L2 table.
                        let entry = word(&*meta.storage, 3 * 4096 + 8 * cluster);
                        assert!(entry != 0, "flushed, and not on disk");
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        meta.close().unwrap();
    });
}

fn write_and_flush(meta: &Meta, cluster: u64) {
    write(meta, cluster);
    meta.flush().unwrap();
}

fn write(meta: &Meta, cluster: u64) {
    let mut plan = meta.plan_write(cluster * 4096, 4096).unwrap();
    plan.begin_moving();
    plan.publish();
}

/// Runs `model` under that many schedules.
fn check(schedules: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut config = shuttle::Config::new();
    // The engine's frames do not fit the scheduler's usual stacks.
    config.stack_size = 1 << 20;
    // Few changes of thread, at any place: a long flush fits between two steps of another.
    let scheduler = shuttle::scheduler::PctScheduler::new(3, schedules);
    shuttle::Runner::new(scheduler, config).run(model);
}

fn settings(rules: Rules) -> MetaSettings {
    MetaSettings {
        read_only: false,
        trust: Trust::Normal,
        l2_cache_size: 1 << 20,
        tolerate_bad_entries: false,
        background: false,
        scan_limit: 0,
        rules,
    }
}

/// An empty image of clusters of 4 KiB; its first L2 table goes to cluster 2.
fn format(storage: &MemoryStorage) {
    format_with(storage, Geometry::new(4096, 1).unwrap(), 1 << 20);
}

/// The same for a disk of `image_size` bytes, with tables of another size.
fn format_with(storage: &MemoryStorage, geometry: Geometry, image_size: u64) {
    let header = Header {
        geometry,
        header_clusters: 1,
        features: 0,
        compat_features: 0,
        autoclear_features: 0,
        l1_table_offset: FileOffset(4096),
        image_size,
        backing_words: (0, 0),
    };
    storage.set_len(4096 + geometry.table_bytes()).unwrap();
    storage.write(&[IoSlice::new(&header.encode())], 0, WriteFlags::default()).unwrap();
}

fn word(storage: &dyn Storage, offset: u64) -> u64 {
    let mut bytes = [0; 8];
    storage.read(&mut [std::io::IoSliceMut::new(&mut bytes)], offset).unwrap();
    u64::from_le_bytes(bytes)
}
