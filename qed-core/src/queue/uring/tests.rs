//! What goes to the ring and what does not. Method: an engine of its own, whose table and pool are
//! looked into between a submission and the fetch.

#![allow(clippy::unwrap_used)] // clippy knows tests by their attribute, not their helpers

use std::os::unix::fs::FileExt;

use super::*;
use crate::chain::OpenOptions;
use crate::image::CacheMode;
use crate::ops::{CreateOptions, create};
use crate::queue::buffers::Buffers;
use crate::source::{ExtentKind, Format};
use crate::storage::AlignedBuffer;
use std::time::Duration;

const CLUSTER: u64 = 4096;

/// An overlay in clusters of four blocks, whose first is its own, over a raw file with data in
/// blocks 10 to 23 and in block 38, and holes around them.
fn overlay(folder: &tempfile::TempDir, cache: CacheMode) -> Arc<Disk> {
    let base = folder.path().join("base");
    let file = std::fs::File::create(&base).unwrap();
    file.set_len(64 * CLUSTER).unwrap();
    file.write_all_at(&[7; 14 * 4096], 10 * CLUSTER).unwrap();
    file.write_all_at(&[7; 4096], 38 * CLUSTER).unwrap();
    let path = folder.path().join("overlay");
    let spec = CreateOptions {
        size: Some(4 << 20),
        cluster_size: Some(4 * CLUSTER),
        backing: Some(base),
        backing_format: Some(Format::Raw),
        ..CreateOptions::default()
    };
    create(&path, &spec).unwrap();
    let mut options = OpenOptions::default();
    options.image.cache = cache;
    let disk = Disk::open(&path, &options).unwrap();
    disk.pwrite(&[1; 4096], 0, Flags::NONE).unwrap();
    Arc::new(disk)
}

/// An image whose first table is there and whose first 64 clusters are mapped.
fn disk(folder: &tempfile::TempDir, format: Format, cache: CacheMode) -> Arc<Disk> {
    let path = folder.path().join("disk");
    let spec = CreateOptions {
        format,
        size: Some(4 << 20),
        cluster_size: (format == Format::Qed).then_some(CLUSTER),
        ..CreateOptions::default()
    };
    create(&path, &spec).unwrap();
    let mut options = OpenOptions { format, ..OpenOptions::default() };
    options.image.cache = cache;
    let disk = Disk::open(&path, &options).unwrap();
    disk.pwrite(&[1; 64 * 4096], 0, Flags::NONE).unwrap();
    disk.flush().unwrap();
    Arc::new(disk)
}

fn engine(disk: &Arc<Disk>) -> Option<Uring> {
    let made = Uring::new(Arc::clone(disk), &QueueOptions::default());
    match made {
        Ok(engine) => Some(engine),
        Err(error) => {
            println!("skipped: no io_uring here: {error}");
            assert!(std::env::var_os("CI").is_none(), "and CI has to have it");
            None
        }
    }
}

fn aligned(length: usize) -> Buffers {
    AlignedBuffer::new(length).into()
}

fn request(operation: Operation, flags: Flags, buffers: Buffers) -> Request {
    Request { user_data: 0, operation, flags, buffers }
}

/// How many of `requests` go to the ring, and the completions of all.
fn run(engine: &mut Uring, mut requests: Vec<Request>) -> (usize, Vec<Completion>) {
    let count = requests.len();
    engine.start(&mut requests);
    let in_ring = engine.shared.table.lock().flights.count();
    engine.submit();
    let mut completions = Vec::new();
    assert_eq!(engine.reap(&mut completions, count, count, None).unwrap(), count);
    for done in &completions {
        assert!(done.result.is_ok(), "{:?}", done.result);
    }
    (in_ring, completions)
}

