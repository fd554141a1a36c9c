use super::*;
use crate::error::Corruption;
use crate::format::{FEATURE_BACKING_FILE, FEATURE_RAW_BACKING, Geometry, HEADER_BYTES};
use crate::image::{Flags, Image, ImageSettings};
use crate::ops::create::{CreateSpec, format_storage};
use crate::storage::{MemoryStorage, WriteFlags};
use std::io::IoSlice;
use std::ops::ControlFlow;

const C: u64 = 4096;

/// An image of two tables of two clusters with data at 0, 1 and 700, in a file.
fn image(change: impl FnOnce(&mut Header)) -> tempfile::NamedTempFile {
    let storage = Arc::new(MemoryStorage::new());
    let spec = CreateSpec::new(Geometry::new(C, 2).unwrap(), 8 << 20).unwrap();
    format_storage(&*storage, &spec).unwrap();
    let image = Image::from_storage(storage.clone(), None, ImageSettings::default()).unwrap();
    for cluster in [0, 1, 700] {
        image.pwrite(&[7; 4096], cluster * C, Flags::NONE).unwrap();
    }
    image.close().unwrap();
    let mut header = read_header(&*storage).unwrap();
    change(&mut header);
    let mut bytes = storage.to_bytes();
    bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    file
}

fn backed(name: &[u8], place: u32, features: u64) -> tempfile::NamedTempFile {
    let size = u32::try_from(name.len()).unwrap();
    let file = image(|header| {
        header.features = FEATURE_BACKING_FILE | features;
        header.backing_words = (place, size);
    });
    put(&file, place.into(), name);
    file
}

fn put(file: &tempfile::NamedTempFile, offset: u64, bytes: &[u8]) {
    let storage = MemoryStorage::from_bytes(&fs::read(file.path()).unwrap());
    storage.write(&[IoSlice::new(bytes)], offset, WriteFlags::default()).unwrap();
    fs::write(file.path(), storage.to_bytes()).unwrap();
}

/// Puts a word into the entry of a guest cluster.
fn map(file: &tempfile::NamedTempFile, cluster: u64, word: u64) {
    let bytes = fs::read(file.path()).unwrap();
    let at = usize::try_from(C + 8 * (cluster / 1024)).unwrap();
    let table = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    put(file, table + 8 * (cluster % 1024), &word.to_le_bytes());
}

