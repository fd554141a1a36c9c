//! Chains of mixed formats, opened by path: every reader sees the same disk.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use qed_core::{
    CacheMode, CreateOptions, Disk, ErrorKind, ExtentKind, Flags, Format, OpenOptions, create,
    inspect,
};

use crate::rig::{
    Dice, TOOLS, bytes_by_qemu, bytes_of, folder, has_tools, is_clean, len, same, succeed, text,
};

const SIZE: u64 = (2 << 20) + 512;
const FORMATS: [Format; 3] = [Format::Raw, Format::Qed, Format::Qcow2];

fn options(format: Format, read_only: bool) -> OpenOptions {
    let mut options = OpenOptions::default();
    options.format = format;
    options.image.read_only = read_only;
    options
}

fn new_disk(path: &Path, format: Format, below: Option<(&str, Format)>, cluster_size: u64) {
    let mut options = CreateOptions::default();
    (options.format, options.size) = (format, Some(SIZE));
    if format != Format::Raw {
        options.cluster_size = Some(cluster_size);
    }
    if let Some((name, format)) = below {
        (options.backing, options.backing_format) = (Some(name.into()), Some(format));
    }
    create(path, &options).unwrap();
}

/// Random changes to the disk at `path`, and to plain bytes.
fn scribble(path: &Path, format: Format, plain: &mut [u8], dice: &mut Dice, turns: u64) {
    let disk = Disk::open(path, &options(format, false)).unwrap();
    assert_eq!(disk.format(), format);
    for turn in 0..turns {
        let (offset, length) = dice.range(SIZE, 150_000);
        let range = len(offset)..len(offset + length);
        match dice.below(6) {
            0 => disk.write_zeroes(offset, length, Flags::MAY_UNMAP).unwrap(),
            1 => disk.write_zeroes(offset, length, Flags::NONE).unwrap(),
            _ => {
                let data = vec![(turn % 250) as u8 + 1; len(length)];
                disk.pwrite(&data, offset, Flags::NONE).unwrap();
                plain[range].copy_from_slice(&data);
                continue;
            }
        }
        plain[range].fill(0);
    }
    disk.close().unwrap();
}

/// Goal: an overlay of any format over a base of any, with a third one on top, reads as plain bytes
/// do, through us and through QEMU, and every layer below stays as it was.
#[test]
fn mixed_chains_read_the_same_everywhere() {
    let with_qemu = has_tools(&TOOLS);
    let (_keep, folder) = folder();
    let mut seed = 0;
    for base in FORMATS {
        for middle in [Format::Qed, Format::Qcow2] {
            for top in [Format::Qed, Format::Qcow2] {
                seed += 1;
                let mut dice = Dice::new(seed);
                let name = |level: &str| format!("{seed}-{level}");
                let at = |level: &str| folder.join(name(level));
                let mut plain = vec![0; len(SIZE)];
                new_disk(&at("base"), base, None, 4096);
                scribble(&at("base"), base, &mut plain, &mut dice, 20);
                new_disk(&at("middle"), middle, Some((&name("base"), base)), 65536);
                scribble(&at("middle"), middle, &mut plain, &mut dice, 10);
                let below = [fs::read(at("base")).unwrap(), fs::read(at("middle")).unwrap()];
                new_disk(&at("top"), top, Some((&name("middle"), middle)), 16384);
                scribble(&at("top"), top, &mut plain, &mut dice, 10);
                let what = format!("{top} over {middle} over {base}");
                let disk = Disk::open(at("top"), &options(top, true)).unwrap();
                same(&bytes_of(&disk, 100_000), &plain, &what);
                let formats: Vec<_> = disk.layers().iter().map(|layer| layer.format).collect();
                assert_eq!(formats, [top, middle, base]);
                map_agrees(&disk, &plain, &what);
                drop(disk);
                if with_qemu {
                    same(&bytes_by_qemu(&at("top"), top.name()), &plain, &format!("{what}, QEMU"));
                }
                let after = [fs::read(at("base")).unwrap(), fs::read(at("middle")).unwrap()];
                assert!(after == below, "{what}: a backing file has changed");
                for (level, format) in [("middle", middle), ("top", top)] {
                    if with_qemu && format == Format::Qcow2 {
                        is_clean(&at(level));
                    }
                }
            }
        }
    }
}

