use super::*;
use crate::addr::FileOffset;
use crate::error::ErrorKind;
use crate::format::Geometry;
use crate::storage::{Limits, MemoryStorage, StoredExtent, WriteFlags};
use std::io::{self, IoSlice, IoSliceMut};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

const PAGE: u64 = 4096;

/// A sparse file in memory that counts what is asked of it, can be broken, and takes no change.
#[derive(Debug)]
struct Watched {
    inner: MemoryStorage,
    length: u64,
    broken: Range<u64>,
    blind: bool,
    longest_extent: u64,
    calls: AtomicU64,
    bytes_read: AtomicU64,
}

impl Watched {
    fn put(&self, offset: u64, word: u64) {
        let bytes = word.to_le_bytes();
        self.inner.write(&[IoSlice::new(&bytes)], offset, WriteFlags::default()).unwrap();
    }
}

impl Storage for Watched {
    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        let length: u64 = buffers.iter().map(|buffer| buffer.len() as u64).sum();
        assert!(offset.is_multiple_of(PAGE) && length.is_multiple_of(PAGE), "misaligned read");
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.bytes_read.fetch_add(length, Ordering::Relaxed);
        if offset < self.broken.end && self.broken.start < offset + length {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        self.inner.read(buffers, offset)
    }

    fn stored_extent(&self, offset: u64, length: u64) -> io::Result<StoredExtent> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.blind {
            return Ok(StoredExtent { length, hole: false });
        }
        self.inner.stored_extent(offset, length.min(self.longest_extent))
    }

    fn disk_usage(&self) -> io::Result<u64> {
        self.inner.disk_usage()
    }

    fn write(&self, _: &[IoSlice<'_>], _: u64, _: WriteFlags) -> io::Result<()> {
        panic!("a scan changes nothing")
    }

    fn zero_range(&self, _: u64, _: u64) -> io::Result<()> {
        panic!("a scan changes nothing")
    }

    fn punch(&self, _: u64, _: u64) -> io::Result<()> {
        panic!("a scan changes nothing")
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        panic!("a scan changes nothing")
    }

    fn sync(&self) -> io::Result<()> {
        panic!("a scan changes nothing")
    }
}

/// An image of these sizes whose header takes one cluster and whose L1 table follows it.
fn image(cluster_size: u64, table_size: u64, file_clusters: u64) -> (Header, Watched) {
    let geometry = Geometry::new(cluster_size, table_size).unwrap();
    let header = Header {
        geometry,
        header_clusters: 1,
        features: 0,
        compat_features: 0,
        autoclear_features: 0,
        l1_table_offset: FileOffset(cluster_size),
        image_size: geometry.l2_span(),
        backing_words: (0, 0),
    };
    let file = Watched {
        inner: MemoryStorage::new(),
        length: file_clusters * cluster_size,
        broken: 0..0,
        blind: false,
        longest_extent: u64::MAX,
        calls: AtomicU64::new(0),
        bytes_read: AtomicU64::new(0),
    };
    file.inner.set_len(file.length).unwrap();
    (header, file)
}

fn walk(header: &Header, file: &Watched) -> (Scan, Vec<BadEntry>) {
    let mut bad = Vec::new();
    let found = scan(file, header, file.length, &mut |entry| {
        bad.push(entry);
        Ok(())
    })
    .unwrap();
    let (dangling, damage): (Vec<_>, Vec<_>) = bad.iter().partition(|bad| bad.is_dangling());
    assert_eq!((found.dangling, found.damage), (dangling.len() as u64, damage.len() as u64));
    (found, bad)
}

fn members(refs: &Refs) -> Vec<u64> {
    let end = refs.highest().unwrap() + 1;
    (0..end).filter(|cluster| refs.contains(*cluster)).collect()
}

fn l2(guest_cluster: u64, fault: Corruption) -> BadEntry {
    BadEntry { place: EntryPlace::L2(GuestCluster(guest_cluster)), fault }
}

fn l1(index: u64, fault: Corruption) -> BadEntry {
    BadEntry { place: EntryPlace::L1(index), fault }
}

// Cluster numbers of the small image: header 0, L1 1-2, first L2 3-4, data from 5.
const C: u64 = 4096;

#[test]
fn a_clean_image_is_counted() {
    let (header, file) = image(C, 2, 12);
    file.put(C, 3 * C);
    for (entry, cluster) in [(0, 5), (1, 6), (2, 9), (7, 10)] {
        file.put(3 * C + 8 * entry, cluster * C);
    }
    file.put(3 * C + 8 * 5, 1);
    let (found, bad) = walk(&header, &file);
    assert_eq!(bad, []);
    assert_eq!((found.allocated, found.fragmented, found.end), (4, 1, 11));
    assert_eq!(members(&found.refs), [0, 1, 2, 3, 4, 5, 6, 9, 10]);
    assert_eq!(members(&found.metadata), [0, 1, 2, 3, 4]);
    assert_eq!(found.refs.gaps(0..12).collect::<Vec<_>>(), [(7, 2), (11, 1)]);
}

