//! Images that have their space from the start.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests
#![allow(clippy::field_reassign_with_default)]

use std::fs::metadata;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use qed_core::format::Geometry;
use qed_core::storage::{CallKind, Fault, MemoryStorage, Storage, Trigger};
use qed_core::{
    CreateOptions, CreateSpec, Disk, ErrorKind, Flags, Format, Image, ImageSettings, OpenOptions,
    Preallocation, ResizeOptions, Result, check, check_storage, create, format_storage,
};

const SIZE: u64 = 20 << 20;

fn options(kind: Preallocation) -> CreateOptions {
    let mut options = CreateOptions::default();
    (options.size, options.preallocation) = (Some(SIZE), kind);
    (options.cluster_size, options.table_size) = (Some(4096), Some(1));
    options
}

#[test]
fn tables_stand_in_one_run_and_no_table_is_ever_made() {
    // Goal: the file grows by data alone. Method: one cluster in each span of tables.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.qed");
    create(&path, &options(Preallocation::Metadata)).unwrap();
    let spans = SIZE.div_ceil(2 << 20);
    assert_eq!(metadata(&path).unwrap().len(), 4096 * (2 + spans));
    grows_by_data_alone(&path, 0..spans);
}

#[test]
fn data_has_its_place_in_the_guest_s_order_and_its_space() {
    for kind in [Preallocation::Falloc, Preallocation::Full] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk.qed");
        create(&path, &options(kind)).unwrap();
        let report = check(&path, &OpenOptions::default()).unwrap();
        assert!(report.is_clean() && report.leaks == 0, "{report:?}");
        assert_eq!((report.allocated_clusters, report.fragmented_clusters), (SIZE / 4096, 0));
        assert!(metadata(&path).unwrap().blocks() * 512 >= SIZE, "{kind:?}");
        let length = metadata(&path).unwrap().len();
        let disk = Disk::open(&path, &OpenOptions::default()).unwrap();
        let mut found = vec![1; usize::try_from(SIZE).unwrap()];
        disk.pread(&mut found, 0).unwrap();
        assert!(found.iter().all(|byte| *byte == 0));
        disk.pwrite(&[3; 5000], SIZE / 2, Flags::NONE).unwrap();
        disk.close().unwrap();
        assert_eq!(metadata(&path).unwrap().len(), length);
    }
}

/// A disk of one megabyte in the same clusters, with data at its end, that grows to [`SIZE`].
fn grown(path: &Path, kind: Preallocation) -> Result<()> {
    let mut small = options(Preallocation::Off);
    small.size = Some(START);
    small.overwrite = true;
    create(path, &small).unwrap();
    let disk = Disk::open(path, &OpenOptions::default()).unwrap();
    disk.pwrite(&[5; 512], START - 512, Flags::NONE).unwrap();
    let done = disk.resize(SIZE, growing(kind));
    disk.close().unwrap();
    done
}

const START: u64 = (1 << 20) + 512;

fn growing(kind: Preallocation) -> ResizeOptions {
    let mut options = ResizeOptions::default();
    options.preallocation = kind;
    options
}

#[test]
fn a_grown_disk_has_its_new_tables_in_one_run() {
    // Goal: after growing no table is ever made. Method: what each span's first write adds to the
    // file is its cluster alone; the tables' places are read from the L1 table.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.qed");
    grown(&path, Preallocation::Metadata).unwrap();
    let spans = SIZE.div_ceil(2 << 20);
    let bytes = std::fs::read(&path).unwrap();
    let words = bytes[4096..4096 + 8 * usize::try_from(spans).unwrap()].as_chunks::<8>().0;
    let places: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    assert!(places[1..].windows(2).all(|pair| pair[0] + 4096 == pair[1]), "{places:?}");
    // Header, L1 table, the first L2 table and its cluster, and the others.
    assert_eq!(bytes.len() as u64, 4096 * (3 + spans));
    grows_by_data_alone(&path, 1..spans);
}

