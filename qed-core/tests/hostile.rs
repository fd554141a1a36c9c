//! Any bytes may be offered as an image: the answer is a typed error or a working image.
//!
//! Goal: nothing panics, hangs, or loses what it accepted (`docs/security.md`). Method: sound
//! images with random damage to header, tables and length go through check, opening, reading,
//! writing and closing; what was written and acknowledged reads back, unless the damage was
//! consented to.

#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

use std::sync::Arc;

use proptest::prelude::*;
use qed_core::format::Geometry;
use qed_core::storage::{MemoryStorage, Storage};
use qed_core::{
    CreateSpec, ErrorKind, Flags, Image, ImageSettings, SafetyOptions, Trust, check_storage,
    format_storage, safety_check_storage,
};

const C: u64 = 4096;
const SIZE: u64 = 5 << 20;

/// A word of the image and what is put there.
#[derive(Clone, Debug)]
enum Damage {
    Header { at: usize, byte: u8 },
    Table { cluster: u64, entry: u64, word: u64 },
    Length(u64),
}

fn damage() -> impl Strategy<Value = Damage> {
    let word = prop_oneof![
        Just(0),
        Just(1),
        (0..40_u64).prop_map(|cluster| cluster * C),
        any::<u64>(),
        (0..64_u32).prop_map(|bit| 1 << bit),
        Just(!(C - 1)),
    ];
    prop_oneof![
        2 => (4..64_usize, any::<u8>()).prop_map(|(at, byte)| Damage::Header { at, byte }),
        4 => (1..4_u64, 0..24_u64, word)
            .prop_map(|(cluster, entry, word)| Damage::Table { cluster, entry, word }),
        1 => (0..40 * C).prop_map(Damage::Length),
    ]
}

/// An image with two tables, some data, and free space that its map knows of.
fn sound() -> Vec<u8> {
    let storage = Arc::new(MemoryStorage::new());
    let spec = CreateSpec::new(Geometry::new(C, 1).unwrap(), SIZE).unwrap();
    format_storage(&*storage, &spec).unwrap();
    let image = open(&storage, Trust::Normal, false).unwrap();
    for cluster in [0, 1, 2, 3, 7, 512, 513, 515] {
        image.pwrite(&[0x11; C as usize], cluster * C, Flags::NONE).unwrap();
    }
    image.flush().unwrap();
    image.discard(C, 2 * C).unwrap();
    image.close().unwrap();
    storage.to_bytes()
}

