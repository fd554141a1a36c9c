//! What cannot be served is refused by name, and bad headers by their numbers.

use std::sync::Arc;

use qed_core::storage::MemoryStorage;
use qed_core::{Error, ErrorKind, Flags};

use crate::rig::{TOOLS, create, file, folder, from_storage, has_tools, in_memory, qemu_io};

/// Opens `image` with `field` at `offset`.
fn patched(image: &[u8], offset: usize, field: &[u8], read_only: bool) -> Result<(), Error> {
    let mut bytes = image.to_vec();
    bytes[offset..offset + field.len()].copy_from_slice(field);
    let storage = Arc::new(MemoryStorage::from_bytes(&bytes));
    let opened = from_storage(storage.clone(), None, read_only).map(drop);
    assert_eq!(storage.to_bytes(), bytes, "opening changed the file");
    opened
}

fn refused(result: Result<(), Error>, kind: ErrorKind, word: &str) {
    let error = result.expect_err(word);
    assert!(error.kind() == kind && error.to_string().contains(word), "{error} lacks {word}");
}

/// Goal: each feature that is not built in is refused in words that name it, and what only a writer
/// must refuse can be read. Method: one field of a sound header is set.
#[test]
fn features_are_refused_by_name() {
    let image = in_memory(1 << 20, 65536).to_bytes();
    patched(&image, 0, b"QFI\xfb", false).unwrap();
    let unsupported = ErrorKind::Unsupported;
    let bits = |bits: u64| bits.to_be_bytes();
    for read_only in [true, false] {
        let feature = |bit| patched(&image, 72, &bits(bit), read_only);
        refused(feature(1 << 2), unsupported, "external data file");
        refused(feature(1 << 4), unsupported, "extended L2");
        refused(feature(1 << 5), unsupported, "0x20");
        refused(feature(1 << 63), unsupported, "0x8000000000000000");
        let crypt = |method: u32| patched(&image, 32, &method.to_be_bytes(), read_only);
        refused(crypt(1), unsupported, "AES");
        refused(crypt(2), unsupported, "LUKS");
        refused(crypt(3), ErrorKind::Corrupt, "encryption method 3");
        refused(patched(&image, 4, &[0, 0, 0, 4], read_only), unsupported, "version 4");
        let mut zstd = image.clone();
        zstd[79] = 1 << 3;
        refused(patched(&zstd, 104, &[1], read_only), unsupported, "zstd");
        refused(patched(&zstd, 104, &[7], read_only), unsupported, "type 7");
        refused(patched(&zstd, 104, &[0], read_only), ErrorKind::Corrupt, "contradicts");
    }
    refused(patched(&image, 79, &[1], false), unsupported, "dirty");
    patched(&image, 79, &[1], true).unwrap();
    refused(patched(&image, 79, &[2], false), ErrorKind::Damaged, "corrupt");
    patched(&image, 79, &[2], true).unwrap();
    refused(patched(&image, 4, &[0, 0, 0, 2], false), unsupported, "version 2");
    patched(&image, 4, &[0, 0, 0, 2], true).unwrap();
}

/// Goal: tables that are too large, misplaced or outside the file are refused before anything is
/// allocated by a header's word.
#[test]
fn hostile_tables_are_refused() {
    let image = in_memory(1 << 20, 65536).to_bytes();
    let corrupt = ErrorKind::Corrupt;
    let set = |offset, field: &[u8]| patched(&image, offset, field, true);
    refused(set(0, b"QED\0"), corrupt, "magic");
    for bits in [0, 8, 22, 31, 63, u32::MAX] {
        refused(set(20, &bits.to_be_bytes()), corrupt, "cluster size");
    }
    for entries in [0, (4 << 20) + 1, u32::MAX] {
        refused(set(36, &u32::to_be_bytes(entries)), corrupt, "L1 table");
    }
    refused(set(36, &(4_u32 << 20).to_be_bytes()), corrupt, "outside");
    for offset in [0, 65537, 1 << 20, 1 << 63, u64::MAX << 16] {
        refused(set(40, &u64::to_be_bytes(offset)), corrupt, "L1 table");
        refused(set(48, &u64::to_be_bytes(offset)), corrupt, "refcount table");
    }
    for clusters in [0, 129, u32::MAX] {
        refused(set(56, &u32::to_be_bytes(clusters)), corrupt, "refcount table");
    }
    refused(set(24, &u64::MAX.to_be_bytes()), corrupt, "L1 table");
    refused(set(96, &7_u32.to_be_bytes()), corrupt, "refcounts");
    for length in [0, 96, 105, 65544, u32::MAX] {
        refused(set(100, &u32::to_be_bytes(length)), corrupt, "header length");
    }
    refused(set(112, &[1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff]), corrupt, "extension");
    refused(set(8, &[0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]), corrupt, "backing name");
    refused(set(8, &[0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4, 0]), corrupt, "backing name");
    refused(set(8, &[0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 9]), corrupt, "NUL");
    refused(set(8, &[0xff; 12]), corrupt, "backing name");
}