fn look(file: &tempfile::NamedTempFile, reader: Reader, fix: bool) -> LintReport {
    let options = OpenOptions::default();
    lint(file.path(), reader, fix, &options, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

fn rules(findings: &[LintFinding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.rule.name()).collect()
}

#[test]
fn an_image_of_ours_suits_everybody() {
    for reader in [Reader::Qemu, Reader::VirtualBox] {
        let file = image(|_| ());
        let before = fs::read(file.path()).unwrap();
        let report = look(&file, reader, true);
        assert!(report.is_clean() && report.findings.is_empty(), "{report:?}");
        assert_eq!(fs::read(file.path()).unwrap(), before);
        assert_eq!(Reader::by_name(reader.name()), Some(reader));
    }
}

#[test]
fn zero_clusters_go_where_they_are_mistaken() {
    // Goal: D4 and F8, and the guest reads the same. Method: over nothing they become unallocated,
    // over a backing file clusters of zeroes.
    let file = image(|_| ());
    map(&file, 1, 1);
    assert!(look(&file, Reader::Qemu, false).findings.is_empty(), "harmless over nothing");
    let report = look(&file, Reader::VirtualBox, false);
    assert_eq!(rules(&report.findings), ["zero-clusters"]);
    let report = look(&file, Reader::VirtualBox, true);
    assert!(report.findings.is_empty());
    assert_eq!(rules(&report.fixed), ["zero-clusters"]);
    for reader in [Reader::Qemu, Reader::VirtualBox] {
        let file = backed(b"base", 64, 0);
        map(&file, 1, 1);
        map(&file, 5, 1);
        let report = look(&file, reader, true);
        assert_eq!(rules(&report.fixed), ["zero-clusters"], "{report:?}");
        let storage = Arc::new(MemoryStorage::from_bytes(&fs::read(file.path()).unwrap()));
        let checked = check_storage(&*storage).unwrap();
        assert_eq!((checked.corruptions, checked.allocated_clusters), (0, 4));
        let below: Arc<dyn crate::source::Source> = Arc::new(Below);
        let image = Image::from_storage(storage, Some(below), ImageSettings::default()).unwrap();
        let mut found = [1; 4096];
        image.pread(&mut found, 5 * C).unwrap();
        assert_eq!(found, [0; 4096]);
    }
}

/// A backing file full of nines.
#[derive(Debug)]
struct Below;

impl crate::source::Source for Below {
    fn size(&self) -> u64 {
        8 << 20
    }

    fn read(&self, buffer: &mut [u8], _: u64) -> Result<()> {
        buffer.fill(9);
        Ok(())
    }

    fn extent(&self, offset: u64, length: u64) -> Result<crate::source::Extent> {
        let kind = crate::source::ExtentKind::Data { file_offset: None };
        Ok(crate::source::Extent { offset, length, kind, depth: 0 })
    }
}

#[test]
fn a_name_is_moved_and_told_apart_from_protocols() {
    let stray = backed(b"../other dir/base.vdi", 4096 * 40, 0);
    let before = read_backing_info(&MemoryStorage::from_bytes(&fs::read(stray.path()).unwrap()));
    let report = look(&stray, Reader::Qemu, false);
    assert_eq!(rules(&report.findings), ["stray-name"]);
    assert!(!report.is_clean());
    let report = look(&stray, Reader::Qemu, true);
    assert_eq!(rules(&report.fixed), ["stray-name"], "{report:?}");
    let storage = MemoryStorage::from_bytes(&fs::read(stray.path()).unwrap());
    assert_eq!(read_backing_info(&storage).unwrap(), before.unwrap());
    assert!(!read_header(&storage).unwrap().has_stray_name());

    let protocol = backed(b"nbd:localhost", 64, FEATURE_RAW_BACKING);
    let report = look(&protocol, Reader::Qemu, true);
    assert_eq!(rules(&report.fixed), ["protocol-name"], "{report:?}");
    let storage = MemoryStorage::from_bytes(&fs::read(protocol.path()).unwrap());
    assert_eq!(read_backing_info(&storage).unwrap().unwrap().name, b"./nbd:localhost");
}

#[test]
fn a_declared_raw_backing_file_stays_declared() {
    // Goal: no fix lets a guest's bytes decide what the backing file is. Method: the backing file
    // holds an image, and all the same is raw to the guest above; the finding says why.
    let folder = tempfile::tempdir().unwrap();
    let (base, top) = (image(|_| ()), backed(b"base", 64, FEATURE_RAW_BACKING));
    fs::copy(base.path(), folder.path().join("base")).unwrap();
    let path = folder.path().join("top");
    fs::copy(top.path(), &path).unwrap();
    let before = fs::read(&path).unwrap();
    let options = OpenOptions::default();
    let report =
        lint(&path, Reader::VirtualBox, true, &options, &mut |_, _| ControlFlow::Continue(()));
    let report = report.unwrap();
    assert_eq!((rules(&report.findings), report.fixed.len()), (vec!["no-probe"], 0));
    let finding = &report.findings[0];
    assert!(!finding.fixable && finding.text.contains("would be probed"), "{finding}");
    assert!(fs::read(&path).unwrap() == before, "nothing was rewritten");
    assert!(look(&top, Reader::Qemu, false).is_clean());
}

#[test]
fn the_rest_is_named() {
    let dirty = image(|header| header.features |= 2);
    assert_eq!(rules(&look(&dirty, Reader::Qemu, false).findings), ["need-check"]);
    assert_eq!(rules(&look(&dirty, Reader::Qemu, true).fixed), ["need-check"]);
    let damaged = image(|_| ());
    map(&damaged, 9, 1 << 40);
    map(&damaged, 10, 1);
    assert_eq!(rules(&look(&damaged, Reader::VirtualBox, false).findings), ["damage"]);
    let report = look(&damaged, Reader::VirtualBox, true);
    assert_eq!((report.findings.len(), rules(&report.fixed)), (0, vec!["damage"]));
    let shrunk = image(|header| header.image_size = 600 * C);
    let report = look(&shrunk, Reader::Qemu, false);
    assert_eq!(rules(&report.findings), ["entries-past-size"]);
    assert!(report.is_clean(), "a note");
    assert_eq!(rules(&look(&shrunk, Reader::Qemu, true).fixed), ["entries-past-size"]);
    let compat = image(|header| header.compat_features = 4);
    assert_eq!(rules(&look(&compat, Reader::VirtualBox, true).findings), ["compat-features"]);
    let name = "self";
    let itself = backed(name.as_bytes(), 64, 0);
    let folder = tempfile::tempdir().unwrap();
    fs::copy(itself.path(), folder.path().join(name)).unwrap();
    let report = lint(
        folder.path().join(name),
        Reader::Qemu,
        false,
        &OpenOptions::default(),
        &mut |_, _| ControlFlow::Continue(()),
    );
    assert_eq!(rules(&report.unwrap().findings), ["names-itself"]);
    let none = image(|header| header.l1_table_offset.0 += 1);
    let options = OpenOptions::default();
    let error =
        lint(none.path(), Reader::Qemu, false, &options, &mut |_, _| ControlFlow::Continue(()));
    let found = error.unwrap_err();
    assert!(matches!(found.corruption(), Some(Corruption::L1Offset { .. })), "{found}");
}

#[test]
fn sizes_that_qemu_cannot_use_are_named() {
    let judged = |cluster, table| {
        let storage = MemoryStorage::new();
        let spec = CreateSpec::new(Geometry::new(cluster, table).unwrap(), 8 << 30).unwrap();
        format_storage(&storage, &spec).unwrap();
        let facts = Facts::of(&storage, &mut |_, _| ControlFlow::Continue(())).unwrap();
        rules(&readers::judge(Reader::Qemu, &facts))
    };
    assert!(judged(65536, 4).is_empty());
    assert_eq!(judged(65536, 1), ["geometry"]);
    assert_eq!(judged(4 << 20, 4), ["geometry", "long-runs"]);
    assert_eq!(judged(65536, 8), ["long-runs"]);
    assert_eq!(judged(4096, 16), ["large-requests"]);
}
