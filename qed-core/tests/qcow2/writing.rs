//! Images that we write, judged by QEMU.

use std::sync::Arc;

use qed_core::qcow2::{Qcow2CreateSpec, Qcow2Disk, format_qcow2};
use qed_core::{ErrorKind, ExtentKind, Flags, Format, ImageSettings};

use crate::rig::{
    Dice, TOOLS, bytes_by_qemu, bytes_of, change, create, file, folder, fresh, from_storage,
    has_tools, in_memory, is_clean, len, open, qemu_io, same, succeed, text,
};

/// Goal: fresh images are sound, whatever the geometry, and as large as asked.
#[test]
fn fresh_images_are_clean_to_qemu() {
    if !has_tools(&TOOLS) {
        return;
    }
    let (_keep, folder) = folder();
    for bits in [9, 12, 16, 21] {
        for size in [0, 512, 1 << 20, 10 << 30, 100 << 30] {
            let path = folder.join(format!("{bits}-{size}"));
            fresh(&path, size, 1 << bits);
            is_clean(&path);
            let said = succeed("qemu-img", &["info", "-f", "qcow2", "--output=json", text(&path)]);
            assert!(said.contains(&format!("\"virtual-size\": {size},")), "{said}");
            assert!(said.contains("\"compat\": \"1.1\""), "{said}");
        }
    }
}

