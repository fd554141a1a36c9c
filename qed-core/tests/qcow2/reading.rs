//! Images that QEMU made, read by both.

use std::sync::Arc;

use qed_core::ExtentKind;

use crate::rig::{
    Dice, TOOLS, bytes_by_qemu, bytes_of, create, facts, folder, has_tools, len, open, qemu_io,
    same, succeed, text,
};

const SIZE: u64 = 3 << 20;

/// Random writes and zeroes, as qemu-io commands.
fn scribble(dice: &mut Dice, zeroes: bool) -> Vec<String> {
    (0..24)
        .map(|turn| {
            let (offset, length) = dice.range(SIZE, 200_000);
            if zeroes && turn % 5 == 0 {
                format!("write -z {offset} {length}")
            } else {
                format!("write -P {} {offset} {length}", turn + 1)
            }
        })
        .collect()
}

/// Goal: every cluster size of both versions reads as QEMU reads it. Method: qemu-io scribbles,
/// qemu-img converts to raw, and the bytes are compared, read in pieces of odd sizes.
#[test]
fn images_of_every_cluster_size_read_as_qemu_reads_them() {
    if !has_tools(&TOOLS) {
        return;
    }
    let (_keep, folder) = folder();
    for bits in 9..=21 {
        for compat in ["0.10", "1.1"] {
            let path = folder.join(format!("{bits}-{compat}"));
            create(&path, &format!("cluster_size={},compat={compat}", 1 << bits), SIZE, &[]);
            qemu_io(&path, "qcow2", &scribble(&mut Dice::new(bits), compat == "1.1"));
            let disk = open(&path, None, true);
            assert_eq!(facts(&disk).cluster_size, 1 << bits);
            assert_eq!(facts(&disk).compat(), compat);
            let expected = bytes_by_qemu(&path, "qcow2");
            for piece in [len(SIZE), 70_001] {
                let what = format!("2^{bits} {compat} by {piece}");
                same(&bytes_of(&disk, piece), &expected, &what);
            }
        }
    }
}

/// Goal: compressed clusters are read, at any offset and length, and have no offset of their own.
#[test]
fn compressed_clusters_are_read() {
    if !has_tools(&TOOLS) {
        return;
    }
    let (_keep, folder) = folder();
    for cluster_size in ["512", "4k", "64k", "2M"] {
        let (plain, packed) = (folder.join("plain"), folder.join(format!("packed-{cluster_size}")));
        create(&plain, "cluster_size=64k", SIZE, &[]);
        qemu_io(&plain, "qcow2", &scribble(&mut Dice::new(7), true));
        let size = format!("cluster_size={cluster_size}");
        let arguments = ["convert", "-c", "-f", "qcow2", "-O", "qcow2", "-o", &size];
        succeed("qemu-img", &[&arguments[..], &[text(&plain), text(&packed)]].concat());
        let disk = open(&packed, None, true);
        same(&bytes_of(&disk, 12_345), &bytes_by_qemu(&packed, "qcow2"), cluster_size);
        let (mut at, mut compressed) = (0, 0);
        while at < SIZE {
            let extent = disk.own_extent(at, SIZE - at).unwrap();
            compressed += u64::from(extent.kind == ExtentKind::Data { file_offset: None });
            at += extent.length;
        }
        assert!(compressed > 0, "{cluster_size}: nothing is compressed");
    }
}

/// Goal: a snapshot inside the image does not change what the active disk reads as.
#[test]
fn the_active_disk_is_read_beside_a_snapshot() {
    if !has_tools(&TOOLS) {
        return;
    }
    let (_keep, folder) = folder();
    let path = folder.join("a");
    create(&path, "cluster_size=4k", SIZE, &[]);
    qemu_io(&path, "qcow2", &scribble(&mut Dice::new(1), true));
    succeed("qemu-img", &["snapshot", "-c", "then", text(&path)]);
    qemu_io(&path, "qcow2", &scribble(&mut Dice::new(2), true));
    let disk = open(&path, None, true);
    assert_eq!(facts(&disk).snapshots, 1);
    same(&bytes_of(&disk, 65_536), &bytes_by_qemu(&path, "qcow2"), "snapshot");
}

/// Goal: runs say what qemu-img map says. Method: a disk with one cluster of each kind.
#[test]
fn extents_tell_data_zeroes_and_nothing_apart() {
    if !has_tools(&TOOLS) {
        return;
    }
    let (_keep, folder) = folder();
    let path = folder.join("a");
    create(&path, "cluster_size=64k", SIZE, &[]);
    let commands = ["write -P 1 64k 128k", "write -z 256k 64k", "write -c -P 2 512k 64k"];
    qemu_io(&path, "qcow2", &commands.map(String::from));
    let disk = open(&path, None, true);
    let kinds = |from: u64| {
        let extent = disk.own_extent(from, SIZE - from).unwrap();
        (extent.length, extent.kind)
    };
    assert_eq!(kinds(0), (65536, ExtentKind::Unallocated));
    let (length, ExtentKind::Data { file_offset: Some(offset) }) = kinds(65536) else {
        panic!("no data")
    };
    assert_eq!(length, 131_072);
    let stored = std::fs::read(&path).unwrap();
    assert!(stored[len(offset)..len(offset + length)].iter().all(|byte| *byte == 1));
    assert_eq!(kinds(100_000).0, 196_608 - 100_000);
    assert_eq!(kinds(262_144), (65536, ExtentKind::Zero { file_offset: None }));
    assert_eq!(kinds(524_288), (65536, ExtentKind::Data { file_offset: None }));
    assert_eq!(kinds(589_824), (SIZE - 589_824, ExtentKind::Unallocated));
    assert!(disk.own_extent(0, SIZE + 1).is_err());
}

/// Goal: the facts are those of qemu-img info.
#[test]
fn info_names_what_the_header_says() {
    if !has_tools(&TOOLS) {
        return;
    }
    let (_keep, folder) = folder();
    let base = folder.join("base.raw");
    std::fs::write(&base, vec![1; 1 << 20]).unwrap();
    let path = folder.join("a");
    let options = "cluster_size=4k,lazy_refcounts=on,refcount_bits=8";
    create(&path, options, SIZE, &["-b", text(&base), "-F", "raw"]);
    let disk = open(&path, None, true);
    let info = facts(&disk);
    assert_eq!((info.virtual_size, info.refcount_bits, info.version), (SIZE, 8, 3));
    assert!(info.has_lazy_refcounts() && !info.is_dirty() && !info.is_corrupt());
    assert_eq!(info.feature_names(), ["lazy refcounts"]);
    let backing = info.backing.clone().unwrap();
    assert_eq!(backing.name, text(&base).as_bytes());
    assert_eq!(backing.format.unwrap(), b"raw");
}

/// Goal: an image without a byte of disk, and one of an odd size, can be opened.
#[test]
fn disks_may_be_empty_or_end_within_a_cluster() {
    if !has_tools(&TOOLS) {
        return;
    }
    let (_keep, folder) = folder();
    for size in [0, 512, 65_536 + 512] {
        let path = folder.join(size.to_string());
        create(&path, "cluster_size=64k", size, &[]);
        let disk = Arc::new(open(&path, None, true));
        assert_eq!(bytes_of(&*disk, 4096), vec![0; len(size)]);
    }
}
