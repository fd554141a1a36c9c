//! An independent reader of QED images, written from `docs/format.md` and nothing else.
//!
//! Judges the structure of a crash state before anyone has repaired it: the header is whole,
//! every entry is aligned, inside the file, referenced once and no metadata. Reads the
//! guest's bytes by the tables as they stand. Where NEED_CHECK is set, data entries may name what
//! lies past the end: they are left out.

use super::disk::{Disk, at};
use std::collections::BTreeMap;

/// The fields of a header that no crash may change (F1): autoclear bits may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub cluster: u64,
    pub table: u64,
    pub header_clusters: u64,
    pub features: u64,
    pub compat: u64,
    pub l1: u64,
    pub size: u64,
    pub backing_words: u64,
}

/// A guest cluster's entry that is not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    Zero,
    /// The data stands at this byte of the file.
    Data(u64),
}

/// An image whose structure is sound.
#[derive(Debug)]
pub struct Raw<'a> {
    pub disk: &'a Disk,
    pub shape: Shape,
    pub autoclear: u64,
    pub entries: BTreeMap<u64, Entry>,
    /// What each referenced cluster of the file is used for.
    pub used: BTreeMap<u64, String>,
}

const MAGIC: u64 = 0x0044_4551;
const NEED_CHECK: u64 = 2;
const KNOWN_FEATURES: u64 = 7;
const KNOWN_AUTOCLEAR: u64 = 3 << 32;

impl Shape {
    /// The header of `disk`, as far as it says what the rest looks like.
    pub fn read(disk: &Disk) -> Result<Self, String> {
        let half = |offset: u64| disk.word(offset) & 0xffff_ffff;
        ensure(disk.length() >= 64 && half(0) == MAGIC, || "no QED header".to_owned())?;
        let shape = Self {
            cluster: half(4),
            table: half(8),
            header_clusters: half(12),
            features: disk.word(16),
            compat: disk.word(24),
            l1: disk.word(40),
            size: disk.word(48),
            backing_words: disk.word(56),
        };
        let power = |number: u64, most: u64| number.is_power_of_two() && number <= most;
        let Self { cluster, table, header_clusters, features, l1, size, .. } = shape;
        ensure(cluster >= 4096 && power(cluster, 64 << 20), || format!("cluster size {cluster}"))?;
        ensure(power(table, 16), || format!("table size {table}"))?;
        let header_bytes = header_clusters * cluster;
        ensure(header_clusters >= 1 && header_bytes < 1 << 32, || "header size".to_owned())?;
        ensure(features & !KNOWN_FEATURES == 0, || format!("features {features:#x}"))?;
        ensure(l1.is_multiple_of(cluster) && l1 >= header_bytes, || {
            format!("L1 table at {l1:#x}")
        })?;
        ensure(size.is_multiple_of(512), || format!("image size {size}"))?;
        Ok(shape)
    }

    /// The same but for NEED_CHECK, which is cleared when what it announces is repaired (F5).
    pub fn without_check(&self) -> Self {
        Self { features: self.features & !NEED_CHECK, ..self.clone() }
    }

    fn needs_check(&self) -> bool {
        self.features & NEED_CHECK != 0
    }

    fn table_bytes(&self) -> u64 {
        self.table * self.cluster
    }

    fn table_entries(&self) -> u64 {
        self.table_bytes() / 8
    }
}

impl<'a> Raw<'a> {
    /// Reads the whole structure, or says what is wrong with it.
    pub fn read(disk: &'a Disk) -> Result<Self, String> {
        let shape = Shape::read(disk)?;
        let autoclear = disk.word(32);
        let unknown = autoclear & !KNOWN_AUTOCLEAR;
        ensure(unknown == 0, || format!("autoclear bits {unknown:#x}"))?;
        let (entries, used) = (BTreeMap::new(), BTreeMap::new());
        let mut raw = Self { disk, shape, autoclear, entries, used };
        let header_bytes = raw.shape.header_clusters * raw.shape.cluster;
        raw.claim(0, header_bytes, "the header")?;
        raw.claim(raw.shape.l1, raw.shape.table_bytes(), "the L1 table")?;
        let tables = raw.words(raw.shape.l1);
        for (index, table) in &tables {
            raw.claim(*table, raw.shape.table_bytes(), &format!("L2 table {index}"))?;
        }
        for (index, table) in tables {
            for (slot, entry) in raw.words(table) {
                let cluster = index * raw.shape.table_entries() + slot;
                if raw.shape.needs_check() && entry >= disk.length() {
                    continue;
                }
                if entry != 1 {
                    raw.claim(entry, raw.shape.cluster, &format!("guest cluster {cluster}"))?;
                }
                let entry = if entry == 1 { Entry::Zero } else { Entry::Data(entry) };
                raw.entries.insert(cluster, entry);
            }
        }
        Ok(raw)
    }

    /// The entries of a table that are not 0.
    fn words(&self, table: u64) -> Vec<(u64, u64)> {
        let bytes = self.disk.bytes(table, self.shape.table_bytes());
        let words = bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
        (0..).zip(words).filter(|(_, word)| *word != 0).collect()
    }

    /// Takes `length` bytes at `offset` for `user`: aligned, inside the file, not taken yet.
    fn claim(&mut self, offset: u64, length: u64, user: &str) -> Result<(), String> {
        let cluster = self.shape.cluster;
        ensure(offset.is_multiple_of(cluster), || format!("{user} is misaligned: {offset:#x}"))?;
        let usable = self.disk.length().div_ceil(512) * 512 / cluster * cluster;
        let inside = offset.checked_add(length).is_some_and(|end| end <= usable);
        ensure(inside, || format!("{user} at {offset:#x} is past the end, {usable:#x}"))?;
        for index in offset / cluster..(offset + length) / cluster {
            if let Some(other) = self.used.insert(index, user.to_owned()) {
                return Err(format!("{user} and {other} share file cluster {index}"));
            }
        }
        Ok(())
    }

    /// The bytes of a guest cluster whose entry is `entry`.
    pub fn content(&self, entry: Entry) -> Vec<u8> {
        match entry {
            Entry::Zero => vec![0; at(self.shape.cluster)],
            Entry::Data(offset) => self.disk.bytes(offset, self.shape.cluster),
        }
    }
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}