/// Goal: a file that is cut anywhere is read as far as it goes or refused, and never a panic.
#[test]
fn truncated_files_do_no_harm() {
    let storage = in_memory(1 << 20, 4096);
    let disk = from_storage(storage.clone(), None, false).unwrap();
    disk.pwrite(&[7; 1 << 18], 4096, Flags::NONE).unwrap();
    disk.close().unwrap();
    let image = storage.to_bytes();
    let mut opened = 0;
    for length in (0..image.len()).step_by(509) {
        let cut = Arc::new(MemoryStorage::from_bytes(&image[..length]));
        for read_only in [true, false] {
            if let Ok(disk) = from_storage(cut.clone(), None, read_only) {
                opened += 1;
                let mut bytes = vec![0; 1 << 20];
                let _ = disk.pread(&mut bytes, 0);
                let _ = disk.pread(&mut bytes[..5000], 12_345);
            }
        }
        assert_eq!(cut.to_bytes(), image[..length], "reading changed the file");
    }
    assert!(opened > 0, "none could be opened");
}

/// Goal: an entry that names tables does not let the guest write over them. Method: the first data
/// entry is pointed at the header, the L1 table, the L2 table, the refcount table and its block.
#[test]
fn entries_that_name_tables_are_not_written_through() {
    let storage = in_memory(1 << 20, 65536);
    let disk = from_storage(storage.clone(), None, false).unwrap();
    disk.pwrite(&[7; 65536], 0, Flags::NONE).unwrap();
    disk.close().unwrap();
    let image = storage.to_bytes();
    let be = |at: usize| u64::from_be_bytes(image[at..at + 8].try_into().unwrap());
    let (l1, refcounts) = (be(40), be(48));
    let place = |offset: u64| usize::try_from(offset).unwrap();
    let l2 = be(place(l1)) & 0xff_ffff_ffff_fe00;
    let block = be(place(refcounts));
    for target in [l1, l2, refcounts, block, 1 << 40] {
        let mut bytes = image.clone();
        let entry = (target | 1 << 63).to_be_bytes();
        bytes[place(l2)..place(l2) + 8].copy_from_slice(&entry);
        let hostile = Arc::new(MemoryStorage::from_bytes(&bytes));
        let disk = from_storage(hostile.clone(), None, false).unwrap();
        let error = disk.pwrite(&[1; 512], 512, Flags::NONE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        disk.pread(&mut [0; 512], 512).unwrap();
        disk.close().unwrap();
        assert!(hostile.to_bytes() == bytes, "the tables have changed");
    }
}

/// Goal: feature refusals hold for images of QEMU's own making.
#[test]
fn images_with_foreign_features_are_refused() {
    if !has_tools(&TOOLS) {
        return;
    }
    let (_keep, folder) = folder();
    let data_file = format!("data_file={}", folder.join("data").display());
    let options = [
        ("extended_l2=on,cluster_size=64k", "extended L2"),
        ("compression_type=zstd", "zstd"),
        (&data_file, "external data file"),
    ];
    for (option, word) in options {
        let path = folder.join(word);
        create(&path, option, 1 << 20, &[]);
        let opened = from_storage(file(&path, false), None, true);
        refused(opened.map(drop), ErrorKind::Unsupported, word);
    }
    let path = folder.join("lazy");
    create(&path, "lazy_refcounts=on", 1 << 20, &[]);
    qemu_io(&path, "qcow2", &["write -P 5 0 64k".into()]);
    let disk = from_storage(file(&path, true), None, false).unwrap();
    disk.pwrite(&[6; 512], 512, Flags::NONE).unwrap();
    disk.close().unwrap();
}
