//! Creating images: what is legal, what appears on disk, and that failures leave nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // Helpers fail their tests.

mod chain_support;

use std::fs::{self, File};
use std::io::{IoSlice, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chain_support::*;
use qed_core::format::{Geometry, Header};
use qed_core::storage::{Event, MemoryStorage, Operation, Recorder, Storage};
use qed_core::{
    CacheMode, CreateOptions, CreateSpec, ErrorKind, Flags, Format, Image, ImageSettings, LockMode,
    OpenOptions, create, create_file, format_storage, inspect, open,
};
use tempfile::{TempDir, tempdir};

fn in_directory(directory: &TempDir) -> impl Fn(&str) -> PathBuf {
    let root = directory.path().canonicalize().unwrap();
    move |name| root.join(name)
}

/// The start of a file, and its length.
fn start_of(path: &Path) -> (Vec<u8>, u64) {
    let mut file = File::open(path).unwrap();
    let length = file.metadata().unwrap().len();
    let mut bytes = vec![0; 8192.min(usize::try_from(length).unwrap())];
    file.read_exact(&mut bytes).unwrap();
    (bytes, length)
}

fn shaped(cluster_size: u64, table_size: u64) -> CreateOptions {
    let mut options = sized(1 << 20);
    options.cluster_size = Some(cluster_size);
    options.table_size = Some(table_size);
    options
}

#[test]
fn a_fresh_image_is_what_the_format_says() {
    // F4, byte by byte; and only our own autoclear bit besides (F1.5).
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    create(at("a.qed"), &sized(1000)).unwrap();
    let (bytes, length) = start_of(&at("a.qed"));
    assert_eq!(length, 5 * 65536);
    let header = Header::decode(&bytes).unwrap();
    assert_eq!(header.image_size, 1024);
    assert_eq!((header.header_clusters, header.l1_table_offset.get()), (1, 65536));
    assert_eq!((header.features, header.compat_features), (0, 0));
    assert_eq!(header.autoclear_features, 1 << 32);
    assert_eq!(header.backing_words, (0, 0));
    assert!(bytes[64..].iter().all(|byte| *byte == 0));
    assert_eq!(fs::metadata(at("a.qed")).unwrap().mode() & 0o111, 0);
}

#[test]
fn backing_names_stand_at_64_as_they_were_given() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    raw(&at("base.raw"), 1);
    qed_base(&at("base.qed"), 1);
    for (name, format, features) in [
        ("base.raw", Some(Format::Raw), 5),
        ("./base.raw", Some(Format::Raw), 5),
        ("base.qed", Some(Format::Qed), 1),
        ("base.qed", Some(Format::Raw), 5),
        ("base.qed", None, 1),
        (text(&at("base.qed")), None, 1),
    ] {
        let mut options = over(name, Format::Raw);
        options.backing_format = format;
        options.overwrite = true;
        create(at("a.qed"), &options).unwrap();
        let (bytes, _) = start_of(&at("a.qed"));
        let header = Header::decode(&bytes).unwrap();
        let size = u32::try_from(name.len()).unwrap();
        assert_eq!((header.features, header.backing_words), (features, (64, size)));
        assert_eq!(&bytes[64..64 + name.len()], name.as_bytes());
        let expected = if features == 5 && name == "base.qed" { b'Q' } else { 1 };
        let image = open(at("a.qed"), &OpenOptions::default()).unwrap();
        let mut first = [0];
        image.pread(&mut first, 0).unwrap();
        assert_eq!(first[0], expected, "{name} {format:?}");
    }
}

#[test]
fn the_default_size_is_the_backing_files() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    fs::write(at("base.raw"), [7; 1000]).unwrap();
    create(at("base.qed"), &sized(3 << 20)).unwrap();
    for (name, format, size) in [
        ("base.raw", Some(Format::Raw), 1024),
        ("base.qed", None, 3 << 20),
        ("base.qed", Some(Format::Qed), 3 << 20),
        ("base.qed", Some(Format::Raw), 5 * 65536),
    ] {
        let mut options = CreateOptions::default();
        options.backing = Some(name.into());
        options.backing_format = format;
        options.overwrite = true;
        create(at("a.qed"), &options).unwrap();
        let layer = inspect(at("a.qed"), &OpenOptions::default()).unwrap();
        assert_eq!(layer.size(), size, "{name} {format:?}");
    }
}