#[test]
fn what_needs_no_waiting_goes_to_the_ring() {
    let read = |offset| request(Operation::Read { offset }, Flags::NONE, aligned(8192));
    let write = |offset| request(Operation::Write { offset }, Flags::NONE, aligned(8192));
    for cache in [CacheMode::Writeback, CacheMode::None] {
        for format in [Format::Qed, Format::Raw] {
            let folder = tempfile::tempdir().unwrap();
            let disk = disk(&folder, format, cache);
            let Some(mut engine) = engine(&disk) else { return };
            let mapped = (0..8).map(|number| read(number * CLUSTER));
            assert_eq!(run(&mut engine, mapped.collect()).0, 8, "{format:?} {cache:?}");
            let in_place = (0..8).map(|number| write(2 * number * CLUSTER));
            assert_eq!(run(&mut engine, in_place.collect()).0, 8);
            // Half of it mapped; and, where they have clusters, into new ones.
            let new = (0..8).map(|number| write((63 + 2 * number) * CLUSTER));
            assert_eq!(run(&mut engine, new.collect()).0, 8);
            let unmapped = (200..208).map(|number| read(number * CLUSTER));
            let (in_ring, zeroes) = run(&mut engine, unmapped.collect());
            assert_eq!(in_ring, if format == Format::Raw { 8 } else { 0 });
            assert!(zeroes.iter().all(|done| done.buffers.parts()[0].iter().all(|b| *b == 0)));
            assert_eq!(engine.shared.pool.threads(), 0, "no thread was needed");
        }
    }
}

fn write(block: u64) -> Request {
    request(Operation::Write { offset: block * CLUSTER }, Flags::NONE, aligned(4096))
}

/// The blocks of `written` are zeroes, and all others what they were.
fn assert_overlay(disk: &Disk, written: &[usize]) {
    let mut content = vec![1; 64 * 4096];
    disk.pread(&mut content, 0).unwrap();
    for (at, block) in content.chunks_exact(4096).enumerate() {
        let expected = match at {
            0 => 1,
            10..24 | 38 if !written.contains(&at) => 7,
            _ => 0,
        };
        assert!(block.iter().all(|byte| *byte == expected), "block {at}");
    }
}

#[test]
fn writes_over_a_backing_file_go_to_the_ring_where_it_is_known() {
    for cache in [CacheMode::Writeback, CacheMode::None] {
        let folder = tempfile::tempdir().unwrap();
        let disk = overlay(&folder, cache);
        let Some(mut engine) = engine(&disk) else { return };
        let room = engine.shared.table.lock().flights.room();
        // The first write has learnt of the hole before the data.
        assert_eq!(run(&mut engine, vec![write(4)]).0, 1);
        assert_eq!(run(&mut engine, vec![write(9)]).0, 0, "the data behind is to be found");
        assert_eq!(run(&mut engine, vec![write(26)]).0, 0, "and the hole behind that");
        assert_eq!(run(&mut engine, vec![write(28), write(33)]).0, 2);
        assert_eq!(run(&mut engine, vec![write(39)]).0, 0, "a part of the cluster is data");
        assert_eq!(run(&mut engine, vec![write(100)]).0, 1, "behind the backing file's end");
        // Copies, of what stands behind, around and before.
        assert_eq!(run(&mut engine, vec![write(12), write(18), write(23)]).0, 3);
        assert_eq!(engine.shared.table.lock().flights.room(), room, "their memory is free");
        assert_overlay(&disk, &[4, 9, 12, 18, 23, 26, 28, 33, 39]);
    }
}