fn open(storage: &Arc<MemoryStorage>, trust: Trust, read_only: bool) -> qed_core::Result<Image> {
    let settings = ImageSettings {
        trust,
        read_only,
        background: false,
        tolerate_bad_entries: read_only,
        ..ImageSettings::default()
    };
    Image::from_storage(storage.clone(), None, settings)
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    match *damage {
        Damage::Header { at, byte } => {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        Damage::Table { cluster, entry, word } => {
            let at = (cluster * C + 8 * entry) as usize;
            if at + 8 <= bytes.len() {
                bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
            }
        }
        Damage::Length(length) => bytes.resize(length as usize, 0),
    }
}

/// Reads a few places, as far as the image reaches; errors are answers.
fn look(image: &Image) {
    let mut buffer = vec![0; 3 * C as usize];
    for offset in [0, C, 511 * C, 513 * C, image.size().saturating_sub(3 * C)] {
        let _ = image.pread(&mut buffer, offset);
    }
    let length = image.size().min(SIZE);
    let _ = image.extents(0, length).map(|extents| extents.take(10_000).count());
    let _ = image.info();
}

/// Writes, and answers what was acknowledged.
fn work(image: &Image) -> Vec<(u64, u8)> {
    let mut done = Vec::new();
    for (number, offset) in (1..).zip([0, C, 9 * C, 600 * C, 511 * C + 512, 7 * C + 5]) {
        if image.pwrite(&[number; 512], offset, Flags::NONE).is_ok() {
            done.push((offset, number));
        }
    }
    let _ = image.discard(3 * C, C);
    let _ = image.write_zeroes(513 * C, C, Flags::MAY_UNMAP);
    let _ = image.flush();
    done
}

/// Where a backing name is said to stand, how long it is, and bytes that are put there.
fn stray_name() -> impl Strategy<Value = (u32, u32, Vec<u8>)> {
    let c = C as u32;
    let offset = prop_oneof![
        Just(64),
        // In the header, over its end, in each table and cluster, at the file's end, past it.
        (0..60 * c).prop_map(|offset| offset),
        (0..20_u32, 0..16_u32)
            .prop_map(move |(cluster, before)| (cluster * c) - before.min(cluster)),
        Just(u32::MAX),
        any::<u32>(),
    ];
    let size =
        prop_oneof![1..40_u32, Just(0), 4000..4200_u32, Just(4095), Just(u32::MAX), any::<u32>()];
    let bytes = prop_oneof![
        prop::collection::vec(1..=255_u8, 0..64),
        prop::collection::vec(any::<u8>(), 0..4096),
        Just(b"../../../../etc/passwd".to_vec()),
        Just(b"/dev/zero\0".to_vec()),
        Just(vec![0xff; 4095]),
    ];
    (offset, size, bytes)
}

/// The bytes that a name is said to consist of; none where they are not all in the file.
fn named(bytes: &[u8], offset: u32, size: u32) -> Option<&[u8]> {
    bytes.get(offset as usize..(offset as usize).checked_add(size as usize)?)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    /// Goal: names behind the header clusters, as VirtualBox leaves them (F8), are read where they
    /// are names at all, and no image that has one is ever written. Method: names anywhere: over
    /// tables, past the end, with NULs, in no encoding.
    #[test]
    fn a_stray_backing_name_is_read_or_refused((offset, size, name) in stray_name()) {
        let mut bytes = sound();
        bytes[16] |= 1;
        bytes[56..60].copy_from_slice(&offset.to_le_bytes());
        bytes[60..64].copy_from_slice(&size.to_le_bytes());
        let room = bytes.len().saturating_sub(offset as usize);
        let count = name.len().min(size as usize).min(room);
        if offset >= 64 && count > 0 {
            bytes[offset as usize..][..count].copy_from_slice(&name[..count]);
        }
        let legal = offset >= 64 && (1..=4095).contains(&size);
        let found = named(&bytes, offset, size).filter(|name| legal && !name.contains(&0));
        let stray = u64::from(offset) + u64::from(size) > C;
        let storage = Arc::new(MemoryStorage::from_bytes(&bytes));
        let _ = check_storage(&*storage);
        let _ = safety_check_storage(&*storage, &SafetyOptions::default());
        match (open(&storage, Trust::Normal, true), found) {
            (Ok(image), Some(name)) => {
                look(&image);
                prop_assert_eq!(image.info().unwrap().backing.unwrap().name, name);
            }
            (Err(error), None) => prop_assert_eq!(error.kind(), ErrorKind::Corrupt, "{}", error),
            (opened, found) => prop_assert!(false, "{:?} with the name {:?}", opened, found),
        }
        for trust in [Trust::Untrusted, Trust::Normal, Trust::Damaged] {
            match open(&storage, trust, false) {
                Ok(_) => prop_assert!(found.is_some() && !stray),
                Err(error) if found.is_some() && stray => {
                    prop_assert_eq!(error.kind(), ErrorKind::Unsupported, "{}", error);
                }
                Err(_) => {}
            }
        }
        if stray || found.is_none() {
            prop_assert_eq!(&storage.to_bytes(), &bytes, "it was written to");
        }
    }

    #[test]
    fn no_damage_brings_the_engine_down(damages in prop::collection::vec(damage(), 1..5)) {
        let mut bytes = sound();
        for damage in &damages {
            apply(&mut bytes, damage);
        }
        let _ = check_storage(&MemoryStorage::from_bytes(&bytes));
        for trust in [Trust::Untrusted, Trust::Normal, Trust::Damaged] {
            let storage = Arc::new(MemoryStorage::from_bytes(&bytes));
            if let Ok(image) = open(&storage, trust, true) {
                look(&image);
            }
            prop_assert_eq!(&storage.to_bytes(), &bytes, "reading changed the file");
            let Ok(image) = open(&storage, trust, false) else { continue };
            look(&image);
            let done = work(&image);
            look(&image);
            let content = |image: &Image, offset| {
                let mut buffer = [0; 512];
                image.pread(&mut buffer, offset).map(|()| buffer)
            };
            // Only a scan that found nothing promises that no two clusters are one.
            if trust == Trust::Untrusted {
                for (offset, number) in &done {
                    prop_assert_eq!(content(&image, *offset).unwrap(), [*number; 512]);
                }
            }
            match image.close() {
                Ok(()) if trust == Trust::Untrusted && !done.is_empty() => {
                    let report = check_storage(&*storage).unwrap();
                    prop_assert_eq!(report.corruptions, 0);
                    let image = open(&storage, trust, true).unwrap();
                    for (offset, number) in &done {
                        prop_assert_eq!(content(&image, *offset).unwrap(), [*number; 512]);
                    }
                }
                _ => {}
            }
        }
    }

    #[test]
    fn no_bytes_at_all_bring_it_down(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
        let mut bytes = bytes;
        for magic in [false, true] {
            if magic && bytes.len() >= 4 {
                bytes[..4].copy_from_slice(b"QED\0");
            }
            let storage = Arc::new(MemoryStorage::from_bytes(&bytes));
            if let Err(error) = check_storage(&*storage) {
                prop_assert!(error.kind() != ErrorKind::Io, "{}", error);
            }
            if let Ok(image) = open(&storage, Trust::Normal, false) {
                look(&image);
            }
        }
    }
}

#[test]
fn a_sparse_giant_is_answered_at_once() {
    // The largest tables of all over a file of holes: 1 GiB of L1, clusters of 64 MiB.
    let storage = Arc::new(MemoryStorage::new());
    let spec = CreateSpec::new(Geometry::new(64 << 20, 16).unwrap(), 1 << 62).unwrap();
    format_storage(&*storage, &spec).unwrap();
    storage.set_len(1 << 60).unwrap();
    let image = open(&storage, Trust::Untrusted, false).unwrap();
    image.pwrite(&[5; 512], (1 << 62) - 512, Flags::NONE).unwrap();
    let mut found = [0; 512];
    image.pread(&mut found, (1 << 62) - 512).unwrap();
    assert_eq!(found, [5; 512]);
    image.close().unwrap();
    assert_eq!(check_storage(&*storage).unwrap().corruptions, 0);
}

#[test]
fn a_sound_image_accepts_everything() {
    // The precondition of the tests above: without damage all of the work is acknowledged.
    for trust in [Trust::Untrusted, Trust::Normal, Trust::Damaged] {
        let storage = Arc::new(MemoryStorage::from_bytes(&sound()));
        let image = open(&storage, trust, false).unwrap();
        assert_eq!(work(&image).len(), 6);
        image.close().unwrap();
    }
}