#[test]
fn every_legal_geometry_can_be_created_and_opened() {
    // Goal: D1 and D2. Method: all 75 of them at their largest size, read and written at both ends.
    for cluster_bits in 12..=26 {
        for table_bits in 0..=4 {
            let geometry = Geometry::new(1 << cluster_bits, 1 << table_bits).unwrap();
            let size = geometry.max_image_size();
            let storage = Arc::new(MemoryStorage::new());
            format_storage(&*storage, &CreateSpec::new(geometry, size).unwrap()).unwrap();
            assert_eq!(storage.len().unwrap(), geometry.cluster_size() + geometry.table_bytes());
            let settings = ImageSettings { background: false, ..ImageSettings::default() };
            let image = Image::from_storage(storage, None, settings).unwrap();
            assert_eq!(image.size(), size);
            for offset in [0, size - 512] {
                image.pwrite(&[9; 512], offset, Flags::NONE).unwrap();
                let mut back = [0; 512];
                image.pread(&mut back, offset).unwrap();
                assert_eq!(back, [9; 512], "{geometry:?} at {offset}");
            }
            let error = CreateSpec::new(geometry, size + 1).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        }
    }
}

#[test]
fn images_with_tables_of_one_cluster_open_from_files() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    for (index, (cluster_size, table_size)) in
        [(4096, 1), (65536, 1), (64 << 20, 1), (64 << 20, 16)].into_iter().enumerate()
    {
        let path = at(&format!("{index}.qed"));
        create(&path, &shaped(cluster_size, table_size)).unwrap();
        let image = open(&path, &OpenOptions::default()).unwrap();
        image.pwrite(b"here", 999_999, Flags::NONE).unwrap();
        image.close().unwrap();
        let info = inspect(&path, &OpenOptions::default()).unwrap().info().unwrap();
        let info = info.qed.unwrap();
        assert_eq!((info.cluster_size, info.table_size), (cluster_size, table_size));
    }
}

#[test]
fn qemu_reads_what_we_create() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    raw(&at("base.raw"), 0x11);
    for (cluster_size, table_size) in [(4096, 2), (65536, 4), (65536, 16), (2 << 20, 2)] {
        let mut options = over("base.raw", Format::Raw);
        (options.cluster_size, options.table_size) = (Some(cluster_size), Some(table_size));
        options.overwrite = true;
        create(at("a.qed"), &options).unwrap();
        let path = at("a.qed");
        let Some(info) = qemu("qemu-img", &["info", "--output=json", text(&path)]) else { return };
        let said = String::from_utf8(info.stdout).unwrap();
        assert!(info.status.success(), "{:?}", String::from_utf8_lossy(&info.stderr));
        for expected in [
            format!("\"virtual-size\": {SIZE}"),
            format!("\"cluster-size\": {cluster_size}"),
            "\"format\": \"qed\"".into(),
            "\"backing-filename\": \"base.raw\"".into(),
            "\"backing-filename-format\": \"raw\"".into(),
        ] {
            assert!(said.contains(&expected), "{said} lacks {expected}");
        }
        let check = qemu("qemu-img", &["check", text(&path)]).unwrap();
        assert!(check.status.success(), "{check:?}");
    }
}

