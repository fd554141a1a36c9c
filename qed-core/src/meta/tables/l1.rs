//! The L1 table in memory, whole, and which clusters hold tables.
//!
//! Only the entries that the image's size uses are kept: at most 2^21, 16 MiB, for any legal
//! header. L1 slices are never evicted. There is a place for each slice that the largest disk uses,
//! so that the disk can grow while look-ups go on without a lock.

use std::io::IoSliceMut;
use std::sync::{Arc, OnceLock};

use crate::addr::FileOffset;
use crate::error::{Corruption, Error, Result};
use crate::format::{Geometry, Header, L1Entry};
use crate::meta::space::ranges::RangeSet;
use crate::meta::space::refs::Refs;
use crate::meta::tables::slice::{SLICE_BYTES, SLICE_ENTRIES, Slice, SliceKey};
use crate::storage::Storage;
use crate::sync::{Rank, RwLock};

#[derive(Debug)]
pub(crate) struct L1 {
    slices: Box<[OnceLock<Arc<Slice>>]>,
    offset: FileOffset,
    geometry: Geometry,
    header_bytes: u64,
    /// Clusters that hold L2 tables.
    tables: RwLock<Refs>,
}

impl L1 {
    /// Reads the used part of the L1 table of a file of `usable` bytes.
    ///
    /// # Errors
    /// A read that failed.
    pub(crate) fn read(storage: &dyn Storage, header: &Header, usable: u64) -> Result<Self> {
        let geometry = header.geometry;
        let most = slices_for(geometry, geometry.max_image_size());
        let l1 = Self {
            slices: std::iter::repeat_with(OnceLock::new).take(most).collect(),
            offset: header.l1_table_offset,
            geometry,
            header_bytes: header.header_bytes(),
            tables: RwLock::new(Rank::Tables, Refs::new()),
        };
        l1.cover(storage, header.image_size, usable)?;
        Ok(l1)
    }

    /// Reads what of the table an image of `image_size` bytes uses and is not here yet, in a file
    /// of `usable` bytes. One call at a time.
    ///
    /// # Errors
    /// A read that failed.
    pub(crate) fn cover(&self, storage: &dyn Storage, image_size: u64, usable: u64) -> Result<()> {
        let used = slices_for(self.geometry, image_size);
        for (number, place) in (0..).zip(&self.slices[..used]) {
            if place.get().is_some() {
                continue;
            }
            let offset = FileOffset(self.offset.get() + number * SLICE_BYTES as u64);
            let bytes = read_slice(storage, offset)?;
            let slice = Slice::parse(SliceKey::L1(number), offset, &bytes, |word| {
                !self.take_table(word, usable)
            });
            place.get_or_init(|| Arc::new(slice));
        }
        Ok(())
    }

    /// The slice that holds entry `index`, and the entry's place in it.
    pub(crate) fn place(&self, index: u64) -> Option<(&Arc<Slice>, usize)> {
        let number = usize::try_from(index / SLICE_ENTRIES as u64).ok()?;
        let entry = usize::try_from(index % SLICE_ENTRIES as u64).ok()?;
        Some((self.slices.get(number)?.get()?, entry))
    }

    /// What entry `index` says.
    ///
    /// # Errors
    /// [`Corruption::L1Entry`] where it was found to be impossible.
    pub(crate) fn entry(&self, index: u64) -> Result<L1Entry> {
        let Some((slice, entry)) = self.place(index) else {
            return Ok(L1Entry::Empty);
        };
        let corrupt = |value| Error::from(Corruption::L1Entry { index, value });
        let word = slice.word(entry).map_err(corrupt)?;
        L1Entry::decode(word, self.geometry).ok_or_else(|| corrupt(word))
    }

    /// All words that an image of `image_size` bytes uses, as they are now, for a checksum.
    pub(crate) fn words(&self, image_size: u64) -> impl Iterator<Item = u64> {
        let used = slices_for(self.geometry, image_size);
        self.slices[..used].iter().filter_map(OnceLock::get).flat_map(|slice| {
            (0..SLICE_ENTRIES).map(|entry| slice.word(entry).unwrap_or_else(|bad| bad))
        })
    }

    /// Notes that a table stands at `offset`.
    pub(crate) fn add_table(&self, offset: FileOffset) {
        let first = self.geometry.file_cluster(offset).get();
        let mut tables = self.tables.write();
        for cluster in first..first + self.geometry.table_clusters() {
            tables.set(cluster);
        }
    }

    /// Whether a cluster at `offset` is the header's, the L1 table's or an L2 table's (F3.5).
    pub(crate) fn is_metadata(&self, offset: u64) -> bool {
        let l1 = self.offset.get()..self.offset.get() + self.geometry.table_bytes();
        let cluster = self.geometry.file_cluster(FileOffset(offset)).get();
        offset < self.header_bytes || l1.contains(&offset) || self.tables.read().contains(cluster)
    }

    /// Whether any of `ranges` holds part of an L2 table.
    pub(crate) fn tables_overlap(&self, ranges: &RangeSet) -> bool {
        let tables = self.tables.read();
        ranges.iter().any(|(start, count)| {
            let free: u64 = tables.gaps(start..start + count).map(|(_, length)| length).sum();
            free < count
        })
    }

    /// Claims the clusters of the table that `word` names; false where it can be none (F3.2, F3.4)
    /// or another entry's table overlaps it.
    fn take_table(&self, word: u64, usable: u64) -> bool {
        let bytes = self.geometry.table_bytes();
        let end = word.checked_add(bytes);
        let aligned = matches!(L1Entry::decode(word, self.geometry), Some(L1Entry::Table(_)));
        if !aligned || word < self.header_bytes || end.is_none_or(|end| end > usable) {
            return false;
        }
        let last = word + bytes - self.geometry.cluster_size();
        if self.is_metadata(word) || self.is_metadata(last) {
            return false;
        }
        self.add_table(FileOffset(word));
        true
    }
}

/// Slices of the L1 table that an image of `image_size` bytes uses.
fn slices_for(geometry: Geometry, image_size: u64) -> usize {
    let slices = geometry.l1_entries_for(image_size).div_ceil(SLICE_ENTRIES as u64);
    usize::try_from(slices).unwrap_or(usize::MAX)
}

/// The bytes of the slice at `offset`.
///
/// # Errors
/// The read failed.
pub(crate) fn read_slice(
    storage: &dyn Storage,
    offset: FileOffset,
) -> Result<Box<[u8; SLICE_BYTES]>> {
    let mut bytes = Box::new([0; SLICE_BYTES]);
    storage
        .read(&mut [IoSliceMut::new(&mut bytes[..])], offset.get())
        .map_err(|error| Error::io("reading a table", error).at(offset.get()))?;
    Ok(bytes)
}
