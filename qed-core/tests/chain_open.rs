//! Opening images and chains: formats, locks, cycles, depth, descriptors, looking.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // Helpers fail their tests.

mod chain_support;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use chain_support::*;
use qed_core::{
    BackingPolicy, BackingSource, Corruption, ErrorKind, ExtentKind, Flags, Format, Image,
    LockMode, MAX_DEPTH, OpenOptions, create, inspect, inspect_file, open, open_file, probe,
    probe_file,
};
use tempfile::{TempDir, tempdir};

fn in_directory(directory: &TempDir) -> impl Fn(&str) -> PathBuf {
    let root = directory.path().canonicalize().unwrap();
    move |name| root.join(name)
}

#[test]
fn a_chain_reads_each_cluster_from_its_layer() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    raw(&at("base.raw"), 1);
    create(at("mid.qed"), &over("base.raw", Format::Raw)).unwrap();
    create(at("top.qed"), &over("mid.qed", Format::Qed)).unwrap();
    for (name, offset, value) in [("mid.qed", 65536, 2), ("top.qed", 2 * 65536, 3)] {
        let image = open(at(name), &OpenOptions::default()).unwrap();
        image.pwrite(&[value; 65536], offset, Flags::NONE).unwrap();
        image.close().unwrap();
    }
    let image = open(at("top.qed"), &OpenOptions::default()).unwrap();
    assert_eq!(image.path(), Some(&*at("top.qed")));
    let read = |offset| {
        let mut byte = [0];
        image.pread(&mut byte, offset).unwrap();
        byte[0]
    };
    assert_eq!([0, 65536, 2 * 65536, SIZE - 1].map(read), [1, 2, 3, 1]);
}

#[test]
fn shorter_and_longer_backing_files_are_fine() {
    // A raw length that is no multiple of a sector is one, too: what lies behind it reads as
    // zeroes.
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    for length in [0, 301, 65536, 65537, 700_000] {
        fs::write(at("base.raw"), vec![9; length]).unwrap();
        let _ = fs::remove_file(at("top.qed"));
        create(at("top.qed"), &over("base.raw", Format::Raw)).unwrap();
        let image = open(at("top.qed"), &read_only()).unwrap();
        let mut disk = vec![0xee; usize::try_from(SIZE).unwrap()];
        image.pread(&mut disk, 0).unwrap();
        let inside = length.min(disk.len());
        assert!(disk[..inside].iter().all(|byte| *byte == 9), "{length}");
        assert!(disk[inside..].iter().all(|byte| *byte == 0), "{length}");
    }
}

#[test]
fn formats_without_a_word_on_them_are_found_by_magic() {
    // Goal: security 4. Method: four kinds of base under an image that does not say "raw".
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    naming(&at("top.qed"), "base", Format::Qed);
    let opened = || open(at("top.qed"), &read_only());
    qed_base(&at("base"), 4);
    assert_eq!(value_of(&opened().unwrap()), 4);
    for unknown in [&b""[..], b"QED", b"conectix", &[0; 4096]] {
        fs::write(at("base"), unknown).unwrap();
        let error = refusal(opened(), ErrorKind::Refused);
        assert!(error.to_string().contains("backing_format=raw"), "{error}");
        assert_eq!(error.file(), Some(&*at("base")));
    }
    fs::write(at("base"), b"QFI\xfb\0\0\0\x03").unwrap();
    let error = refusal(opened(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("the qcow2 header ends"), "{error}");
    assert_eq!(error.file(), Some(&*at("base")));
    fs::write(at("base"), b"QED\0 and no more").unwrap();
    let error = refusal(opened(), ErrorKind::Corrupt);
    assert_eq!(error.corruption(), Some(&Corruption::TruncatedHeader { length: 16 }));
    assert_eq!(error.file(), Some(&*at("base")));
}

#[test]
fn a_raw_base_is_raw_whatever_magic_the_guest_wrote() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    naming(&at("base.raw"), "/etc/passwd", Format::Raw);
    create(at("top.qed"), &over("base.raw", Format::Raw)).unwrap();
    let image = open(at("top.qed"), &with_policy(BackingPolicy::Follow)).unwrap();
    let mut start = [0; 4];
    image.pread(&mut start, 0).unwrap();
    assert_eq!(start, *b"QED\0");
}

