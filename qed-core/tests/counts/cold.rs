//! Opening, the first read, closing, creating: what is asked for is read, and nothing else.

use super::*;
use crate::counting::Counts;
use qed_core::Flags;

/// An image of 1 TiB with an L2 table for each quarter, vouched for, with a free map, and closed.
fn large() -> Arc<Counting> {
    let storage = empty(1 << 40);
    let image = open(&storage, false);
    for quarter in 0..4 {
        image.pwrite(&[1; 512], quarter << 38, Flags::NONE).unwrap();
    }
    image.close().unwrap();
    storage
}

fn reads(reads: u64, read_bytes: u64) -> Counts {
    Counts { reads, read_bytes, ..Counts::default() }
}

/// The header's sector is read once, and serves for the backing file's name as well.
#[test]
fn opening_reads_the_header_once_and_no_table() {
    let storage = large();
    for read_only in [true, false] {
        assert_eq!(storage.of(|| open(&storage, read_only)), reads(1, 512));
    }
    let spec = CreateSpec::new(Geometry::new(CLUSTER, 4).unwrap(), 1 << 30).unwrap();
    let overlay = Arc::new(Counting::default());
    format_storage(&*overlay, &spec.with_backing(b"base", true).unwrap()).unwrap();
    assert_eq!(overlay.of(|| open(&overlay, false)), reads(1, 512));
}

#[test]
fn a_miss_reads_one_slice_of_four_kib() {
    let storage = large();
    for read_only in [true, false] {
        let image = open(&storage, read_only);
        let read = |offset| storage.of(|| image.pread(&mut [0; 4096], offset).unwrap());
        assert_eq!(read(0), reads(3, 3 * 4096), "a slice of the L1, one of the L2, and data");
        assert_eq!(read(8192), reads(1, 4096), "data");
        assert_eq!(read(1 << 38), reads(2, 2 * 4096), "a slice of another L2 table, and data");
        assert_eq!(read(600 * CLUSTER), reads(1, 4096), "the next slice of the first, and no data");
        assert_eq!(read(1 << 37), reads(0, 0), "no table");
    }
}

/// One slice says where 512 clusters are.
#[test]
fn a_walk_over_the_disk_reads_each_slice_once() {
    let storage = empty(1 << 30);
    let image = open(&storage, false);
    (0..1024).for_each(|at| image.pwrite(&[1; 512], at * CLUSTER, Flags::NONE).unwrap());
    image.close().unwrap();
    let image = open(&storage, true);
    let walk = || {
        storage.of(|| {
            (0..1024).for_each(|at| image.pread(&mut [0; 512], at * CLUSTER).unwrap());
        })
    };
    assert_eq!(walk(), reads(1 + 2 + 1024, 3 * 4096 + 1024 * 512));
    assert_eq!(walk(), reads(1024, 1024 * 512));
}

#[test]
fn closing_what_was_only_read_costs_nothing() {
    let storage = large();
    for read_only in [true, false] {
        let image = open(&storage, read_only);
        image.pread(&mut [0; 4096], 0).unwrap();
        assert_eq!(storage.of(|| image.close().unwrap()), Counts::default());
    }
}

/// A guest that asks for it gets the sync that an earlier, killed session may not have made.
#[test]
fn the_first_flush_of_a_session_syncs_also_where_nothing_was_written() {
    let storage = large();
    let image = open(&storage, false);
    let flush = || storage.of(|| image.flush().unwrap()).syncs;
    assert_eq!([flush(), flush()], [1, 0]);
}

/// The sector that makes an image of the file is written last, between two syncs.
#[test]
fn creating_writes_one_sector() {
    let storage = Arc::new(Counting::default());
    let spec = CreateSpec::new(Geometry::new(CLUSTER, 4).unwrap(), 1 << 40).unwrap();
    let counts = storage.of(|| format_storage(&*storage, &spec).unwrap());
    let expected =
        Counts { table_writes: 1, table_bytes: 512, syncs: 2, lengths: 1, ..Counts::default() };
    assert_eq!(counts, expected);
}
