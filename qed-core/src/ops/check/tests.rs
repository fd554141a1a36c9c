use super::*;
use crate::addr::FileOffset;
use crate::chain::LockMode;
use crate::error::Corruption;
use crate::error::ErrorKind;
use crate::format::FEATURE_BACKING_FILE;
use crate::format::{Geometry, Header};
use crate::image::CacheMode;
use crate::storage::{ImageLock, Limits, MemoryStorage, StoredExtent, WriteFlags};
use std::fs;
use std::io::{self, IoSlice, IoSliceMut};

const C: u64 = 4096;

/// An image of 4 KiB clusters and tables of one: header, L1 table at 1, L2 tables at 2 and 3.
fn image(file_length: u64) -> MemoryStorage {
    let header = Header {
        geometry: Geometry::new(C, 1).unwrap(),
        header_clusters: 1,
        features: 0,
        compat_features: 0,
        autoclear_features: 0,
        l1_table_offset: FileOffset(C),
        image_size: 4 << 20,
        backing_words: (0, 0),
    };
    let storage = MemoryStorage::new();
    put(&storage, 0, &header.encode());
    put(&storage, C, &(2 * C).to_le_bytes());
    put(&storage, C + 8, &(3 * C).to_le_bytes());
    storage.set_len(file_length).unwrap();
    storage
}

fn put(storage: &MemoryStorage, offset: u64, bytes: &[u8]) {
    storage.write(&[IoSlice::new(bytes)], offset, WriteFlags::default()).unwrap();
}

fn map(storage: &MemoryStorage, guest_cluster: u64, word: u64) {
    put(storage, 2 * C + 8 * guest_cluster, &word.to_le_bytes());
}

/// A storage that takes no change and may have one offset that cannot be read.
#[derive(Debug)]
struct Unchangeable {
    inner: MemoryStorage,
    broken: Option<u64>,
}