#[test]
fn probing_tells_qed_and_qcow2_apart() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    naming(&at("a.qed"), "missing", Format::Qed);
    raw(&at("a.raw"), 0);
    assert_eq!(probe(at("a.qed")).unwrap(), Some(Format::Qed));
    assert_eq!(probe(at("a.raw")).unwrap(), None);
    assert_eq!(probe_file(&File::open(at("a.qed")).unwrap()).unwrap(), Some(Format::Qed));
    run("mkfifo", &[text(&at("fifo"))]);
    let error = refusal(probe(at("fifo")), ErrorKind::Refused);
    assert_eq!(error.file(), Some(&*at("fifo")));
    refusal(probe(at("missing")), ErrorKind::NotFound);
    let qcow2 = at("a.qcow2");
    let made = qemu("qemu-img", &["create", "-f", "qcow2", text(&qcow2), "1M"]);
    if made.is_some() {
        assert_eq!(probe(&qcow2).unwrap(), Some(Format::Qcow2));
        naming(&at("over.qed"), "a.qcow2", Format::Qed);
        assert_eq!(value_of(&open(at("over.qed"), &read_only()).unwrap()), 0);
    }
}

#[test]
fn a_chain_that_names_itself_is_found_at_once() {
    // Goal: D14. Method: cycles of one and of three, a second name for one file, and one that the
    // image itself is not part of.
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    let refused = |top: &str, names: [&str; 2]| {
        for options in [read_only(), OpenOptions::default()] {
            let error = refusal(open(at(top), &options), ErrorKind::Refused);
            let said = error.to_string();
            assert!(said.contains("the backing chain names itself"), "{said}");
            for name in names {
                assert!(said.contains(text(&at(name))), "{said} does not name {name}");
            }
        }
    };
    naming(&at("self.qed"), "self.qed", Format::Qed);
    refused("self.qed", ["self.qed", "self.qed"]);
    naming(&at("a.qed"), "b.qed", Format::Qed);
    naming(&at("b.qed"), "c.qed", Format::Qed);
    naming(&at("c.qed"), "a.qed", Format::Qed);
    refused("a.qed", ["c.qed", "a.qed"]);
    naming(&at("first.qed"), "second.qed", Format::Qed);
    fs::hard_link(at("first.qed"), at("second.qed")).unwrap();
    refused("first.qed", ["second.qed", "first.qed"]);
    naming(&at("above.qed"), "a.qed", Format::Qed);
    refused("above.qed", ["c.qed", "a.qed"]);
}

/// A raw base of one value under `layers` images, the last of which is returned.
fn chain(at: &impl Fn(&str) -> PathBuf, layers: u32) -> PathBuf {
    raw(&at("base.raw"), 0xcc);
    let mut below = "base.raw".to_owned();
    for layer in 1..=layers {
        let format = if layer == 1 { Format::Raw } else { Format::Qed };
        let name = format!("layer{layer}.qed");
        create(at(&name), &over(&below, format)).unwrap();
        below = name;
    }
    at(&below)
}

#[test]
fn long_chains_read_and_too_long_ones_are_refused() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    let top = chain(&at, 32);
    let mut options = OpenOptions::default();
    assert_eq!(value_of(&open(&top, &options).unwrap()), 0xcc);
    options.max_depth = 32;
    assert_eq!(value_of(&open(&top, &options).unwrap()), 0xcc);
    options.max_depth = 31;
    let error = refusal(open(&top, &options), ErrorKind::Refused);
    assert!(error.to_string().contains("more than 31 backing files"), "{error}");
    assert!(error.to_string().contains("max_depth would allow it"), "{error}");
    options.max_depth = 0;
    refusal(open(&top, &options), ErrorKind::Refused);
    options.max_depth = MAX_DEPTH + 1;
    refusal(open(&top, &options), ErrorKind::InvalidArgument);
}

#[test]
fn the_default_depth_is_64() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    let top = chain(&at, 65);
    refusal(open(&top, &OpenOptions::default()), ErrorKind::Refused);
    let image = open(at("layer64.qed"), &OpenOptions::default()).unwrap();
    assert_eq!(value_of(&image), 0xcc);
}