#[test]
fn what_is_illegal_leaves_nothing_behind() {
    // Goal: D10 and F4. Method: everything that create refuses, in a directory that must stay as it
    // is.
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    raw(&at("base.raw"), 1);
    fs::write(at("base.qcow2"), b"QFI\xfb\0\0\0\x03").unwrap();
    fs::write(at("broken.qed"), b"QED\0broken").unwrap();
    run("mkfifo", &[text(&at("fifo"))]);
    let before = listing(directory.path());
    let named = |name: &str, format: Option<Format>, size: Option<u64>| {
        let mut options = CreateOptions::default();
        options.backing = Some(name.into());
        (options.backing_format, options.size) = (format, size);
        options
    };
    let small = |name: &str| {
        let mut options = named(name, Some(Format::Raw), Some(512));
        options.cluster_size = Some(4096);
        options
    };
    let mut no_base = sized(512);
    no_base.backing_format = Some(Format::Raw);
    let (long, longer) = ("x".repeat(4033), "x".repeat(4096));
    let raw = Some(Format::Raw);
    for (options, kind, said) in [
        (shaped(0, 4), ErrorKind::InvalidArgument, "cluster size 0"),
        (shaped(1000, 4), ErrorKind::InvalidArgument, "cluster size 1000"),
        (shaped(128 << 20, 4), ErrorKind::InvalidArgument, "cluster size 134217728"),
        (shaped(65536, 0), ErrorKind::InvalidArgument, "table size 0"),
        (shaped(65536, 32), ErrorKind::InvalidArgument, "table size 32"),
        (sized((64 << 40) + 1), ErrorKind::InvalidArgument, "maximum of 70368744177664"),
        (sized(u64::MAX), ErrorKind::InvalidArgument, "image size"),
        (CreateOptions::default(), ErrorKind::InvalidArgument, "no size is given"),
        (no_base, ErrorKind::InvalidArgument, "no backing file"),
        (small(&long), ErrorKind::InvalidArgument, "4032 fit in a header cluster of 4096"),
        (named(&longer, raw, Some(512)), ErrorKind::InvalidArgument, "4095 fit"),
        (named("", raw, Some(512)), ErrorKind::InvalidArgument, "backing name of 0 bytes"),
        (named("a\0b", raw, Some(512)), ErrorKind::InvalidArgument, "NUL byte at 1"),
        (named("base.raw", None, None), ErrorKind::InvalidArgument, "backing_format=raw"),
        (named("base.raw", None, Some(512)), ErrorKind::InvalidArgument, "backing_format=raw"),
        (named("base.qcow2", None, None), ErrorKind::Corrupt, "qcow2"),
        (named("broken.qed", None, None), ErrorKind::Corrupt, "too short"),
        (named("missing", None, Some(512)), ErrorKind::NotFound, "missing"),
        (named("missing", raw, None), ErrorKind::NotFound, "missing"),
        (named("fifo", raw, None), ErrorKind::Refused, "a FIFO"),
        (named("new.qed", raw, Some(512)), ErrorKind::InvalidArgument, "its own backing file"),
    ] {
        for overwrite in [false, true] {
            let mut options = options.clone();
            options.overwrite = overwrite;
            let error = refusal(create(at("new.qed"), &options), kind);
            assert!(error.to_string().contains(said), "{error} lacks {said}");
            assert!(error.file().is_some(), "{error}");
            assert_eq!(listing(directory.path()), before, "{said}");
        }
        let file = tempfile::tempfile().unwrap();
        if !said.contains("missing") && kind == ErrorKind::InvalidArgument && !said.contains("own")
        {
            refusal(create_file(&file, &options), kind);
            assert_eq!(file.metadata().unwrap().len(), 0);
        }
    }
    let error = refusal(create(at("no/such/a.qed"), &sized(512)), ErrorKind::NotFound);
    assert_eq!(error.file(), Some(&*at("no/such/a.qed")));
    assert_eq!(listing(directory.path()), before);
}

#[test]
fn the_longest_names_fit() {
    for (cluster_size, most) in [(4096, 4032), (8192, 4095), (65536, 4095)] {
        for unit in [512, 4096] {
            let geometry = Geometry::new(cluster_size, 4).unwrap();
            let name = vec![b'n'; most];
            let spec = CreateSpec::new(geometry, 512).unwrap().with_backing(&name, true).unwrap();
            let storage = MemoryStorage::new().with_atomic_unit(unit);
            format_storage(&storage, &spec).unwrap();
            let bytes = storage.to_bytes();
            assert_eq!(bytes.len() as u64, 5 * cluster_size);
            assert_eq!(&bytes[64..64 + most], name);
            assert!(bytes[64 + most..].iter().all(|byte| *byte == 0));
            let error = spec.with_backing(&vec![b'n'; most + 1], true).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        }
    }
}

#[test]
fn names_are_bytes() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    let name = std::ffi::OsStr::from_bytes(b"b\xffse:\x01\n");
    fs::write(directory.path().join(name), [8; 512]).unwrap();
    let mut options = CreateOptions::default();
    options.backing = Some(name.into());
    options.backing_format = Some(Format::Raw);
    create(at("a.qed"), &options).unwrap();
    let image = open(at("a.qed"), &OpenOptions::default()).unwrap();
    assert_eq!((image.size(), value_of(&image)), (512, 8));
    let info = image.info().unwrap();
    assert_eq!(info.backing.unwrap().name, b"b\xffse:\x01\n");
}