impl Storage for Unchangeable {
    fn limits(&self) -> Limits {
        self.inner.limits()
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn read(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        if self.broken == Some(offset) {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        self.inner.read(buffers, offset)
    }
    fn write(&self, _: &[IoSlice<'_>], _: u64, _: WriteFlags) -> io::Result<()> {
        panic!("a check changes nothing")
    }
    fn zero_range(&self, _: u64, _: u64) -> io::Result<()> {
        panic!("a check changes nothing")
    }
    fn punch(&self, _: u64, _: u64) -> io::Result<()> {
        panic!("a check changes nothing")
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        panic!("a check changes nothing")
    }
    fn sync(&self) -> io::Result<()> {
        panic!("a check changes nothing")
    }
    fn stored_extent(&self, offset: u64, length: u64) -> io::Result<StoredExtent> {
        self.inner
            .stored_extent(offset, length)
            .map(|extent| StoredExtent { hole: false, ..extent })
    }
    fn disk_usage(&self) -> io::Result<u64> {
        self.inner.disk_usage()
    }
}

#[test]
fn a_clean_image_has_facts_only() {
    let storage = image(7 * C);
    for (guest, cluster) in [(0, 4), (1, 5), (9, 6)] {
        map(&storage, guest, cluster * C);
    }
    let report = check_storage(&storage).unwrap();
    let expected = CheckReport {
        image_end_offset: 7 * C,
        total_clusters: 1024,
        allocated_clusters: 3,
        ..CheckReport::default()
    };
    assert_eq!(report, expected);
    assert!(report.is_clean());
}

#[test]
fn leaks_are_what_nobody_names_a_partial_cluster_included() {
    let storage = image(9 * C + 1);
    map(&storage, 0, 6 * C);
    let report = check_storage(&storage).unwrap();
    assert_eq!((report.leaks, report.image_end_offset, report.corruptions), (5, 7 * C, 0));
    assert!(report.is_clean());
}

#[test]
fn every_corruption_is_counted_and_the_first_hundred_are_named() {
    let storage = image(5 * C);
    for guest in 0..150 {
        map(&storage, guest, 4 * C + 512 * (guest + 1));
    }
    map(&storage, 200, 4 * C);
    map(&storage, 201, 4 * C);
    // 150 outside the file or misaligned, one duplicate.
    let report = check_storage(&storage).unwrap();
    assert_eq!((report.corruptions, report.findings.len(), report.leaks), (151, 100, 0));
    let first = Corruption::L2Entry { guest_cluster: 0, value: 4 * C + 512 };
    assert_eq!(report.findings.first(), Some(&first));
    assert_eq!(report.allocated_clusters, 152);
    assert!(!report.is_clean());
}

#[test]
fn without_every_table_nothing_is_called_a_leak() {
    let storage = Unchangeable { inner: image(8 * C), broken: Some(3 * C) };
    let report = check_storage(&storage).unwrap();
    assert_eq!((report.check_errors, report.leaks, report.corruptions), (1, 0, 0));
    let why = report.first_check_error.as_deref().unwrap();
    assert!(why.contains("reading a table at offset 12288"), "{why}");
    assert!(!report.is_clean());
}

#[test]
fn leaks_of_long_files_are_counted_right() {
    // Goal: D3: no false leaks in files over C*(C-1) bytes. Method: 5,000 clusters, 40 MiB, of
    // which one L2 table maps 507.
    let storage = image(5000 * C);
    for guest in 0..507 {
        map(&storage, guest, (4 + guest) * C);
    }
    const { assert!(5000 * C > C * (C - 1)) };
    let report = check_storage(&storage).unwrap();
    assert_eq!((report.leaks, report.corruptions), (5000 - 511, 0));
}

#[test]
fn what_is_no_image_is_an_error() {
    let kind = |bytes: &[u8]| check_storage(&MemoryStorage::from_bytes(bytes)).unwrap_err().kind();
    assert_eq!(kind(b""), ErrorKind::NotQed);
    assert_eq!(kind(b"QFI\xfb and so on"), ErrorKind::NotQed);
    assert_eq!(kind(b"QED\0"), ErrorKind::Corrupt);
    let cut = image(2 * C - 512);
    let error = check_storage(&cut).unwrap_err();
    assert_eq!(error.corruption(), Some(&Corruption::L1Offset { found: C }));
}

#[test]
fn a_check_changes_nothing() {
    // Method: the storage panics at every call that changes, and the bytes are compared.
    let inner = image(8 * C);
    map(&inner, 0, 1 << 40);
    let before = inner.to_bytes();
    let storage = Unchangeable { inner, broken: None };
    assert_eq!(check_storage(&storage).unwrap().corruptions, 1);
    assert_eq!(storage.inner.to_bytes(), before);
}

/// An image in a file that names a backing file which is not there.
fn image_file() -> tempfile::NamedTempFile {
    let storage = image(8 * C);
    map(&storage, 0, 1 << 40);
    let name = b"/nowhere/base";
    put(&storage, 16, &FEATURE_BACKING_FILE.to_le_bytes());
    put(&storage, 56, &64_u32.to_le_bytes());
    put(&storage, 60, &u32::try_from(name.len()).unwrap().to_le_bytes());
    put(&storage, 64, name);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), storage.to_bytes()).unwrap();
    file
}

#[test]
fn a_path_and_a_descriptor_give_the_same_report_and_no_backing_file_is_opened() {
    let image = image_file();
    let before = fs::read(image.path()).unwrap();
    let expected = check_storage(&MemoryStorage::from_bytes(&before)).unwrap();
    assert_eq!((expected.corruptions, expected.leaks, expected.free_clusters), (1, 4, 4));
    // In the file the same zeroes were written.
    let expected = CheckReport { free_clusters: 0, ..expected };
    let options = OpenOptions::default();
    assert_eq!(check(image.path(), &options).unwrap(), expected);
    assert_eq!(check_file(File::open(image.path()).unwrap(), &options).unwrap(), expected);
    let mut direct = OpenOptions::default();
    direct.image.cache = CacheMode::None;
    match check(image.path(), &direct) {
        Ok(report) => assert_eq!(report, expected),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}"),
    }
    assert_eq!(fs::read(image.path()).unwrap(), before);
}