/// Goal: the name and format of a backing file reach QEMU unchanged.
#[test]
fn a_backing_file_is_named_in_a_fresh_image() {
    if !has_tools(&TOOLS) {
        return;
    }
    let (_keep, folder) = folder();
    let base = folder.join("base.raw");
    std::fs::write(&base, vec![9; 1 << 20]).unwrap();
    let path = folder.join("top");
    std::fs::File::create_new(&path).unwrap();
    let spec = Qcow2CreateSpec::new(1 << 20, 65536).unwrap();
    let spec = spec.with_backing(b"base.raw", Format::Raw).unwrap();
    format_qcow2(&*file(&path, true), &spec).unwrap();
    is_clean(&path);
    assert_eq!(bytes_by_qemu(&path, "qcow2"), vec![9; 1 << 20]);
    let short = Qcow2CreateSpec::new(1 << 20, 512).unwrap();
    let error = short.with_backing(&[b'x'; 400], Format::Raw).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

/// Goal: random writes, zeroes and discards read back, through us and through QEMU, and leave a
/// sound image. Method: plain bytes beside each disk; the image is opened again on the way.
#[test]
fn random_changes_read_back_and_leave_a_clean_image() {
    if !has_tools(&TOOLS) {
        return;
    }
    let (_keep, folder) = folder();
    for (seed, bits) in (1..).zip([9, 10, 12, 13, 16, 17, 20, 21]) {
        let size = (5 << 20) + 512 * 3;
        let path = folder.join(bits.to_string());
        fresh(&path, size, 1 << bits);
        let mut plain = vec![0; len(size)];
        let mut dice = Dice::new(seed);
        for _ in 0..4 {
            let disk = open(&path, None, false);
            for turn in 0..40 {
                change(&disk, &mut plain, &mut dice, 300_000);
                if turn % 16 == 0 {
                    disk.flush().unwrap();
                }
            }
            same(&bytes_of(&disk, 100_003), &plain, &format!("2^{bits}, open"));
            disk.close().unwrap();
            is_clean(&path);
        }
        same(&bytes_by_qemu(&path, "qcow2"), &plain, &format!("2^{bits}, QEMU"));
    }
}

/// Goal: images of QEMU's making are changed in place, and stay sound: refcounts of every width,
/// compressed clusters, a snapshot that must keep its own content.
#[test]
fn images_of_qemus_making_are_changed_soundly() {
    if !has_tools(&TOOLS) {
        return;
    }
    let (_keep, folder) = folder();
    let size = 4 << 20;
    for (seed, bits) in (1..).zip([1, 2, 4, 8, 16, 32, 64]) {
        let path = folder.join(bits.to_string());
        create(&path, &format!("cluster_size=4k,refcount_bits={bits}"), size, &[]);
        let commands = ["write -P 1 0 1M", "write -z 1M 1M", "write -P 2 3M 64k"];
        qemu_io(&path, "qcow2", &commands.map(String::from));
        // One snapshot needs refcounts of 2.
        let snapshot = bits > 1;
        if snapshot {
            succeed("qemu-img", &["snapshot", "-c", "then", text(&path)]);
        }
        let packed = (0..20).map(|at| format!("write -c -P 7 {} 4k", (2 << 20) + at * 4096));
        if bits > 4 {
            qemu_io(&path, "qcow2", &packed.collect::<Vec<_>>());
        }
        let then = bytes_by_qemu(&path, "qcow2");
        let (mut plain, mut dice) = (then.clone(), Dice::new(seed));
        let disk = open(&path, None, false);
        for _ in 0..80 {
            change(&disk, &mut plain, &mut dice, 100_000);
        }
        disk.close().unwrap();
        is_clean(&path);
        same(&bytes_by_qemu(&path, "qcow2"), &plain, &format!("{bits} refcount bits"));
        if snapshot {
            succeed("qemu-img", &["snapshot", "-a", "then", text(&path)]);
            let now = bytes_by_qemu(&path, "qcow2");
            assert!(now[..1 << 20].iter().all(|byte| *byte == 1), "the snapshot has changed");
            same(
                &now[3 << 20..],
                &{
                    let mut old = vec![0; 1 << 20];
                    old[..65536].fill(2);
                    old
                },
                "the snapshot's end",
            );
            is_clean(&path);
        }
    }
}

/// Goal: what is freed is used again. Method: the same megabyte is written and discarded over and
/// over; the file stays small.
#[test]
fn freed_clusters_are_used_again() {
    let storage = in_memory(64 << 20, 65536);
    let disk = from_storage(storage.clone(), None, false).unwrap();
    for round in 0..32 {
        disk.pwrite(&vec![round; 1 << 20], u64::from(round) << 20, Flags::NONE).unwrap();
        disk.discard(u64::from(round) << 20, 1 << 20).unwrap();
        assert_eq!(
            disk.own_extent(u64::from(round) << 20, 1).unwrap().kind,
            ExtentKind::Zero { file_offset: None }
        );
    }
    disk.close().unwrap();
    let length = qed_core::storage::Storage::len(&*storage).unwrap();
    assert!(length < 4 << 20, "{length} bytes for nothing");
}

/// Goal: zeroes allocate nothing where zeroes are read already.
#[test]
fn zeroes_over_nothing_allocate_nothing() {
    let disk = from_storage(in_memory(64 << 20, 65536), None, false).unwrap();
    disk.write_zeroes(100, 10 << 20, Flags::NONE).unwrap();
    disk.discard(0, 64 << 20).unwrap();
    assert_eq!(disk.own_extent(0, 64 << 20).unwrap().kind, ExtentKind::Unallocated);
}

/// Goal: writers in threads, on the same clusters too, lose nothing. Method: eight threads write
/// sectors that are theirs, all over a small disk, while one flushes and another discards what is
/// its own; afterwards every sector holds its owner's last word.
#[test]
fn concurrent_writers_lose_nothing() {
    for cluster_size in [512_u64, 4096, 65536] {
        const THREADS: u64 = 8;
        const SECTORS: u64 = 4096;
        let storage = in_memory(SECTORS * 512, cluster_size);
        // Of the smallest clusters there are more tables than may be held.
        let settings = ImageSettings { l2_cache_size: 0, ..ImageSettings::default() };
        let disk = Qcow2Disk::from_storage(storage.clone(), None, settings).unwrap();
        let disk = Arc::new(disk);
        let words: Vec<Vec<(u64, u8)>> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let disk = &disk;
                    scope.spawn(move || {
                        let mut dice = Dice::new(thread + cluster_size);
                        let mut last = std::collections::BTreeMap::new();
                        for turn in 0..300_u64 {
                            let sector = dice.below(SECTORS / THREADS) * THREADS + thread;
                            let word = (turn % 255) as u8 + 1;
                            let unmap = [Flags::NONE, Flags::MAY_UNMAP][len(turn % 2)];
                            if turn % 7 == 0 {
                                disk.write_zeroes(sector * 512, 512, unmap).unwrap();
                                last.insert(sector, 0);
                            } else {
                                disk.pwrite(&[word; 512], sector * 512, Flags::NONE).unwrap();
                                last.insert(sector, word);
                            }
                            if turn % 50 == 0 {
                                disk.flush().unwrap();
                            }
                        }
                        last.into_iter().collect()
                    })
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let mut plain = vec![0; len(SECTORS * 512)];
        for (sector, word) in words.into_iter().flatten() {
            plain[len(sector * 512)..len(sector * 512 + 512)].fill(word);
        }
        same(&bytes_of(&*disk, 65_536), &plain, &format!("{cluster_size}, open"));
        Arc::into_inner(disk).unwrap().close().unwrap();
        let again = from_storage(storage.clone(), None, true).unwrap();
        same(&bytes_of(&again, 65_536), &plain, &format!("{cluster_size}, again"));
        if has_tools(&TOOLS) {
            let (_keep, folder) = folder();
            let path = folder.join("a");
            std::fs::write(&path, storage.to_bytes()).unwrap();
            is_clean(&path);
        }
    }
}