#[test]
fn create_is_exclusive_unless_told_otherwise() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    fs::write(at("a.qed"), b"precious").unwrap();
    fs::set_permissions(at("a.qed"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("a.qed", at("link")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    for name in ["a.qed", "link", "dangling", "."] {
        let error = refusal(create(at(name), &sized(512)), ErrorKind::AlreadyExists);
        assert!(error.to_string().contains("overwrite=on"), "{error}");
        assert_eq!(error.file(), Some(&*at(name)));
    }
    assert_eq!(fs::read(at("a.qed")).unwrap(), b"precious");
    assert_eq!(listing(directory.path()), ["a.qed", "dangling", "link"]);
    let mut options = sized(1536);
    options.overwrite = true;
    for name in ["link", "dangling", "new.qed"] {
        create(at(name), &options).unwrap();
        assert_eq!(inspect(at(name), &OpenOptions::default()).unwrap().size(), 1536);
    }
    assert_eq!(listing(directory.path()), ["a.qed", "dangling", "link", "new.qed", "nowhere"]);
    assert_eq!(fs::read_link(at("link")).unwrap(), Path::new("a.qed"));
    assert_eq!(fs::metadata(at("a.qed")).unwrap().mode() & 0o777, 0o640);
    for name in [".", "/dev/null"] {
        refusal(create(at(name), &options), ErrorKind::Refused);
    }
}

#[test]
fn a_failed_overwrite_leaves_the_old_image() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    qed_base(&at("a.qed"), 5);
    let mut options = sized(u64::MAX);
    options.overwrite = true;
    refusal(create(at("a.qed"), &options), ErrorKind::InvalidArgument);
    let mut options = over("a.qed", Format::Qed);
    options.overwrite = true;
    for name in ["a.qed", "./a.qed", text(&at("a.qed"))] {
        options.backing = Some(name.into());
        let error = refusal(create(at("a.qed"), &options), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("its own backing file"), "{error}");
    }
    fs::hard_link(at("a.qed"), at("b.qed")).unwrap();
    options.backing = Some("b.qed".into());
    refusal(create(at("a.qed"), &options), ErrorKind::InvalidArgument);
    assert_eq!(value_of(&open(at("a.qed"), &OpenOptions::default()).unwrap()), 5);
    assert_eq!(listing(directory.path()), ["a.qed", "b.qed"]);
}

#[test]
fn an_image_in_use_is_not_overwritten() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    qed_base(&at("a.qed"), 5);
    let mut options = sized(512);
    options.overwrite = true;
    for open_options in [OpenOptions::default(), read_only()] {
        let image = open(at("a.qed"), &open_options).unwrap();
        refusal(create(at("a.qed"), &options), ErrorKind::Locked);
        let file = File::options().read(true).write(true).open(at("a.qed")).unwrap();
        refusal(create_file(&file, &options), ErrorKind::Locked);
        assert_eq!(value_of(&image), 5);
    }
    let image = open(at("a.qed"), &OpenOptions::default()).unwrap();
    options.lock = LockMode::Off;
    create(at("a.qed"), &options).unwrap();
    assert_eq!(value_of(&image), 5, "the replaced file lives on for who has it open");
    assert_eq!(inspect(at("a.qed"), &OpenOptions::default()).unwrap().size(), 512);
}

#[test]
fn a_file_by_descriptor_becomes_an_image() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    let file = || {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).open(at("a.qed")).unwrap()
    };
    create_file(&file(), &sized(1024)).unwrap();
    assert_eq!(open(at("a.qed"), &OpenOptions::default()).unwrap().size(), 1024);
    let mut options = sized(2048);
    refusal(create_file(&file(), &options), ErrorKind::AlreadyExists);
    assert_eq!(open(at("a.qed"), &OpenOptions::default()).unwrap().size(), 1024);
    options.overwrite = true;
    let kept = file();
    create_file(&kept, &options).unwrap();
    // Its lock is given back though the descriptor lives on.
    let image = open(at("a.qed"), &OpenOptions::default()).unwrap();
    assert_eq!(image.size(), 2048);
    options.backing = Some("base.raw".into());
    let error = refusal(create_file(&kept, &options), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("give its size and format"), "{error}");
    refusal(create_file(&File::open("/dev/null").unwrap(), &sized(512)), ErrorKind::Refused);
}