/// What the map calls zeroes are zeroes, and the runs cover the disk.
fn map_agrees(disk: &Disk, plain: &[u8], what: &str) {
    let mut at = 0;
    for extent in disk.map(0, SIZE).unwrap() {
        let extent = extent.unwrap();
        assert_eq!(extent.offset, at, "{what}");
        at += extent.length;
        let bytes = &plain[len(extent.offset)..len(at)];
        let zero = bytes.iter().all(|byte| *byte == 0);
        assert!(zero || !extent.reads_zero(), "{what}: {extent:?} is not zero");
        assert!(extent.depth <= 2 && (extent.kind != ExtentKind::Unallocated || zero), "{what}");
    }
    assert_eq!(at, SIZE, "{what}");
}

/// Goal: chains that QEMU made open here without a word from the caller. Method: qcow2 over qed
/// over qcow2, one of them without a format in its name, which the magic then tells.
#[test]
fn chains_of_qemus_making_are_read() {
    if !has_tools(&TOOLS) {
        return;
    }
    let (_keep, folder) = folder();
    let at = |name: &str| folder.join(name);
    let make = |arguments: &[&str], path: &Path| {
        succeed("qemu-img", &[&["create", "-q"][..], arguments, &[text(path)]].concat());
    };
    let write = |format: &str, name: &str, command: &str| {
        succeed("qemu-io", &["-f", format, "-c", command, text(&at(name))]);
    };
    succeed("qemu-img", &["create", "-q", "-f", "qcow2", text(&at("a")), "1M"]);
    write("qcow2", "a", "write -c -P 1 0 64k");
    make(&["-f", "qed", "-b", "a", "-F", "qcow2"], &at("b"));
    write("qed", "b", "write -P 2 64k 64k");
    make(&["-f", "qcow2", "-o", "compat=0.10", "-b", "b", "-F", "qed"], &at("c"));
    write("qcow2", "c", "write -P 3 128k 10k");
    let disk = Disk::open(at("c"), &options(Format::Qcow2, true)).unwrap();
    same(&bytes_of(&disk, 70_000), &bytes_by_qemu(&at("c"), "qcow2"), "chain");
    let info = disk.info().unwrap();
    assert_eq!(info.backing.unwrap().format, Some(Format::Qed));
    assert_eq!((info.format, info.virtual_size), (Format::Qcow2, 1 << 20));
    let looked = inspect(at("c"), &options(Format::Qcow2, true)).unwrap();
    let kinds: Vec<_> = looked.extents(0, 1 << 20).unwrap().map(|e| e.unwrap().kind).collect();
    let data = matches!(kinds[1], ExtentKind::Data { file_offset: Some(_) });
    assert!(data && kinds[0] == ExtentKind::Unallocated && kinds.len() == 3, "{kinds:?}");
}

/// Goal: a backing format that is not built in is refused by name, in the image that names it.
#[test]
fn foreign_backing_formats_are_refused_by_name() {
    if !has_tools(&TOOLS) {
        return;
    }
    let (_keep, folder) = folder();
    let path = folder.join("a");
    succeed("qemu-img", &["create", "-q", "-f", "vmdk", text(&folder.join("v")), "1M"]);
    let create = ["create", "-q", "-f", "qcow2", "-b", "v", "-F", "vmdk", text(&path), "1M"];
    succeed("qemu-img", &create);
    let error = Disk::open(&path, &options(Format::Qcow2, true)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("\"vmdk\""), "{error}");
    assert_eq!(error.file(), Some(&*path));
}