#[test]
fn a_copy_that_the_ring_does_not_end_is_made_by_calls() {
    let folder = tempfile::tempdir().unwrap();
    let disk = overlay(&folder, CacheMode::Writeback);
    let Some(mut engine) = engine(&disk) else { return };
    assert_eq!(run(&mut engine, vec![write(9)]).0, 0, "the data is to be found");
    let room = engine.shared.table.lock().flights.room();
    // The owner stays away when what is copied has been read: who ends the request writes it.
    engine.start(&mut vec![write(13)]);
    assert!(engine.shared.table.lock().flights.room() < room);
    engine.enter(1, None);
    engine.shared.divert();
    assert_eq!(engine.shared.table.lock().flights.count(), 0);
    let mut completions = Vec::new();
    assert_eq!(engine.reap(&mut completions, 1, 1, None).unwrap(), 1);
    // The kernel takes no entries any more: when what is copied has been read, and before.
    engine.start(&mut vec![write(17)]);
    engine.enter(1, None);
    engine.broken = true;
    assert_eq!(engine.reap(&mut completions, 1, 1, None).unwrap(), 1);
    let mut engine = Uring::new(Arc::clone(&disk), &QueueOptions::default()).unwrap();
    engine.start(&mut vec![write(21)]);
    engine.broken = true;
    let tags = std::mem::take(&mut engine.pushed);
    engine.shared.give_up(&tags);
    assert_eq!(engine.reap(&mut completions, 1, 1, None).unwrap(), 1);
    assert!(completions.iter().all(|done| done.result.is_ok()));
    assert_eq!(engine.shared.table.lock().flights.room(), room);
    assert_overlay(&disk, &[9, 13, 17, 21]);
}

#[test]
fn what_would_wait_goes_to_the_pool() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(&folder, Format::Qed, CacheMode::None);
    let Some(mut engine) = engine(&disk) else { return };
    let unaligned = vec![0; 4097];
    let requests = vec![
        request(Operation::Flush, Flags::NONE, Buffers::none()),
        request(Operation::Discard { offset: 0, length: CLUSTER }, Flags::NONE, Buffers::none()),
        request(Operation::Zeroes { offset: 0, length: CLUSTER }, Flags::NONE, Buffers::none()),
        request(Operation::Read { offset: 1 }, Flags::NONE, unaligned.clone().into()),
        request(Operation::Write { offset: 1 }, Flags::NONE, unaligned.into()),
    ];
    assert_eq!(run(&mut engine, requests).0, 0);
    // A session that has changed nothing passes its gate in the pool first.
    drop(engine);
    Arc::into_inner(disk).unwrap().close().unwrap();
    let mut options = OpenOptions { format: Format::Qed, ..OpenOptions::default() };
    options.image.cache = CacheMode::None;
    let disk = Arc::new(Disk::open(folder.path().join("disk"), &options).unwrap());
    let mut engine = Uring::new(Arc::clone(&disk), &QueueOptions::default()).unwrap();
    let read = || request(Operation::Read { offset: CLUSTER }, Flags::NONE, aligned(4096));
    let new = || request(Operation::Write { offset: 512 * CLUSTER }, Flags::NONE, aligned(4096));
    assert_eq!(run(&mut engine, vec![read()]).0, 0, "the table is cold");
    assert_eq!(run(&mut engine, vec![read()]).0, 1, "and now it is not");
    assert_eq!(run(&mut engine, vec![new()]).0, 0, "the first change");
}

#[test]
fn forced_writes_in_place_are_made_stable_by_the_ring() {
    let write = |offset| request(Operation::Write { offset }, Flags::FUA, aligned(4096));
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(&folder, Format::Qed, CacheMode::None);
    let Some(mut engine) = engine(&disk) else { return };
    assert_eq!(run(&mut engine, vec![write(0), write(CLUSTER)]).0, 2);
    assert_eq!(engine.shared.pool.threads(), 0);
    // Into a new cluster: the data by the ring, the flush by the owner that waits.
    assert_eq!(run(&mut engine, vec![write(100 * CLUSTER)]).0, 1);
    assert_eq!(engine.shared.pool.threads(), 0);
    // By the pool, where several are pending, or the owner has set a deadline.
    assert_eq!(run(&mut engine, vec![write(102 * CLUSTER), write(104 * CLUSTER)]).0, 2);
    assert!(engine.shared.pool.threads() > 0);
    let mut requests = vec![write(106 * CLUSTER)];
    engine.start(&mut requests);
    let (mut completions, soon) = (Vec::new(), Duration::from_secs(100));
    let deadline = Instant::now() + soon;
    assert_eq!(engine.reap(&mut completions, 1, 1, Some(deadline)).unwrap(), 1);
    assert_eq!(engine.shared.table.lock().outside, 0);
}

