//! The L1 table in memory, by slices that are read when they are first needed, and which clusters
//! hold tables.
//!
//! There is a place for every slice that a disk of this geometry can use: at most 2^12, for any
//! legal header. L1 slices are never evicted. Which clusters hold tables is known as far as slices
//! have been read; before a session writes anything it has read all of them ([`L1::complete`]), so
//! that nothing is written to a table in the belief that it is data (F3.5).

use std::io::IoSliceMut;
use std::sync::Arc;

use crate::addr::FileOffset;
use crate::error::{Corruption, Error, Result};
use crate::format::{Geometry, Header, L1Entry};
use crate::meta::space::ranges::RangeSet;
use crate::meta::space::refs::Refs;
use crate::meta::tables::slice::{Level, SLICE_BYTES, SLICE_ENTRIES, Slice};
use crate::storage::Storage;
use crate::sync::atomic::{AtomicU64, Ordering::SeqCst};
use crate::sync::{Mutex, OnceLock, Rank, RwLock};

#[derive(Debug)]
pub(crate) struct L1 {
    storage: Arc<dyn Storage>,
    slices: Box<[OnceLock<Arc<Slice>>]>,
    /// Where the table stands, in bytes of the file.
    offset: AtomicU64,
    geometry: Geometry,
    header_bytes: u64,
    /// Bytes of the file, as it was found, in which tables may lie.
    usable: u64,
    /// One slice is read at a time: of two tables that overlap the later one is bad.
    reading: Mutex<()>,
    /// Clusters that hold L2 tables.
    tables: RwLock<Refs>,
}

impl L1 {
    /// The L1 table of a file of `usable` bytes. Reads nothing.
    pub(crate) fn new(storage: Arc<dyn Storage>, header: &Header, usable: u64) -> Self {
        let geometry = header.geometry;
        let most = geometry.l1_entries_for(geometry.max_image_size()).div_ceil(ENTRIES);
        Self {
            storage,
            slices: (0..most).map(|_| OnceLock::new()).collect(),
            offset: AtomicU64::new(header.l1_table_offset.get()),
            geometry,
            header_bytes: header.header_bytes(),
            usable,
            reading: Mutex::new(Rank::Loading, ()),
            tables: RwLock::new(Rank::Tables, Refs::new()),
        }
    }

    /// The slice that holds entry `index`, and the entry's place in it; `None` where no disk of
    /// this geometry has such an entry.
    ///
    /// # Errors
    /// The slice cannot be read.
    pub(crate) fn place(&self, index: u64) -> Result<Option<(&Arc<Slice>, usize)>> {
        let entry = usize::try_from(index % ENTRIES).unwrap_or(0);
        Ok(self.slice(index / ENTRIES)?.map(|slice| (slice, entry)))
    }

    /// What entry `index` says.
    ///
    /// # Errors
    /// [`Corruption::L1Entry`] where it was found to be impossible; the slice cannot be read.
    pub(crate) fn entry(&self, index: u64) -> Result<L1Entry> {
        let Some((slice, entry)) = self.place(index)? else {
            return Ok(L1Entry::Empty);
        };
        let corrupt = |value| Error::from(Corruption::L1Entry { index, value });
        let word = slice.word(entry).map_err(corrupt)?;
        L1Entry::decode(word, self.geometry).ok_or_else(|| corrupt(word))
    }

    /// Whether entry `index` is known, without reading it, to name no table.
    pub(crate) fn is_known_empty(&self, index: u64) -> bool {
        let at = usize::try_from(index / ENTRIES).unwrap_or(usize::MAX);
        let slice = self.slices.get(at).and_then(OnceLock::get);
        let entry = usize::try_from(index % ENTRIES).unwrap_or(0);
        slice.is_some_and(|slice| slice.word(entry) == Ok(L1Entry::Empty.encode()))
    }

    /// Reads what is missing of the slices that a disk of `image_size` bytes uses. Answers whether
    /// L2 tables may have been read before all of them were.
    ///
    /// # Errors
    /// A slice cannot be read.
    pub(crate) fn complete(&self, image_size: u64) -> Result<bool> {
        let used = self.used(image_size);
        (0..used).try_for_each(|number| self.slice(number).map(drop))?;
        Ok(used > 1)
    }

    /// The words of the slices that a disk of `image_size` bytes uses, as they are now.
    ///
    /// # Errors
    /// A slice cannot be read.
    pub(crate) fn words(&self, image_size: u64) -> Result<impl Iterator<Item = u64>> {
        self.complete(image_size)?;
        let used = self.slices.iter().take(usize::try_from(self.used(image_size)).unwrap_or(0));
        Ok(used.filter_map(OnceLock::get).flat_map(|slice| {
            (0..SLICE_ENTRIES).map(|entry| slice.word(entry).unwrap_or_else(|bad| bad))
        }))
    }

