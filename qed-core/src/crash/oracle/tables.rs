//! An independent reader of QED images, written from `docs/format.md` and nothing else.
//!
//! Judges the structure of a crash state before anyone has repaired it: the header is whole,
//! every entry is aligned, inside the file, referenced once and no metadata. Says what the
//! guest reads by the tables as they stand. Where NEED_CHECK is set, data entries may name what
//! lies past the end: they are left out.

use crate::crash::medium::{Medium, PAGE, SECTOR};
use crate::crash::random::to_usize;
use std::fmt;

/// The fields of a header that no crash may change (F1): autoclear bits may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of a cluster.
    pub cluster: u64,
    /// Clusters of a table.
    pub table: u64,
    /// Clusters of the header.
    pub header_clusters: u64,
    /// Incompatible features.
    pub features: u64,
    /// Compatible features.
    pub compat: u64,
    /// Where the L1 table stands.
    pub l1: u64,
    /// Guest bytes.
    pub size: u64,
    /// Where the backing file's name stands.
    pub backing_words: u64,
}

/// A guest cluster's entry that is not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// The cluster reads as zeroes.
    Zero,
    /// The data stands at this byte of the file.
    Data(u64),
}

/// The tables of an image whose structure is sound.
#[derive(Clone, Debug)]
pub struct Tables {
    /// What the header says.
    pub shape: Shape,
    /// The autoclear bits.
    pub autoclear: u64,
    /// Guest clusters that have an entry, ascending.
    pub entries: Vec<(u64, Entry)>,
}

/// Who has a cluster of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Header,
    L1,
    L2(u64),
    Guest(u64),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("the header"),
            Self::L1 => f.write_str("the L1 table"),
            Self::L2(index) => write!(f, "L2 table {index}"),
            Self::Guest(cluster) => write!(f, "guest cluster {cluster}"),
        }
    }
}

const MAGIC: u64 = 0x0044_4551;
/// The feature bit that announces damage which a repair at open removes.
pub(super) const NEED_CHECK: u64 = 2;
/// The feature bit of a backing file, and that with the one that says it is raw.
const BACKING_FILE: u64 = 1;
const BACKING: u64 = 5;
const KNOWN_FEATURES: u64 = 7;
const KNOWN_AUTOCLEAR: u64 = 3 << 32;

impl Shape {
    /// The header of `medium`, as far as it says what the rest looks like.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(medium: &Medium) -> Result<Self, String> {
        let half = |offset: u64| medium.word(offset) & 0xffff_ffff;
        ensure(medium.length() >= 64 && half(0) == MAGIC, || "no QED header".to_owned())?;
        let shape = Self {
            cluster: half(4),
            table: half(8),
            header_clusters: half(12),
            features: medium.word(16),
            compat: medium.word(24),
            l1: medium.word(40),
            size: medium.word(48),
            backing_words: medium.word(56),
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
    #[must_use]
    pub fn without_check(&self) -> Self {
        Self { features: self.features & !NEED_CHECK, ..self.clone() }
    }

    /// The same without its backing file, whose name a stream drops.
    #[must_use]
    pub fn without_backing(&self) -> Self {
        Self { features: self.features & !BACKING, backing_words: 0, ..self.clone() }
    }

    /// The same over another backing file, named as `other` names one.
    #[must_use]
    pub fn over_that_of(&self, other: &Self) -> Self {
        Self { backing_words: other.backing_words, ..self.clone() }
    }

    /// What it calls its backing file, where it has one.
    #[must_use]
    pub fn backing_name(&self, medium: &Medium) -> Option<Vec<u8>> {
        let (place, length) = (self.backing_words & 0xffff_ffff, self.backing_words >> 32);
        (self.features & BACKING_FILE != 0)
            .then(|| medium.bytes(place, length.min(self.header_clusters * self.cluster)))
    }

    /// Whether NEED_CHECK is set.
    #[must_use]
    pub fn needs_check(&self) -> bool {
        self.features & NEED_CHECK != 0
    }

    /// Guest clusters of the disk.
    #[must_use]
    pub fn clusters(&self) -> u64 {
        self.size.div_ceil(self.cluster)
    }

    fn table_bytes(&self) -> u64 {
        self.table * self.cluster
    }
}

impl Tables {
    /// Reads the whole structure.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(medium: &Medium) -> Result<Self, String> {
        let shape = Shape::read(medium)?;
        let autoclear = medium.word(32);
        let unknown = autoclear & !KNOWN_AUTOCLEAR;
        ensure(unknown == 0, || format!("autoclear bits {unknown:#x}"))?;
        let usable = medium.length().div_ceil(SECTOR) * SECTOR / shape.cluster * shape.cluster;
        let mut claims = Claims { cluster: shape.cluster, usable, taken: Vec::new() };
        claims.claim(0, shape.header_clusters * shape.cluster, Owner::Header)?;
        claims.claim(shape.l1, shape.table_bytes(), Owner::L1)?;
        let mut tables = Vec::new();
        medium.words(shape.l1..shape.l1 + shape.table_bytes(), |index, table| {
            tables.push((index, table));
        });
        for (index, table) in &tables {
            claims.claim(*table, shape.table_bytes(), Owner::L2(*index))?;
        }
        let mut entries = Vec::new();
        for (index, table) in tables {
            let first = index * (shape.table_bytes() / 8);
            medium.words(table..table + shape.table_bytes(), |slot, word| {
                let entry = if word == 1 { Entry::Zero } else { Entry::Data(word) };
                entries.push((first + slot, entry));
            });
        }
        let dangles = |entry: &Entry| matches!(entry, Entry::Data(offset) if *offset >= usable);
        entries.retain(|(_, entry)| !(shape.needs_check() && dangles(entry)));
        for (cluster, entry) in &entries {
            if let Entry::Data(offset) = entry {
                claims.claim(*offset, shape.cluster, Owner::Guest(*cluster))?;
            }
        }
        claims.check()?;
        Ok(Self { shape, autoclear, entries })
    }