#[test]
fn a_grown_disk_has_its_new_data_in_order_and_with_its_space() {
    for kind in [Preallocation::Falloc, Preallocation::Full] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk.qed");
        grown(&path, kind).unwrap();
        let report = check(&path, &OpenOptions::default()).unwrap();
        assert!(report.is_clean() && report.leaks == 0, "{report:?}");
        let whole = (SIZE - START) / 4096;
        // The last cluster of the old disk was there, at the end of the file.
        assert_eq!((report.allocated_clusters, report.fragmented_clusters), (whole + 1, 0));
        assert!(metadata(&path).unwrap().blocks() * 512 >= SIZE - START, "{kind:?}");
        let length = metadata(&path).unwrap().len();
        let disk = Disk::open(&path, &OpenOptions::default()).unwrap();
        let mut found = vec![1; usize::try_from(SIZE).unwrap()];
        disk.pread(&mut found, 0).unwrap();
        let old = usize::try_from(START).unwrap();
        assert!(found[old - 512..old] == [5; 512] && found[old..].iter().all(|byte| *byte == 0));
        disk.pwrite(&[3; 5000], SIZE / 2, Flags::NONE).unwrap();
        disk.close().unwrap();
        assert_eq!(metadata(&path).unwrap().len(), length);
    }
}

#[test]
fn a_preallocated_disk_grows_while_it_is_written() {
    // Goal: growing disturbs nobody. Method: a thread writes and reads back below the old end, and
    // takes clusters of its own, while the disk grows in steps of each kind.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.qed");
    grown(&path, Preallocation::Off).unwrap();
    let disk = Disk::open(&path, &OpenOptions::default()).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..u64::MAX {
                let byte = u8::try_from(round % 251).unwrap();
                let offset = round % 100 * 8192;
                disk.pwrite(&[byte; 1024], offset, Flags::NONE).unwrap();
                let mut found = [0; 1024];
                disk.pread(&mut found, offset).unwrap();
                assert_eq!(found, [byte; 1024]);
                if done.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        let kinds = [Preallocation::Metadata, Preallocation::Falloc, Preallocation::Full];
        for round in 0..12_u64 {
            let kind = kinds[usize::try_from(round % 3).unwrap()];
            disk.resize(SIZE + (round + 1) * 700 * 1024, growing(kind)).unwrap();
        }
        done.store(true, Ordering::SeqCst);
    });
    let end = disk.size();
    let mut found = vec![1; usize::try_from(end - START).unwrap()];
    disk.pread(&mut found, START).unwrap();
    assert!(found.iter().all(|byte| *byte == 0));
    disk.close().unwrap();
    let report = check(&path, &OpenOptions::default()).unwrap();
    assert!(report.is_clean() && report.leaks == 0, "{report:?}");
}

#[test]
fn what_cannot_be_preallocated_is_refused_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.qed");
    grown(&path, Preallocation::Off).unwrap();
    let mut overlay = options(Preallocation::Off);
    (overlay.backing, overlay.backing_format) = (Some("disk.qed".into()), Some(Format::Qed));
    let over = directory.path().join("over.qed");
    create(&over, &overlay).unwrap();
    let disk = Disk::open(&path, &OpenOptions::default()).unwrap();
    let refused = |disk: &Disk, size, how| disk.resize(size, how).unwrap_err().kind();
    let mut smaller = growing(Preallocation::Metadata);
    smaller.shrink = true;
    assert_eq!(refused(&disk, SIZE, smaller), ErrorKind::InvalidArgument);
    assert_eq!(refused(&disk, SIZE / 2, smaller), ErrorKind::InvalidArgument);
    disk.close().unwrap();
    let disk = Disk::open(&over, &OpenOptions::default()).unwrap();
    let full = growing(Preallocation::Full);
    assert_eq!(refused(&disk, 2 * SIZE, full), ErrorKind::InvalidArgument);
    disk.resize(2 * SIZE, growing(Preallocation::Metadata)).unwrap();
    let mut found = vec![1; usize::try_from(SIZE).unwrap()];
    disk.pread(&mut found, SIZE).unwrap();
    assert!(found.iter().all(|byte| *byte == 0));
    disk.close().unwrap();
    let raw = directory.path().join("disk.raw");
    std::fs::write(&raw, [7; 1000]).unwrap();
    let mut open = OpenOptions::default();
    open.format = Format::Raw;
    let disk = Disk::open(&raw, &open).unwrap();
    let metadata_of_raw = growing(Preallocation::Metadata);
    assert_eq!(refused(&disk, SIZE, metadata_of_raw), ErrorKind::InvalidArgument);
    assert_eq!(disk.size(), 1000);
    for (kind, size) in [(Preallocation::Falloc, SIZE + 7), (Preallocation::Full, 2 * SIZE)] {
        disk.resize(size, growing(kind)).unwrap();
        assert!(metadata(&raw).unwrap().blocks() * 512 >= size - 4096, "{kind:?}");
    }
    let mut found = [1; 2000];
    disk.pread(&mut found, 0).unwrap();
    assert!(found[..1000] == [7; 1000] && found[1000..] == [0; 1000]);
    disk.close().unwrap();
}