#[test]
fn the_deepest_chain_fits_on_a_small_stack() {
    // Goal: MAX_DEPTH is within what a thread can take. Method: open, read, ask, write over and
    // drop such a chain on a quarter of the usual stack.
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    let top = chain(&at, MAX_DEPTH);
    let work = move || {
        let mut options = OpenOptions::default();
        options.max_depth = MAX_DEPTH;
        options.lock = LockMode::Off;
        let image = open(&top, &options).unwrap();
        assert_eq!(value_of(&image), 0xcc);
        image.pwrite(&[0xcc; 100], 70_000, Flags::NONE).unwrap();
        image.write_zeroes(0, 512, Flags::NONE).unwrap();
        image.close().unwrap();
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(work).unwrap().join().unwrap();
}

#[test]
fn locks_keep_writers_and_readers_apart() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    qed_base(&at("base.qed"), 1);
    create(at("one.qed"), &over("base.qed", Format::Qed)).unwrap();
    create(at("two.qed"), &over("base.qed", Format::Qed)).unwrap();
    let one = open(at("one.qed"), &OpenOptions::default()).unwrap();
    let two = open(at("two.qed"), &OpenOptions::default()).unwrap();
    let error = refusal(open(at("one.qed"), &read_only()), ErrorKind::Locked);
    assert_eq!(error.file(), Some(&*at("one.qed")));
    refusal(open(at("base.qed"), &OpenOptions::default()), ErrorKind::Locked);
    refusal(inspect(at("one.qed"), &OpenOptions::default()), ErrorKind::Locked);
    inspect(at("base.qed"), &OpenOptions::default()).unwrap();
    open(at("base.qed"), &read_only()).unwrap();
    let mut off = OpenOptions::default();
    off.lock = LockMode::Off;
    open(at("base.qed"), &off).unwrap();
    drop(one);
    refusal(open(at("base.qed"), &OpenOptions::default()), ErrorKind::Locked);
    drop(two);
    let base = open(at("base.qed"), &OpenOptions::default()).unwrap();
    let error = refusal(open(at("one.qed"), &OpenOptions::default()), ErrorKind::Locked);
    assert_eq!(error.file(), Some(&*at("base.qed")), "{error}");
    base.close().unwrap();
    // What failed half way holds nothing.
    open(at("one.qed"), &OpenOptions::default()).unwrap();
}

#[test]
fn qemu_sees_our_locks() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    qed_base(&at("base.qed"), 1);
    create(at("top.qed"), &over("base.qed", Format::Qed)).unwrap();
    let image = open(at("top.qed"), &OpenOptions::default()).unwrap();
    let info = |name: &str| qemu("qemu-img", &["info", "-f", "qed", text(&at(name))]);
    let Some(output) = info("top.qed") else { return };
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("lock"), "{output:?}");
    assert!(info("base.qed").unwrap().status.success());
    image.close().unwrap();
    assert!(info("top.qed").unwrap().status.success());
}

#[test]
fn a_backing_file_by_descriptor_keeps_its_own_lock() {
    // The descriptor is used by two images; the first one's end must not unlock the second one's
    // base.
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    qed_base(&at("base.qed"), 1);
    for name in ["one.qed", "two.qed"] {
        naming(&at(name), "anything", Format::Qed);
    }
    let source = BackingSource::file(File::open(at("base.qed")).unwrap());
    let options = with_policy(BackingPolicy::Chain(vec![source]));
    let one = open(at("one.qed"), &options).unwrap();
    let two = open(at("two.qed"), &options).unwrap();
    drop(one);
    assert_eq!(value_of(&two), 1);
    refusal(open(at("base.qed"), &OpenOptions::default()), ErrorKind::Locked);
    drop(two);
    open(at("base.qed"), &OpenOptions::default()).unwrap();
}

/// The `O_*` flags of every descriptor of this process that leads to `path`.
fn flags_of(path: &Path) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fd").unwrap().flatten() {
        if fs::read_link(entry.path()).is_ok_and(|target| target == path) {
            let facts = Path::new("/proc/self/fdinfo").join(entry.file_name());
            let facts = fs::read_to_string(facts).unwrap();
            let flags = facts.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
            found.push(i32::from_str_radix(flags.trim(), 8).unwrap());
        }
    }
    found
}