#[test]
fn an_image_that_another_writes_to_is_locked() {
    let image = image_file();
    let writer = File::options().read(true).write(true).open(image.path()).unwrap();
    let lock = ImageLock::writer(&writer).unwrap();
    let mut options = OpenOptions::default();
    let error = check(image.path(), &options).unwrap_err();
    assert_eq!((error.kind(), error.file()), (ErrorKind::Locked, Some(image.path())));
    options.lock = LockMode::Off;
    assert_eq!(check(image.path(), &options).unwrap().corruptions, 1);
    drop(lock);
    drop(writer);
    options.lock = LockMode::On;
    assert_eq!(check(image.path(), &options).unwrap().corruptions, 1);
}

#[test]
fn what_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let kind = |path: &Path, options: &OpenOptions| {
        let error = check(path, options).unwrap_err();
        assert_eq!(error.file(), Some(path));
        error.kind()
    };
    let mut options = OpenOptions::default();
    assert_eq!(kind(&folder.path().join("none"), &options), ErrorKind::NotFound);
    assert_eq!(kind(folder.path(), &options), ErrorKind::Refused);
    let image = image_file();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(image.path(), &link).unwrap();
    assert_eq!(check(&link, &options).unwrap().corruptions, 1);
    options.no_follow = true;
    assert_eq!(kind(&link, &options), ErrorKind::Refused);
}

#[test]
fn a_repair_of_a_file_is_undone_once() {
    // Goal: undo files are new, are used once, tell their image, and are not left where nothing was
    // repaired.
    let image = image_file();
    let before = fs::read(image.path()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let undo = folder.path().join("undo");
    let options = OpenOptions::default();
    let how = CheckOptions {
        repair: Some(Repair::All),
        undo: Some(undo.clone()),
        ..CheckOptions::default()
    };
    let repair = || check_with(image.path(), &options, &how, &mut |_, _| CONTINUE);
    let report = repair().unwrap();
    assert_eq!((report.corruptions_fixed, report.corruptions, report.leaks), (1, 0, 0));
    let repaired = fs::read(image.path()).unwrap();
    assert!(repaired != before && repaired.len() < before.len());
    let error = repair().unwrap_err();
    assert_eq!((error.kind(), error.file()), (ErrorKind::AlreadyExists, Some(&*undo)));
    let take_back = || undo_repair(image.path(), &undo, &options);
    fs::write(image.path(), &before).unwrap();
    let error = take_back().unwrap_err();
    assert_eq!((error.kind(), error.file()), (ErrorKind::Refused, Some(image.path())));
    fs::write(image.path(), &repaired).unwrap();
    take_back().unwrap();
    assert_eq!(fs::read(image.path()).unwrap(), before);
    assert_eq!(take_back().unwrap_err().kind(), ErrorKind::Refused);
    fs::write(&undo, b"nothing").unwrap();
    assert_eq!(take_back().unwrap_err().kind(), ErrorKind::Corrupt);
    fs::remove_file(&undo).unwrap();
    assert_eq!(take_back().unwrap_err().kind(), ErrorKind::NotFound);
    fs::write(image.path(), &repaired).unwrap();
    assert_eq!(repair().unwrap().corruptions_fixed, 0);
    assert!(!undo.exists(), "nothing was repaired, and nothing is to be undone");
}

#[test]
fn options_of_a_repair_need_one() {
    let image = image_file();
    let kind = |how: CheckOptions| {
        let checked = check_with(image.path(), &OpenOptions::default(), &how, &mut |_, _| CONTINUE);
        checked.unwrap_err().kind()
    };
    let none = CheckOptions::default;
    let undo = Some("undo".into());
    assert_eq!(kind(CheckOptions { dry_run: true, ..none() }), ErrorKind::InvalidArgument);
    assert_eq!(kind(CheckOptions { max_growth: Some(1), ..none() }), ErrorKind::InvalidArgument);
    assert_eq!(kind(CheckOptions { undo: undo.clone(), ..none() }), ErrorKind::InvalidArgument);
    let both = CheckOptions { repair: Some(Repair::All), dry_run: true, undo, ..none() };
    assert_eq!(kind(both), ErrorKind::InvalidArgument);
}