#[test]
fn dangling_entries_are_those_that_name_nothing() {
    let (header, file) = image(C, 2, 12);
    file.put(C, 3 * C);
    let table_half_outside = 11 * C;
    for (index, word) in [(1, 1), (2, C + 8), (3, 12 * C), (4, table_half_outside), (5, !0)] {
        file.put(C + 8 * index, word);
    }
    for (entry, word) in [(0, 12 * C), (1, 2), (2, 5 * C + 512), (3, 1 << 63), (4, 11 * C)] {
        file.put(3 * C + 8 * entry, word);
    }
    let (found, bad) = walk(&header, &file);
    let dangling_l1 = |(index, value)| l1(index, Corruption::L1Entry { index, value });
    let dangling_l2 =
        |(guest_cluster, value)| l2(guest_cluster, Corruption::L2Entry { guest_cluster, value });
    let expected: Vec<_> = [(1, 1), (2, C + 8), (3, 12 * C), (4, 11 * C), (5, !0)]
        .map(dangling_l1)
        .into_iter()
        .chain([(0, 12 * C), (1, 2), (2, 5 * C + 512), (3, 1 << 63)].map(dangling_l2))
        .collect();
    assert_eq!(bad, expected);
    assert_eq!((found.allocated, found.end), (5, 12));
}

