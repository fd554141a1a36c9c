//! What the qcow2 tests share: images on disk, plain bytes beside them, dice, and QEMU's judgement.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use qed_core::qcow2::{Qcow2CreateSpec, Qcow2Disk, Qcow2Info, format_qcow2};
use qed_core::source::Source;
use qed_core::storage::{FileMode, FileStorage, MemoryStorage, Storage};
use qed_core::{Flags, ImageSettings, Result};

use crate::qemu;

pub(crate) use crate::qemu::{has_tools, succeed, text};

pub(crate) const TOOLS: [&str; 2] = ["qemu-img", "qemu-io"];

/// A small generator; the same seed rolls the same numbers.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % limit
    }

    /// A range inside `size` bytes, of at most `most`, often aligned to something.
    pub(crate) fn range(&mut self, size: u64, most: u64) -> (u64, u64) {
        let grain = [1, 512, 4096, 65536][usize::try_from(self.below(4)).unwrap()];
        let offset = self.below(size) / grain * grain;
        let length = (1 + self.below(most)).next_multiple_of(grain);
        (offset, length.min(size - offset))
    }
}

pub(crate) fn len(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// The file at `path` through the page cache; nothing of it is forced to the disk.
pub(crate) fn file(path: &Path, writable: bool) -> Arc<FileStorage> {
    let file = File::options().read(true).write(writable).open(path).unwrap();
    let mode = FileMode { direct: false, writable, ignore_sync: true };
    Arc::new(FileStorage::new(file, mode).unwrap())
}

pub(crate) fn from_storage(
    storage: Arc<dyn Storage>,
    below: Option<Arc<dyn Source>>,
    read_only: bool,
) -> Result<Qcow2Disk> {
    Qcow2Disk::from_storage(storage, below, ImageSettings { read_only, ..ImageSettings::default() })
}

/// What the header of an open disk said.
pub(crate) fn facts(disk: &Qcow2Disk) -> Qcow2Info {
    disk.info().unwrap().qcow2.unwrap()
}

pub(crate) fn open(path: &Path, below: Option<Arc<dyn Source>>, read_only: bool) -> Qcow2Disk {
    from_storage(file(path, !read_only), below, read_only).unwrap().named(path)
}

/// All bytes of a disk, read in pieces of `piece`.
pub(crate) fn bytes_of(disk: &dyn Source, piece: usize) -> Vec<u8> {
    let mut bytes = vec![0xee; len(disk.size())];
    for (index, part) in bytes.chunks_mut(piece).enumerate() {
        disk.read(part, (index * piece) as u64).unwrap();
    }
    bytes
}

/// The same through qemu-img.
pub(crate) fn bytes_by_qemu(path: &Path, format: &str) -> Vec<u8> {
    let raw = path.with_extension("as-raw");
    succeed("qemu-img", &["convert", "-f", format, "-O", "raw", text(path), text(&raw)]);
    let bytes = fs::read(&raw).unwrap();
    fs::remove_file(&raw).unwrap();
    bytes
}

/// Creates an image with qemu-img; `more` are further arguments.
pub(crate) fn create(path: &Path, options: &str, size: u64, more: &[&str]) {
    let size = size.to_string();
    let mut arguments = vec!["create", "-q", "-f", "qcow2", "-o", options];
    arguments.extend(more);
    arguments.extend([text(path), &size]);
    succeed("qemu-img", &arguments);
}

pub(crate) fn qemu_io(path: &Path, format: &str, commands: &[String]) {
    qemu::io_succeeds(&["-f", format, text(path)], commands);
}

/// QEMU finds nothing wrong with an image, not even a leak.
pub(crate) fn is_clean(path: &Path) {
    let output = qemu::run("qemu-img", &["check", "-f", "qcow2", text(path)]);
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}\n{words}", qemu::outcome(&output));
}

/// A fresh image of ours in a file.
pub(crate) fn fresh(path: &Path, size: u64, cluster_size: u64) {
    File::create_new(path).unwrap();
    let spec = Qcow2CreateSpec::new(size, cluster_size).unwrap();
    format_qcow2(&*file(path, true), &spec).unwrap();
}

/// A fresh image of ours in memory.
pub(crate) fn in_memory(size: u64, cluster_size: u64) -> Arc<MemoryStorage> {
    let storage = Arc::new(MemoryStorage::new());
    format_qcow2(&*storage, &Qcow2CreateSpec::new(size, cluster_size).unwrap()).unwrap();
    storage
}

pub(crate) fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_path_buf();
    (folder, path)
}

/// One random change, made to the disk and to plain bytes.
pub(crate) fn change(disk: &Qcow2Disk, plain: &mut [u8], dice: &mut Dice, most: u64) {
    let (offset, length) = dice.range(disk.size(), most);
    let range = len(offset)..len(offset + length);
    match dice.below(8) {
        0 => {
            disk.write_zeroes(offset, length, Flags::NONE).unwrap();
            plain[range].fill(0);
        }
        1 => {
            disk.write_zeroes(offset, length, Flags::MAY_UNMAP).unwrap();
            plain[range].fill(0);
        }
        2 => {
            disk.discard(offset, length).unwrap();
            let size = facts(disk).cluster_size;
            let end = offset + length;
            let last = if end == disk.size() { end } else { end / size * size };
            let first = offset.next_multiple_of(size);
            if first < last {
                plain[len(first)..len(last)].fill(0);
            }
        }
        _ => {
            let seed = dice.below(255);
            let data: Vec<u8> =
                (0..length).map(|at| u8::try_from((at / 512 + seed) % 256).unwrap() | 1).collect();
            disk.pwrite(&data, offset, Flags::NONE).unwrap();
            plain[range].copy_from_slice(&data);
        }
    }
}

/// Where two disks differ, if they do.
pub(crate) fn same(found: &[u8], expected: &[u8], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    if let Some(at) = (0..found.len()).find(|&at| found[at] != expected[at]) {
        panic!("{what}: differs at {at}: {:#x}, not {:#x}", found[at], expected[at]);
    }
}
