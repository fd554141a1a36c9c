//! Writes, zeroes, discards and flushes.

use super::*;
use crate::counting::Counts;
use qed_core::{Flags, Source};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

fn write(image: &Image, cluster: u64, flags: Flags) {
    image.pwrite(&[7; 4096], cluster * CLUSTER, flags).unwrap();
}

fn write_thousand(image: &Image) {
    (0..1000).for_each(|cluster| write(image, cluster, Flags::NONE));
}

/// An image with tables, and with fresh space for 1,000 clusters below the durable length.
fn roomy() -> (Arc<Counting>, Image) {
    roomy_on(Counting::default())
}

fn roomy_on(storage: Counting) -> (Arc<Counting>, Image) {
    let storage = formatted(storage, 1 << 30);
    let image = open(&storage, false);
    write_thousand(&image);
    image.flush().unwrap();
    image.discard(0, 1000 * CLUSTER).unwrap();
    // The entries go out, the clusters are punched, and the next sync covers that.
    image.flush().unwrap();
    write(&image, 1023, Flags::NONE);
    image.flush().unwrap();
    (storage, image)
}

fn data(data_writes: u64) -> Counts {
    Counts { data_writes, data_bytes: data_writes * BLOCK, ..Counts::default() }
}

fn tables(table_writes: u64, sectors: u64, syncs: u64) -> Counts {
    Counts { table_writes, table_bytes: sectors * 512, syncs, ..Counts::default() }
}

/// Between flushes an allocation costs its data. The flush writes each touched sector of the table
/// once, neighbours together, and syncs once.
#[test]
fn allocating_writes_cost_their_data_and_the_flush_the_touched_sectors() {
    let (storage, image) = roomy();
    assert_eq!(storage.of(|| write_thousand(&image)), data(1000));
    // 1,000 entries of 8 bytes stand in 16 neighbouring sectors.
    assert_eq!(storage.of(|| image.flush().unwrap()), tables(1, 16, 1));
}

/// Sectors that do not touch are written one by one through the page cache, which gathers them.
/// Where each write goes to the disk by itself, one write takes what lies between them as well.
#[test]
fn sectors_that_do_not_touch_are_one_write_where_that_costs_less() {
    for (storage, expected) in
        [(Counting::default(), tables(3, 3, 1)), (Counting::direct(), tables(1, 16, 1))]
    {
        let (storage, image) = roomy_on(storage);
        // Sectors 0 and 3 of one slice, sector 2 of the next one.
        [0, 200, 650].iter().for_each(|cluster| write(&image, *cluster, Flags::NONE));
        assert_eq!(storage.of(|| image.flush().unwrap()), expected);
    }
}

#[test]
fn a_flush_with_nothing_new_costs_nothing() {
    let (storage, image) = roomy();
    assert_eq!(storage.of(|| image.flush().unwrap()), Counts::default());
}

#[test]
fn mapped_writes_cost_their_data_and_the_flush_one_sync() {
    let (storage, image) = roomy();
    write_thousand(&image);
    image.flush().unwrap();
    assert_eq!(storage.of(|| write_thousand(&image)), data(1000));
    assert_eq!(storage.of(|| image.flush().unwrap()), tables(0, 0, 1));
}

/// A forced write in place is one forced write; one into a new cluster is data, a sector of the
/// table and one sync.
#[test]
fn forced_writes_cost_one_sync_or_none() {
    let (storage, image) = roomy();
    write(&image, 0, Flags::NONE);
    image.flush().unwrap();
    let in_place = storage.of(|| write(&image, 0, Flags::FUA));
    assert_eq!(in_place, Counts { forced: 1, ..data(1) });
    let allocating = storage.of(|| write(&image, 1, Flags::FUA));
    assert_eq!(allocating, Counts { data_writes: 1, data_bytes: BLOCK, ..tables(1, 1, 1) });
}

/// A forced write owes its own entries: those of other slices are left to the flush that owes them.
#[test]
fn a_forced_write_pays_for_itself_alone() {
    let (storage, image) = roomy();
    write(&image, 0, Flags::NONE);
    let forced = storage.of(|| write(&image, 600, Flags::FUA));
    assert_eq!(forced, Counts { data_writes: 1, data_bytes: BLOCK, ..tables(1, 1, 1) });
    assert_eq!(storage.of(|| image.flush().unwrap()), tables(1, 1, 1));
    assert_eq!(storage.of(|| image.flush().unwrap()), Counts::default());
}