#[test]
fn a_disk_that_finds_no_space_keeps_its_size_and_gives_back_what_it_had() {
    // Goal: a failed preallocation leaves the disk, and no space taken. Method: the first write of
    // zeroes, and the second one, finds no space.
    for nth in [1, 2] {
        let memory = Arc::new(MemoryStorage::new());
        let spec = CreateSpec::new(Geometry::new(4096, 1).unwrap(), START).unwrap();
        format_storage(&*memory, &spec).unwrap();
        let fault = Arc::new(Fault::new(memory.clone()));
        let image = Image::from_storage(fault.clone(), None, ImageSettings::default()).unwrap();
        image.pwrite(&[5; 512], 0, Flags::NONE).unwrap();
        image.flush().unwrap();
        let before = memory.disk_usage().unwrap();
        let data = Trigger::on(CallKind::Write).metadata(false);
        fault.fail(data.nth(nth + 1), libc::ENOSPC);
        let failed = image.resize(SIZE, growing(Preallocation::Full)).unwrap_err();
        assert_eq!((failed.kind(), image.size()), (ErrorKind::NoSpace, START));
        fault.clear();
        image.pwrite(&[6; 512], 8192, Flags::NONE).unwrap();
        image.close().unwrap();
        let report = check_storage(&*memory).unwrap();
        assert!(report.is_clean() && report.wasted_clusters() == 0, "{report:?}");
        // A cluster for each end, and the table that both share.
        assert!(memory.disk_usage().unwrap() <= before + 3 * 4096, "{before}");
    }
}

#[test]
fn raw_disks_have_space_and_what_makes_no_sense_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    let mut raw = CreateOptions::default();
    (raw.format, raw.size) = (Format::Raw, Some(SIZE));
    raw.preallocation = Preallocation::Falloc;
    create(&path, &raw).unwrap();
    assert!(metadata(&path).unwrap().blocks() * 512 >= SIZE);
    raw.preallocation = Preallocation::Metadata;
    let refused = |options: &CreateOptions| {
        create(directory.path().join("other"), options).unwrap_err().kind()
    };
    assert_eq!(refused(&raw), ErrorKind::InvalidArgument);
    let mut overlay = options(Preallocation::Full);
    (overlay.backing, overlay.backing_format) = (Some("disk".into()), Some(Format::Raw));
    assert_eq!(refused(&overlay), ErrorKind::InvalidArgument);
    overlay.preallocation = Preallocation::Metadata;
    create(directory.path().join("overlay"), &overlay).unwrap();
    let mut qcow2 = raw.clone();
    qcow2.format = Format::Qcow2;
    assert_eq!(refused(&qcow2), ErrorKind::Unsupported);
}

/// Writes a cluster under each of these tables, of which all are there: nothing else comes of it.
fn grows_by_data_alone(path: &Path, spans: Range<u64>) {
    let disk = Disk::open(path, &OpenOptions::default()).unwrap();
    for span in spans.clone() {
        disk.pwrite(&[9; 4096], span * (2 << 20), Flags::NONE).unwrap();
    }
    disk.close().unwrap();
    let report = check(path, &OpenOptions::default()).unwrap();
    assert!(report.is_clean() && report.leaks == 0, "{report:?}");
    assert_eq!(metadata(path).unwrap().len(), 4096 * (2 + 2 * spans.end));
}
