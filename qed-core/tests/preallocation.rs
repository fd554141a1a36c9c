//! Images that have their space from the start.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests
#![allow(clippy::field_reassign_with_default)]

use std::fs::metadata;
use std::os::unix::fs::MetadataExt;

use qed_core::{
    CreateOptions, Disk, ErrorKind, Flags, Format, OpenOptions, Preallocation, check, create,
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
    let disk = Disk::open(&path, &OpenOptions::default()).unwrap();
    for span in 0..spans {
        disk.pwrite(&[9; 4096], span * (2 << 20), Flags::NONE).unwrap();
    }
    disk.close().unwrap();
    let report = check(&path, &OpenOptions::default()).unwrap();
    assert!(report.is_clean() && report.leaks == 0, "{report:?}");
    assert_eq!(metadata(&path).unwrap().len(), 4096 * (2 + 2 * spans));
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