/// A discard costs nothing until the flush, which writes the sectors of its entries, syncs, and
/// gives the space back in one piece.
#[test]
fn a_discard_costs_its_sectors_one_sync_and_one_punch() {
    let (storage, image) = roomy();
    write_thousand(&image);
    image.flush().unwrap();
    let discard = storage.of(|| image.discard(0, 100 * CLUSTER).unwrap());
    assert_eq!(discard, Counts::default());
    let flush = storage.of(|| image.flush().unwrap());
    assert_eq!(flush, Counts { punches: 1, ..tables(1, 2, 1) });
}

/// Zeroes that keep their clusters are one call on the file for each contiguous piece.
#[test]
fn zeroes_in_place_are_one_call() {
    let (storage, image) = roomy();
    write_thousand(&image);
    image.flush().unwrap();
    let zeroes = storage.of(|| image.write_zeroes(0, 100 * CLUSTER, Flags::NONE).unwrap());
    assert_eq!(zeroes, Counts { zeroings: 1, ..Counts::default() });
    assert_eq!(storage.of(|| image.flush().unwrap()), tables(0, 0, 1));
}

/// A backing file that is full of data.
#[derive(Debug)]
struct Full;

impl Source for Full {
    fn size(&self) -> u64 {
        1 << 30
    }
    fn read(&self, buffer: &mut [u8], _offset: u64) -> qed_core::Result<()> {
        buffer.fill(0x55);
        Ok(())
    }
    fn extent(&self, offset: u64, length: u64) -> qed_core::Result<qed_core::Extent> {
        let kind = qed_core::ExtentKind::Data { file_offset: Some(offset) };
        Ok(qed_core::Extent { offset, length, kind, depth: 0 })
    }
}

/// What is copied from a backing file goes out with the write, as one cluster. Its entry follows
/// the data: two syncs for a flush, however many clusters.
#[test]
fn writes_over_a_backing_file_cost_whole_clusters_and_two_syncs_a_flush() {
    let storage = empty(1 << 30);
    let settings = ImageSettings { background: false, ..ImageSettings::default() };
    let image = Image::from_storage(storage.clone(), Some(Arc::new(Full)), settings).unwrap();
    write(&image, 0, Flags::NONE);
    image.flush().unwrap();
    let ten = storage.of(|| (1..11).for_each(|cluster| write(&image, cluster, Flags::NONE)));
    let expected = Counts { data_writes: 10, data_bytes: 10 * CLUSTER, ..Counts::default() };
    assert_eq!(Counts { lengths: 0, ..ten }, expected);
    assert_eq!(storage.of(|| image.flush().unwrap()), tables(1, 1, 2));
    assert_eq!(storage.of(|| image.flush().unwrap()), Counts::default());
}

/// A backing file that counts what it is asked.
#[derive(Debug, Default)]
struct Asked {
    reads: AtomicU64,
    extents: AtomicU64,
}

impl Source for Asked {
    fn size(&self) -> u64 {
        Full.size()
    }
    fn read(&self, buffer: &mut [u8], offset: u64) -> qed_core::Result<()> {
        self.reads.fetch_add(1, SeqCst);
        Full.read(buffer, offset)
    }
    fn extent(&self, offset: u64, length: u64) -> qed_core::Result<qed_core::Extent> {
        self.extents.fetch_add(1, SeqCst);
        Full.extent(offset, length)
    }
}

/// What surrounds a write in its cluster is read at once; where the backing file holds data it is
/// asked once, for all that it answers.
#[test]
fn a_copy_from_a_backing_file_costs_one_read_of_it() {
    let source = Arc::new(Asked::default());
    let storage = empty(1 << 30);
    let settings = ImageSettings { background: false, ..ImageSettings::default() };
    let image = Image::from_storage(storage.clone(), Some(source.clone()), settings).unwrap();
    let middle = |cluster: u64| image.pwrite(&[7; 4096], cluster * CLUSTER + 8192, Flags::NONE);
    let ten = storage.of(|| (0..10).for_each(|cluster| middle(cluster).unwrap()));
    assert_eq!((ten.data_writes, ten.data_bytes), (10, 10 * CLUSTER));
    assert_eq!((source.reads.load(SeqCst), source.extents.load(SeqCst)), (10, 1));
}

/// The file grows by as much as the session has grown it, at least 1 MiB and at most 64 MiB.
#[test]
fn the_file_grows_in_few_steps() {
    let storage = empty(1 << 30);
    let image = open(&storage, false);
    let wrote = storage.of(|| write_thousand(&image));
    // 62.5 MiB: steps of 1, 1, 2, 4, 8, 16 and 32 MiB.
    assert_eq!(wrote.lengths, 7);
}