#[test]
fn every_cache_mode_creates() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    for cache in [
        CacheMode::Writeback,
        CacheMode::None,
        CacheMode::Writethrough,
        CacheMode::Directsync,
        CacheMode::Unsafe,
    ] {
        let mut options = over("b".repeat(900), Format::Raw);
        options.cache = cache;
        options.overwrite = true;
        create(at("a.qed"), &options).unwrap();
        let layer = inspect(at("a.qed"), &OpenOptions::default()).unwrap();
        assert_eq!(layer.info().unwrap().backing.unwrap().name.len(), 900);
    }
    assert_eq!(listing(directory.path()), ["a.qed"]);
}

fn apply(disk: &MemoryStorage, operation: &Operation) {
    match operation {
        Operation::SetLength { length } => disk.set_len(*length).unwrap(),
        // Bytes past the end of the file are nowhere.
        Operation::Write { offset, .. } if *offset >= disk.len().unwrap() => {}
        Operation::Write { offset, data, flags } => {
            disk.write(&[IoSlice::new(data)], *offset, *flags).unwrap();
        }
        other => panic!("create does not {other:?}"),
    }
}

/// What a disk may hold after a crash: any subset of what was not synced, sector by sector, in
/// order.
fn possible(base: &MemoryStorage, pending: &[Operation]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    for operation in pending {
        match operation {
            Operation::Write { offset, data, flags } => {
                parts.extend(data.chunks(512).enumerate().map(|(index, sector)| {
                    let offset = offset + 512 * index as u64;
                    Operation::Write { offset, data: sector.into(), flags: *flags }
                }));
            }
            other => parts.push(other.clone()),
        }
    }
    assert!(parts.len() < 12, "too many states");
    let state = |chosen: u32| {
        let disk = MemoryStorage::from_bytes(&base.to_bytes());
        for (index, part) in parts.iter().enumerate() {
            if chosen & (1 << index) != 0 {
                apply(&disk, part);
            }
        }
        disk.to_bytes()
    };
    (0..1 << parts.len()).map(state).collect()
}

#[test]
fn a_crash_leaves_no_image_or_the_whole_one() {
    // Goal: a killed or crashed create never leaves a part of an image. Method: every state that a
    // disk may hold at every moment of formatting, from nothing and from an older image.
    let geometry = Geometry::new(4096, 1).unwrap();
    let spec = |size, name: &[u8]| {
        CreateSpec::new(geometry, size).unwrap().with_backing(name, true).unwrap()
    };
    let formatted = |spec: &CreateSpec| {
        let storage = MemoryStorage::new();
        format_storage(&storage, spec).unwrap();
        storage.to_bytes()
    };
    let old = [formatted(&spec(1 << 21, &[b'o'; 3000])), vec![0xdd; 4096]].concat();
    let spec = spec(1 << 20, &[b'n'; 2000]);
    let finished = formatted(&spec);
    let (mut empty, mut whole) = (0, 0);
    for base in [&[][..], &old] {
        let recorder = Recorder::new(Arc::new(MemoryStorage::from_bytes(base))).unwrap();
        format_storage(&recorder, &spec).unwrap();
        let stable = MemoryStorage::from_bytes(base);
        let mut pending: Vec<Operation> = Vec::new();
        let mut syncing = None;
        for event in recorder.log().events {
            match event {
                Event::Issued { id, operation: Operation::Sync } => syncing = Some(id),
                Event::Issued { operation, .. } => pending.push(operation),
                Event::Completed { id, result } => {
                    result.unwrap();
                    if syncing == Some(id) {
                        pending.drain(..).for_each(|operation| apply(&stable, &operation));
                    }
                }
                other => panic!("{other:?}"),
            }
            for state in possible(&stable, &pending) {
                let has_magic = state.starts_with(b"QED\0");
                let sound = !has_magic || state == finished || state == base;
                assert!(sound, "a part of an image of {} bytes", state.len());
                if state == finished { whole += 1 } else { empty += 1 }
            }
        }
    }
    assert!(empty > 0 && whole > 0);
}