#[test]
fn references_to_what_is_taken_are_damage() {
    let (header, file) = image(C, 2, 12);
    file.put(C, 3 * C);
    for (entry, cluster) in [(0, 5), (1, 5), (2, 2), (3, 4), (4, 6)] {
        file.put(3 * C + 8 * entry, cluster * C);
    }
    let (found, bad) = walk(&header, &file);
    let expected = [
        l2(1, Corruption::Duplicate { guest_cluster: 1, value: 5 * C }),
        l2(2, Corruption::NamesMetadata { guest_cluster: 2, value: 2 * C }),
        l2(3, Corruption::NamesMetadata { guest_cluster: 3, value: 4 * C }),
    ];
    assert_eq!(bad, expected);
    assert_eq!(members(&found.refs), [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn an_entry_into_the_header_is_damage() {
    let (mut header, file) = image(C, 2, 12);
    header.header_clusters = 3;
    header.l1_table_offset = FileOffset(4 * C);
    file.put(4 * C, 6 * C);
    file.put(4 * C + 8, C);
    file.put(6 * C, 2 * C);
    let (_, bad) = walk(&header, &file);
    let expected = [
        l1(1, Corruption::NamesMetadata { guest_cluster: 1024, value: C }),
        l2(0, Corruption::NamesMetadata { guest_cluster: 0, value: 2 * C }),
    ];
    assert_eq!(bad, expected);
}

#[test]
fn an_entry_into_a_table_named_later_is_damage() {
    // Goal: order of discovery plays no part. Method: L1 entry 0's data names L1 entry 1's table.
    let (header, file) = image(C, 2, 12);
    file.put(C, 3 * C);
    file.put(C + 8, 5 * C);
    file.put(3 * C, 6 * C);
    let (_, bad) = walk(&header, &file);
    assert_eq!(bad, [l2(0, Corruption::NamesMetadata { guest_cluster: 0, value: 6 * C })]);
}

#[test]
fn bad_tables_are_marked_and_not_walked() {
    // Goal: C15: what a damaged L1 entry names is nobody's free space. Method: three bad entries
    // whose tables hold an entry that a walk would report.
    let (header, file) = image(C, 2, 16);
    for (index, cluster) in [(0, 3), (1, 3), (2, 4), (3, 2)] {
        file.put(C + 8 * index, cluster * C);
    }
    file.put(3 * C, 6 * C);
    file.put(5 * C, 2);
    let (found, bad) = walk(&header, &file);
    let expected = [
        l1(1, Corruption::Duplicate { guest_cluster: 1024, value: 3 * C }),
        l1(2, Corruption::Duplicate { guest_cluster: 2048, value: 4 * C }),
        l1(3, Corruption::NamesMetadata { guest_cluster: 3072, value: 2 * C }),
    ];
    assert_eq!(bad, expected);
    assert_eq!(members(&found.refs), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!((found.allocated, members(&found.metadata).len()), (1, 6));
}

#[test]
fn entries_past_image_size_are_walked() {
    let (mut header, file) = image(C, 2, 12);
    header.image_size = 512;
    file.put(C + 8 * 1023, 3 * C);
    file.put(3 * C + 8 * 1023, 5 * C);
    let (found, bad) = walk(&header, &file);
    assert_eq!((bad.len(), found.allocated, found.end), (0, 1, 6));
}

#[test]
fn fragmentation_is_counted_within_a_table() {
    let (header, file) = image(C, 2, 12);
    file.put(C, 3 * C);
    file.put(C + 8, 6 * C);
    file.put(3 * C + 8 * 1023, 5 * C);
    file.put(6 * C, 8 * C);
    file.put(6 * C + 8 * 9, 9 * C);
    let (found, _) = walk(&header, &file);
    assert_eq!((found.allocated, found.fragmented), (3, 0));
}

#[test]
fn an_unreadable_table_is_counted_and_the_walk_goes_on() {
    let (header, mut file) = image(C, 2, 12);
    file.put(C, 3 * C);
    file.put(C + 8, 5 * C);
    file.put(3 * C, 7 * C);
    file.put(5 * C, 8 * C);
    file.broken = 3 * C..3 * C + 1;
    let (found, bad) = walk(&header, &file);
    assert_eq!((found.unreadable, found.allocated, bad.len()), (1, 1, 0));
    assert!(!found.is_complete());
    let error = found.first_unreadable.unwrap();
    assert_eq!((error.kind(), error.offset()), (ErrorKind::Io, Some(3 * C)));
}

#[test]
fn an_unreadable_l1_table_is_counted() {
    let (header, mut file) = image(C, 2, 12);
    file.put(C, 3 * C);
    file.broken = C..C + 1;
    let (found, _) = walk(&header, &file);
    assert_eq!((found.unreadable, found.allocated, found.refs.count()), (1, 0, 3));
}

#[test]
fn an_l1_table_outside_the_file_is_an_error() {
    let (header, file) = image(C, 2, 3);
    assert_eq!(walk(&header, &file).0.end, 3);
    let error = scan(&file, &header, 3 * C - 512, &mut |_| Ok(())).unwrap_err();
    assert_eq!(error.corruption(), Some(&Corruption::L1Offset { found: C }));
    assert!(scan(&file, &header, 3 * C - 511, &mut |_| Ok(())).is_ok(), "F3.4 rounds up to 512");
}

#[test]
fn the_visitor_and_the_caller_can_end_the_walk() {
    let (header, file) = image(C, 2, 12);
    file.put(C, 3);
    let stop = || Err(Error::new(ErrorKind::Cancelled, "enough"));
    let kind = |result: Result<Scan>| result.unwrap_err().kind();
    assert_eq!(kind(scan(&file, &header, file.length, &mut |_| stop())), ErrorKind::Cancelled);
    let by_caller = scan_while(&file, &header, file.length, &mut |_, _| stop(), &mut |_| Ok(()));
    assert_eq!(kind(by_caller), ErrorKind::Cancelled);
}

#[test]
fn sparse_tables_of_a_gibibyte_cost_what_they_hold() {
    // Goal: security.md 6: time and memory follow what is stored. Method: 64 MiB clusters, tables
    // of 1 GiB, 100 of them, one entry each, in a file of 2^62 bytes.
    let (mut header, file) = image(64 << 20, 16, 1 << 36);
    header.image_size = header.geometry.max_image_size();
    for table in 0..100 {
        let offset = ((1 << 35) + table * 17) << 26;
        file.put((64 << 20) + 8 * (table << 20), offset);
        file.put(offset + (512 << 20), (table + (1 << 20)) << 26);
    }
    let (found, bad) = walk(&header, &file);
    assert_eq!((bad.len(), found.allocated), (0, 100));
    let (calls, bytes) = (file.calls.into_inner(), file.bytes_read.into_inner());
    assert_eq!(bytes, 200 * PAGE, "only stored pages are read");
    assert!(calls <= 201 + 200 + 200 + 200, "{calls} calls");
    assert_eq!(found.refs.gaps(0..1 << 36).map(|gap| gap.1).sum::<u64>(), {
        (1 << 36) - found.refs.count()
    });
}

#[test]
fn a_file_without_holes_reads_the_same() {
    let (header, mut file) = image(64 << 10, 16, 600);
    file.blind = true;
    file.put(64 << 10, 17 << 16);
    file.put((17 << 16) + 8 * 131_071, 40 << 16);
    let (found, bad) = walk(&header, &file);
    assert_eq!((bad.len(), found.allocated, found.end), (0, 1, 41));
    assert_eq!(file.calls.into_inner(), 4, "a MiB table is one question and one read");
}

#[test]
fn extents_of_any_length_lose_nothing() {
    // Goal: no entry is skipped where a file system describes holes in odd pieces.
    let (header, mut file) = image(64 << 10, 1, 40);
    let table = 2 << 16;
    file.put(64 << 10, table);
    for (entry, cluster) in [(0, 3), (511, 4), (1024, 5), (4096, 6), (8191, 7)] {
        file.put(table + 8 * entry, cluster << 16);
    }
    for longest in [1, 511, 1000, 4095, 4096, 4097, 10_000, 1 << 30] {
        file.longest_extent = longest;
        let (found, bad) = walk(&header, &file);
        assert_eq!((bad.len(), found.allocated, found.fragmented), (0, 5, 0), "{longest}");
    }
}
