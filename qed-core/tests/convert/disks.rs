//! Disks for copies: made at random, opened, read whole.

use crate::dice::Dice;
use qed_core::{
    ConvertOptions, ConvertSource, ConvertTarget, CreateOptions, Disk, Flags, Format, OpenOptions,
    Result, convert, create,
};
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::Path;

pub(crate) const KIB: u64 = 1024;
pub(crate) const MIB: u64 = 1024 * KIB;

pub(crate) fn create_options(format: Format) -> CreateOptions {
    let mut options = CreateOptions::default();
    options.format = format;
    options
}

pub(crate) fn open(path: &Path, format: Format, read_only: bool) -> Disk {
    let mut options = OpenOptions::default();
    options.format = format;
    options.image.read_only = read_only;
    Disk::open(path, &options).unwrap()
}

/// All that a disk reads as.
pub(crate) fn content(disk: &Disk) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(disk.size()).unwrap()];
    disk.pread(&mut bytes, 0).unwrap();
    bytes
}

/// Bytes that say where they belong.
pub(crate) fn pattern(seed: u64, length: u64) -> Vec<u8> {
    let words = (0..length.div_ceil(8)).flat_map(|word| ((seed << 40) | (word + 1)).to_le_bytes());
    words.take(usize::try_from(length).unwrap()).collect()
}

/// A new disk of `size` bytes with data, written zeroes and holes in random places.
pub(crate) fn random_disk(path: &Path, format: Format, size: u64, dice: &mut Dice) {
    let mut options = create_options(format);
    options.size = Some(size);
    if format == Format::Qed {
        options.cluster_size = Some(dice.pick(&[4 * KIB, 16 * KIB, 64 * KIB, MIB]));
        options.table_size = Some(dice.pick(&[2, 4, 16]));
    }
    create(path, &options).unwrap();
    let disk = open(path, format, false);
    for seed in 0..dice.below(12) {
        let length = dice.pick(&[1, 500, 4 * KIB, 70_000, MIB + 5]).min(disk.size());
        let offset = dice.below(disk.size() - length + 1);
        match dice.below(4) {
            0 => disk.write_zeroes(offset, length, Flags::NONE).unwrap(),
            1 => disk
                .pwrite(&vec![0; usize::try_from(length).unwrap()], offset, Flags::NONE)
                .unwrap(),
            _ => disk.pwrite(&pattern(seed, length), offset, Flags::NONE).unwrap(),
        }
    }
    disk.close().unwrap();
    if format == Format::Raw && dice.one_in(2) {
        // No format but raw has odd sizes.
        File::options().write(true).open(path).unwrap().set_len(size).unwrap();
    }
}

/// How to copy, by chance.
pub(crate) fn random_options(dice: &mut Dice) -> ConvertOptions {
    let mut options = ConvertOptions::default();
    options.workers = usize::try_from(dice.pick(&[1, 2, 8, 64])).unwrap();
    options.in_order = dice.one_in(2);
    options.sparse_size = dice.pick(&[0, 512, 4 * KIB, 4 * KIB, 64 * KIB, 100_000, u64::MAX]);
    options
}

/// Copies one disk, and hears nothing of it.
pub(crate) fn copy(
    source: ConvertSource<'_>,
    target: ConvertTarget<'_>,
    options: &ConvertOptions,
) -> Result<u64> {
    convert(source, target, options, &mut |_, _| ControlFlow::Continue(()))
}

/// The names in a directory.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = entries.map(name).collect();
    names.sort();
    names
}