#[test]
fn backing_files_are_read_only_and_nothing_is_inherited() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    raw(&at("base.raw"), 1);
    create(at("mid.qed"), &over("base.raw", Format::Raw)).unwrap();
    create(at("top.qed"), &over("mid.qed", Format::Qed)).unwrap();
    for policy in [BackingPolicy::Beneath, BackingPolicy::Follow] {
        let _image = open(at("top.qed"), &with_policy(policy)).unwrap();
        for (name, access) in
            [("top.qed", libc::O_RDWR), ("mid.qed", libc::O_RDONLY), ("base.raw", libc::O_RDONLY)]
        {
            let flags = flags_of(&at(name));
            assert!(!flags.is_empty(), "{name}");
            for flags in flags {
                assert_eq!(flags & libc::O_ACCMODE, access, "{name}");
                assert_eq!(flags & libc::O_NONBLOCK, 0, "{name}");
                assert_ne!(flags & libc::O_CLOEXEC, 0, "{name}");
            }
        }
    }
}

#[test]
fn backing_images_that_need_a_check_stay_as_they_are() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    qed_base(&at("base.qed"), 6);
    patch(&at("base.qed"), 16, &[2]);
    create(at("top.qed"), &over("base.qed", Format::Qed)).unwrap();
    let before = fs::read(at("base.qed")).unwrap();
    let image = open(at("top.qed"), &OpenOptions::default()).unwrap();
    assert_eq!(value_of(&image), 6);
    image.pwrite(&[6; 10], 3, Flags::NONE).unwrap();
    image.close().unwrap();
    assert!(fs::read(at("base.qed")).unwrap() == before);
    let layer = inspect(at("base.qed"), &OpenOptions::default()).unwrap();
    assert!(layer.info().unwrap().needs_check);
}

#[test]
fn looking_opens_no_backing_file() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    naming(&at("top.qed"), "/dev/null/../missing", Format::Raw);
    let before = fs::read(at("top.qed")).unwrap();
    let options = with_policy(BackingPolicy::Follow);
    let by_path = inspect(at("top.qed"), &options).unwrap();
    let by_file = inspect_file(File::open(at("top.qed")).unwrap(), &options).unwrap();
    assert_eq!(by_path.path(), Some(at("top.qed")));
    assert_eq!(by_file.path(), None);
    for layer in [by_path, by_file] {
        let info = layer.info().unwrap();
        let backing = info.backing.unwrap();
        assert_eq!(
            (&*backing.name, backing.format),
            (&b"/dev/null/../missing"[..], Some(Format::Raw))
        );
        assert_eq!(
            (info.virtual_size, info.qed.unwrap().features, info.read_only),
            (SIZE, 5, true)
        );
        assert_eq!(layer.size(), SIZE);
        let extents: Vec<_> =
            layer.extents(0, SIZE).unwrap().map(|extent| extent.unwrap()).collect();
        assert_eq!(extents.len(), 1);
        assert_eq!((extents[0].length, extents[0].kind), (SIZE, ExtentKind::Unallocated));
    }
    assert!(fs::read(at("top.qed")).unwrap() == before);
}

#[test]
fn the_image_itself_is_a_regular_file() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    qed_base(&at("a.qed"), 1);
    symlink("a.qed", at("link.qed")).unwrap();
    run("mkfifo", &[text(&at("fifo"))]);
    let mut options = OpenOptions::default();
    assert_eq!(value_of(&open(at("link.qed"), &options).unwrap()), 1);
    options.no_follow = true;
    assert_eq!(value_of(&open(at("a.qed"), &options).unwrap()), 1);
    let error = refusal(open(at("link.qed"), &options), ErrorKind::Refused);
    assert!(error.to_string().contains("no_follow"), "{error}");
    refusal(inspect(at("link.qed"), &options), ErrorKind::Refused);
    for name in ["fifo", "."] {
        refusal(open(at(name), &options), ErrorKind::Refused);
        refusal(inspect(at(name), &options), ErrorKind::Refused);
    }
    let null = || File::options().read(true).write(true).open("/dev/null").unwrap();
    refusal(open_file(null(), &options), ErrorKind::Refused);
    refusal(open(at("missing"), &options), ErrorKind::NotFound);
}

#[test]
fn descriptors_need_the_right_access() {
    let directory = tempdir().unwrap();
    let at = in_directory(&directory);
    qed_base(&at("a.qed"), 1);
    let read = || File::open(at("a.qed")).unwrap();
    refusal(open_file(read(), &OpenOptions::default()), ErrorKind::InvalidArgument);
    assert_eq!(value_of(&open_file(read(), &read_only()).unwrap()), 1);
    let image: io::Result<File> = File::options().read(true).write(true).open(at("a.qed"));
    let image: Image = open_file(image.unwrap(), &OpenOptions::default()).unwrap();
    assert_eq!(image.path(), None);
    image.close().unwrap();
}