/// Goal: locks, O_DIRECT and policies hold as they do for QED. Method: a writer beside a writer, a
/// backing file outside the directory, unaligned requests past the page cache.
#[test]
fn locks_policies_and_cache_modes_hold() {
    let (_keep, folder) = folder();
    let path = folder.join("a");
    new_disk(&path, Format::Qcow2, None, 4096);
    let writer = Disk::open(&path, &options(Format::Qcow2, false)).unwrap();
    let error = Disk::open(&path, &options(Format::Qcow2, false)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    drop(writer);
    new_disk(&folder.join("out"), Format::Qcow2, Some(("/etc/passwd", Format::Raw)), 65536);
    let error = Disk::open(folder.join("out"), &options(Format::Qcow2, true)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    for cache in [CacheMode::None, CacheMode::Directsync, CacheMode::Writethrough] {
        let mut plain = bytes_of(&Disk::open(&path, &options(Format::Qcow2, true)).unwrap(), 4096);
        let mut direct = options(Format::Qcow2, false);
        direct.image.cache = cache;
        let Ok(disk) = Disk::open(&path, &direct) else { continue };
        let mut dice = Dice::new(cache as u64);
        for turn in 0..40_u8 {
            let (offset, length) = (dice.below(SIZE - 5000), dice.below(5000));
            disk.pwrite(&vec![turn; len(length)], offset, Flags::FUA).unwrap();
            plain[len(offset)..len(offset + length)].fill(turn);
        }
        same(&bytes_of(&disk, 9999), &plain, "direct");
        disk.close().unwrap();
    }
    if has_tools(&TOOLS) {
        is_clean(&path);
    }
}

/// Goal: readers of one chain in many threads agree, while the top is written. Method: the base
/// never changes under the part that is read.
#[test]
fn a_chain_is_read_from_many_threads_at_once() {
    let (_keep, folder) = folder();
    let (base, top) = (folder.join("base"), folder.join("top"));
    let mut plain = vec![0; len(SIZE)];
    new_disk(&base, Format::Qcow2, None, 512);
    scribble(&base, Format::Qcow2, &mut plain, &mut Dice::new(5), 30);
    new_disk(&top, Format::Qcow2, Some(("base", Format::Qcow2)), 4096);
    let disk = Arc::new(Disk::open(&top, &options(Format::Qcow2, false)).unwrap());
    let half = SIZE / 2;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (disk, plain) = (&disk, &plain);
            scope.spawn(move || {
                let mut dice = Dice::new(thread);
                for turn in 0..150 {
                    let (offset, length) = (dice.below(half), dice.below(20_000) + 1);
                    if thread == 0 {
                        disk.pwrite(&vec![turn; len(length)], half + offset / 2, Flags::NONE)
                            .unwrap();
                        continue;
                    }
                    let length = length.min(half - offset);
                    let mut bytes = vec![0; len(length)];
                    disk.pread(&mut bytes, offset).unwrap();
                    same(&bytes, &plain[len(offset)..len(offset + length)], "read");
                }
            });
        }
    });
}

/// Goal: a qcow2 overlay that copies what it reads keeps what the guest wrote, hides what it hid,
/// and needs its base no more. Method: reads of all of it beside writes; then the base is wiped.
#[test]
fn reads_copy_where_that_is_asked_for() {
    let (_folder, directory) = folder();
    let at = |name: &str| directory.join(name);
    new_disk(&at("base"), Format::Raw, None, 65536);
    let mut plain = vec![0; len(SIZE)];
    scribble(&at("base"), Format::Raw, &mut plain, &mut Dice::new(3), 30);
    new_disk(&at("top"), Format::Qcow2, Some(("base", Format::Raw)), 16384);
    scribble(&at("top"), Format::Qcow2, &mut plain, &mut Dice::new(4), 8);
    let mut copying = options(Format::Qcow2, false);
    copying.image.copy_on_read = true;
    let disk = Disk::open(at("top"), &copying).unwrap();
    let absent = |disk: &Disk| {
        let extents = disk.extents(0, SIZE).unwrap().map(Result::unwrap);
        extents.filter(|extent| extent.kind == ExtentKind::Unallocated).count()
    };
    let before = absent(&disk);
    let mut found = vec![0; len(SIZE)];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in (0..128).rev() {
                disk.pwrite(&[0x77; 512], turn * 16384 + 1024, Flags::NONE).unwrap();
            }
        });
        disk.pread(&mut found, 0).unwrap();
    });
    for turn in 0..128 {
        plain[turn * 16384 + 1024..][..512].fill(0x77);
    }
    disk.pread(&mut found, 0).unwrap();
    assert!(found == plain);
    assert!(before > 0 && absent(&disk) < before);
    disk.close().unwrap();
    fs::write(at("base"), vec![0xff; 16384]).unwrap();
    let disk = Disk::open(at("top"), &options(Format::Qcow2, true)).unwrap();
    disk.pread(&mut found, 0).unwrap();
    assert!(found == plain, "it needs the base no more");
    copying.image.read_only = true;
    drop(disk);
    let refused = Disk::open(at("top"), &copying).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
}