    /// A guest cluster's entry, if it is not 0.
    #[must_use]
    pub fn entry(&self, cluster: u64) -> Option<Entry> {
        let place = self.entries.binary_search_by_key(&cluster, |(cluster, _)| *cluster);
        place.ok().map(|place| self.entries[place].1)
    }

    /// The bytes of a guest cluster whose entry is `entry`.
    #[must_use]
    pub fn content(&self, medium: &Medium, entry: Entry) -> Vec<u8> {
        match entry {
            Entry::Zero => vec![0; to_usize(self.shape.cluster)],
            Entry::Data(offset) => medium.bytes(offset, self.shape.cluster),
        }
    }

    /// Where the file has the sector of a guest, if the tables map it to data.
    #[must_use]
    pub fn place(&self, sector: u64) -> Option<Option<u64>> {
        let cluster = sector * SECTOR / self.shape.cluster;
        match self.entry(cluster)? {
            Entry::Zero => Some(None),
            Entry::Data(offset) => {
                Some(Some((offset + sector * SECTOR % self.shape.cluster) / SECTOR))
            }
        }
    }

    /// The guest clusters whose entries differ from `other`'s, ascending.
    #[must_use]
    pub fn differing(&self, other: &Self) -> Vec<u64> {
        let (mut ours, mut theirs) =
            (self.entries.iter().peekable(), other.entries.iter().peekable());
        let mut found = Vec::new();
        loop {
            match (ours.peek(), theirs.peek()) {
                (Some(one), Some(two)) if one == two => {
                    ours.next();
                    theirs.next();
                }
                (Some((one, _)), Some((two, _))) => {
                    found.push(*one.min(two));
                    let (one, two) = (*one, *two);
                    ours.next_if(|_| one <= two);
                    theirs.next_if(|_| two <= one);
                }
                (Some((one, _)), None) => {
                    found.push(*one);
                    ours.next();
                }
                (None, Some((two, _))) => {
                    found.push(*two);
                    theirs.next();
                }
                (None, None) => return found,
            }
        }
    }

    /// The guest page (byte offset / 4096) whose data a page of the file holds, by `owners` (see
    /// [`Self::owners`]).
    #[must_use]
    pub fn guest_page(&self, page: u64, owners: &[(u64, u64)]) -> Option<u64> {
        let cluster = page * PAGE / self.shape.cluster;
        let place = owners.binary_search_by_key(&cluster, |(file, _)| *file).ok()?;
        let within = page * PAGE % self.shape.cluster;
        Some((owners[place].1 * self.shape.cluster + within) / PAGE)
    }

    /// The data clusters of the file and the guest clusters that they belong to, ascending.
    #[must_use]
    pub fn owners(&self) -> Vec<(u64, u64)> {
        let data = |(guest, entry): &(u64, Entry)| match entry {
            Entry::Data(offset) => Some((offset / self.shape.cluster, *guest)),
            Entry::Zero => None,
        };
        let mut owners: Vec<_> = self.entries.iter().filter_map(data).collect();
        owners.sort_unstable();
        owners
    }
}

/// Who says to have which cluster of the file.
struct Claims {
    cluster: u64,
    /// Bytes of the file's whole clusters.
    usable: u64,
    taken: Vec<(u64, Owner)>,
}

impl Claims {
    /// Takes `length` bytes at `offset`: they must be aligned and inside the file.
    fn claim(&mut self, offset: u64, length: u64, owner: Owner) -> Result<(), String> {
        let aligned = offset.is_multiple_of(self.cluster);
        ensure(aligned, || format!("{owner} is misaligned: {offset:#x}"))?;
        let inside = offset.checked_add(length).is_some_and(|end| end <= self.usable);
        ensure(inside, || format!("{owner} at {offset:#x} is past the end, {:#x}", self.usable))?;
        let clusters = offset / self.cluster..(offset + length) / self.cluster;
        self.taken.extend(clusters.map(|cluster| (cluster, owner)));
        Ok(())
    }

    /// Nobody shares a cluster.
    fn check(mut self) -> Result<(), String> {
        self.taken.sort_unstable();
        let shared = self.taken.windows(2).find(|pair| pair[0].0 == pair[1].0);
        shared.map_or(Ok(()), |pair| {
            let (cluster, one, other) = (pair[0].0, pair[0].1, pair[1].1);
            Err(format!("{other} and {one} share file cluster {cluster}"))
        })
    }
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}