    /// How many slices a disk of `image_size` bytes uses.
    fn used(&self, image_size: u64) -> u64 {
        self.geometry.l1_entries_for(image_size).div_ceil(ENTRIES)
    }

    fn slice(&self, number: u64) -> Result<Option<&Arc<Slice>>> {
        let Some(place) = usize::try_from(number).ok().and_then(|at| self.slices.get(at)) else {
            return Ok(None);
        };
        if let Some(slice) = place.get() {
            return Ok(Some(slice));
        }
        let _reading = self.reading.lock();
        if place.get().is_none() {
            let offset = FileOffset(self.offset.load(SeqCst) + number * SLICE_BYTES as u64);
            let bytes = read_slice(&*self.storage, offset)?;
            let slice = Slice::empty(Level::L1);
            slice.fill(number, offset, &bytes.0, |word| !self.take_table(word));
            // Set under the lock, here alone.
            let _ = place.set(Arc::new(slice));
        }
        Ok(place.get())
    }

    /// The slices in memory, ascending.
    pub(crate) fn loaded(&self) -> Vec<Arc<Slice>> {
        self.slices.iter().filter_map(OnceLock::get).cloned().collect()
    }

    /// From here on the table stands at `offset`. The writes of its slices are held, and nobody
    /// reads one.
    pub(crate) fn move_to(&self, offset: FileOffset) {
        self.offset.store(offset.get(), SeqCst);
        for (slice, number) in self.slices.iter().zip(0..) {
            if let Some(slice) = slice.get() {
                slice.move_to(FileOffset(offset.get() + number * SLICE_BYTES as u64));
            }
        }
    }

    /// Notes that a table stands at `offset`.
    pub(crate) fn add_table(&self, offset: FileOffset) {
        let first = self.geometry.file_cluster(offset).get();
        let mut tables = self.tables.write();
        for cluster in first..first + self.geometry.table_clusters() {
            tables.set(cluster);
        }
    }

    /// Notes that no table stands at `offset` any more.
    pub(crate) fn remove_table(&self, offset: FileOffset) {
        let first = self.geometry.file_cluster(offset).get();
        let mut tables = self.tables.write();
        for cluster in first..first + self.geometry.table_clusters() {
            tables.clear(cluster);
        }
    }

    /// Whether a cluster at `offset` is the header's, the L1 table's or an L2 table's (F3.5).
    pub(crate) fn is_metadata(&self, offset: u64) -> bool {
        self.lies_in_header_or_l1(offset) || {
            let cluster = self.geometry.file_cluster(FileOffset(offset));
            self.tables.read().contains(cluster.get())
        }
    }

    /// Calls `with` with [`is_metadata`](Self::is_metadata) made for many offsets.
    pub(crate) fn with_metadata<T>(
        &self,
        with: impl FnOnce(&mut dyn FnMut(u64) -> bool) -> T,
    ) -> T {
        let tables = self.tables.read();
        let mut probe = tables.probe();
        with(&mut |offset| {
            let cluster = self.geometry.file_cluster(FileOffset(offset));
            self.lies_in_header_or_l1(offset) || probe.contains(cluster.get())
        })
    }

    fn lies_in_header_or_l1(&self, offset: u64) -> bool {
        let start = self.offset.load(SeqCst);
        let l1 = start..start + self.geometry.table_bytes();
        offset < self.header_bytes || l1.contains(&offset)
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
    fn take_table(&self, word: u64) -> bool {
        let bytes = self.geometry.table_bytes();
        let end = word.checked_add(bytes);
        let aligned = matches!(L1Entry::decode(word, self.geometry), Some(L1Entry::Table(_)));
        if !aligned || word < self.header_bytes || end.is_none_or(|end| end > self.usable) {
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

/// A slice's bytes, aligned as direct I/O wants them.
#[repr(C, align(512))]
pub(crate) struct SliceBytes(pub(crate) [u8; SLICE_BYTES]);

/// The bytes of the slice at `offset`.
///
/// # Errors
/// The read failed.
pub(crate) fn read_slice(storage: &dyn Storage, offset: FileOffset) -> Result<SliceBytes> {
    let mut bytes = SliceBytes([0; SLICE_BYTES]);
    storage
        .read(&mut [IoSliceMut::new(&mut bytes.0)], offset.get())
        .map_err(|error| Error::io("reading a table", error).at(offset.get()))?;
    Ok(bytes)
}

const ENTRIES: u64 = SLICE_ENTRIES as u64;
