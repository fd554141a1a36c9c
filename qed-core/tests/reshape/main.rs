//! Commit and rebase: what they leave, on disks and in every state of a crash.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]
#![allow(clippy::field_reassign_with_default)]

mod commit;
mod joint;
mod rebase;

use qed_core::crash::Random;
use qed_core::crash::workload::{PatternSource, empty_image};
use qed_core::source::Source;
use qed_core::storage::{MemoryStorage, Storage};
use qed_core::{Disk, Flags, Format, ImageSettings};
use std::ops::ControlFlow;
use std::sync::Arc;

pub(crate) const C: u64 = 4096;

/// Settings under which the same calls leave the same log.
pub(crate) fn settings() -> ImageSettings {
    let mut settings = ImageSettings::default();
    settings.background = false;
    settings
}

/// A disk in `storage`, over `below`.
pub(crate) fn disk(
    storage: Arc<dyn Storage>,
    format: Format,
    below: Option<Arc<dyn Source>>,
) -> Disk {
    Disk::from_storage(storage, format, below, settings()).unwrap()
}

/// An empty image in memory, with or without a backing file `base`.
pub(crate) fn image(cluster: u64, size: u64, backed: bool) -> Arc<MemoryStorage> {
    let features = if backed { 1 } else { 0 };
    Arc::new(MemoryStorage::from_bytes(&empty_image(cluster, 1, size, features)))
}

/// Some bytes that name themselves.
pub(crate) fn pattern(number: u64) -> PatternSource {
    PatternSource::new(number)
}

/// Writes, zeroes and discards, somewhere on the disk.
pub(crate) fn scribble(disk: &Disk, random: &mut Random, count: usize) {
    let size = disk.size();
    for _ in 0..count {
        let offset = random.word() % (size / 512) * 512;
        let most = 512 * (1 + random.below(24) as u64);
        let length = most.min(size - offset);
        match random.below(6) {
            0 => disk.discard(offset, length).unwrap(),
            1 => disk.write_zeroes(offset, length, Flags::MAY_UNMAP).unwrap(),
            _ => {
                let byte = u8::try_from(1 + random.below(255)).unwrap();
                let bytes = vec![byte; usize::try_from(length).unwrap()];
                disk.pwrite(&bytes, offset, Flags::NONE).unwrap();
            }
        }
    }
}

/// All bytes of a disk.
pub(crate) fn content(disk: &dyn Source) -> Vec<u8> {
    let mut bytes = vec![0xee; usize::try_from(disk.size()).unwrap()];
    disk.read(&mut bytes, 0).unwrap();
    bytes
}

/// Nobody watches.
pub(crate) fn quietly(_: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}