#[test]
fn an_owner_that_waits_for_one_call_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(&folder, Format::Qed, CacheMode::None);
    let Some(mut engine) = engine(&disk) else { return };
    let calls = [
        request(Operation::Flush, Flags::NONE, Buffers::none()),
        request(Operation::Discard { offset: 0, length: CLUSTER }, Flags::NONE, Buffers::none()),
        request(Operation::Zeroes { offset: 0, length: CLUSTER }, Flags::NONE, Buffers::none()),
        request(Operation::Read { offset: 1 }, Flags::NONE, vec![0; 4097].into()),
        request(Operation::Write { offset: 1 }, Flags::NONE, vec![0; 4097].into()),
    ];
    for call in calls {
        engine.start(&mut vec![call]);
        let mut completions = Vec::new();
        assert_eq!(engine.reap(&mut completions, 1, 1, None).unwrap(), 1);
        assert!(completions.remove(0).result.is_ok());
    }
    assert_eq!(engine.shared.pool.threads(), 0);
    // Not with a request in the ring: who waits for any of them gets the first.
    let read = request(Operation::Read { offset: 0 }, Flags::NONE, aligned(4096));
    let flush = request(Operation::Flush, Flags::NONE, Buffers::none());
    engine.start(&mut vec![read, flush]);
    assert!(engine.work().is_none());
    assert_eq!(engine.reap(&mut Vec::new(), 2, 2, None).unwrap(), 2);
    assert_eq!(engine.shared.pool.threads(), 1);
}

#[test]
fn entries_of_a_forced_write_are_published_while_its_data_moves() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(&folder, Format::Qed, CacheMode::None);
    let Some(mut engine) = engine(&disk) else { return };
    let is_mapped = |cluster| {
        let extent = disk.extents(cluster * CLUSTER, CLUSTER).unwrap().next().unwrap().unwrap();
        matches!(extent.kind, ExtentKind::Data { .. })
    };
    for (cluster, flags, early) in [(100, Flags::FUA, true), (102, Flags::NONE, false)] {
        let offset = cluster * CLUSTER;
        let mut data = AlignedBuffer::new(4096);
        data.fill(7);
        engine.start(&mut vec![request(Operation::Write { offset }, flags, data.into())]);
        assert!(!is_mapped(cluster));
        assert!(engine.work().is_none(), "it is answered when its data has landed");
        assert_eq!(engine.shared.table.lock().flights.count(), 1);
        assert_eq!(is_mapped(cluster), early);
        assert_eq!(engine.reap(&mut Vec::new(), 1, 1, None).unwrap(), 1);
        let mut content = [0; 4096];
        disk.pread(&mut content, offset).unwrap();
        assert_eq!(content, [7; 4096]);
    }
    assert_eq!(engine.shared.pool.threads(), 0);
}

#[test]
fn a_request_the_kernel_gives_back_is_done_by_calls() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(&folder, Format::Qed, CacheMode::Writeback);
    let Some(mut engine) = engine(&disk) else { return };
    let offsets = [0, 70 * CLUSTER, 2 * CLUSTER];
    let write = |offset| request(Operation::Write { offset }, Flags::NONE, vec![7; 5000].into());
    let mut requests: Vec<_> = offsets.into_iter().map(write).collect();
    engine.start(&mut requests);
    // As where the system takes entries no more: what it has not taken, calls do.
    engine.broken = true;
    let tags = std::mem::take(&mut engine.pushed);
    assert_eq!(tags.len(), 3);
    engine.shared.give_up(&tags);
    let mut completions = Vec::new();
    assert_eq!(engine.reap(&mut completions, 3, 3, None).unwrap(), 3);
    assert!(completions.iter().all(|done| done.result.is_ok()));
    for offset in offsets {
        let mut content = [0; 5000];
        disk.pread(&mut content, offset).unwrap();
        assert_eq!(content, [7; 5000]);
    }
    let read = request(Operation::Read { offset: 0 }, Flags::NONE, vec![0; 10].into());
    assert_eq!(run(&mut engine, vec![read]).0, 0, "from now on the pool");
}
