//! Damaged images: any bytes may be offered. The answer is an error or a disk, never a panic.

use std::sync::Arc;

use qed_core::Flags;
use qed_core::qcow2::Qcow2Disk;
use qed_core::storage::MemoryStorage;

use crate::rig::{Dice, change, from_storage, in_memory, len};

const SIZE: u64 = 1 << 20;

/// A small image with something of everything that we can make.
fn image(cluster_size: u64) -> Vec<u8> {
    let storage = in_memory(SIZE, cluster_size);
    let disk = from_storage(storage.clone(), None, false).unwrap();
    let (mut plain, mut dice) = (vec![0; len(SIZE)], Dice::new(cluster_size));
    for _ in 0..30 {
        change(&disk, &mut plain, &mut dice, 60_000);
    }
    disk.close().unwrap();
    storage.to_bytes()
}

/// Bytes that look like entries: offsets, flags, whole ones and single bytes.
fn damage(bytes: &mut [u8], dice: &mut Dice, cluster_size: u64) {
    let length = bytes.len() as u64;
    for _ in 0..=dice.below(6) {
        // Mostly where entries stand: at the start of one of the first clusters.
        let cluster = dice.below(8) * cluster_size % length;
        let span = [length, 128, cluster_size.min(4096)][len(dice.below(3))];
        let at = (if span == length { 0 } else { cluster }) + dice.below(span) / 8 * 8;
        let at = len(at.min(length - 8));
        if dice.below(2) == 0 {
            bytes[at + len(dice.below(8))] = u8::try_from(dice.below(256)).unwrap();
            continue;
        }
        let target = dice.below(length / cluster_size + 3) * cluster_size;
        let flags = [0, 1 << 63, 1 << 62, 1, 3 << 62, 1 << 55][len(dice.below(6))];
        bytes[at..at + 8].copy_from_slice(&(target | flags).to_be_bytes());
    }
}

/// Goal: damage makes errors, not panics, and reading changes nothing. Method: seeded damage to
/// images of three cluster sizes; each is read whole, looked up, and, where it opens for writing,
/// changed and closed.
#[test]
fn damaged_images_make_errors_and_no_panics() {
    let mut opened = 0;
    for cluster_size in [512, 4096, 65536] {
        let sound = image(cluster_size);
        for seed in 0..400 {
            let mut dice = Dice::new(seed * 3 + cluster_size);
            let mut bytes = sound.clone();
            damage(&mut bytes, &mut dice, cluster_size);
            let storage = Arc::new(MemoryStorage::from_bytes(&bytes));
            if let Ok(disk) = from_storage(storage.clone(), None, true) {
                look(&disk);
                assert!(storage.to_bytes() == bytes, "seed {seed}: reading changed the file");
                opened += 1;
            }
            if let Ok(disk) = from_storage(storage, None, false) {
                for _ in 0..12 {
                    let (offset, length) = dice.range(disk.size().clamp(1, SIZE), 60_000);
                    let _ = match dice.below(4) {
                        0 => disk.write_zeroes(offset, length, Flags::MAY_UNMAP),
                        1 => disk.discard(offset, length),
                        _ => disk.pwrite(&vec![1; len(length)], offset, Flags::NONE),
                    };
                }
                look(&disk);
                let _ = disk.flush();
                let _ = disk.close();
            }
        }
    }
    assert!(opened > 100, "{opened} images could be opened: the damage is too heavy");
}

/// Reads the start of a disk and asks what its parts are.
fn look(disk: &Qcow2Disk) {
    let size = disk.size().min(2 * SIZE);
    let mut bytes = vec![0; 64 << 10];
    let mut at = 0;
    while at < size {
        let part = len((size - at).min(bytes.len() as u64));
        let _ = disk.pread(&mut bytes[..part], at);
        at += part as u64;
    }
    let mut at = 0;
    while at < size {
        let Ok(extent) = disk.own_extent(at, size - at) else { break };
        assert!(extent.length > 0 && extent.length <= size - at);
        at += extent.length;
    }
}
