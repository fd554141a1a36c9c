//! Where the tables of an image stand, so that no entry can make a guest write over them.
//!
//! Found once, from the two tables that name all others, when an image is opened for writing; kept
//! up to date as tables come. Reading needs none of it: an entry may name any place of its own
//! file.

use std::collections::BTreeSet;
use std::io::IoSliceMut;
use std::ops::Range;

use super::fields::be64;
use super::header::Qcow2Header;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::Storage;

#[derive(Debug)]
pub(super) struct Places {
    cluster_bits: u32,
    /// The L1 table and the refcount table, in bytes of whole clusters.
    l1: Range<u64>,
    refcounts: Range<u64>,
    /// Clusters of the tables that the file held when it was opened, sorted.
    found: Vec<u64>,
    /// Clusters of the tables that were written since.
    written: BTreeSet<u64>,
}

impl Places {
    /// The tables of the image in `storage`.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] for a table outside the file and for one that two entries name; a
    /// failed read.
    pub(super) fn find(storage: &dyn Storage, header: &Qcow2Header) -> Result<Self> {
        let mut places = Self {
            cluster_bits: header.cluster_bits,
            l1: range(header.l1_offset, u64::from(header.l1_entries) * 8),
            refcounts: range(
                header.refcount_table_offset,
                u64::from(header.refcount_table_clusters) << header.cluster_bits,
            ),
            found: Vec::new(),
            written: BTreeSet::new(),
        };
        let length = storage.len().map_err(|error| Error::io("asking the file's length", error))?;
        let end = length.div_ceil(1 << header.cluster_bits);
        let l1 = places.l1.clone();
        places.l1 = places.whole(l1.clone());
        places.collect(storage, l1, L2_OFFSET, end)?;
        places.collect(storage, places.refcounts.clone(), REFCOUNT_OFFSET, end)?;
        places.found.sort_unstable();
        match places.found.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => {
                Err(broken("a qcow2 table is named twice").at(pair[0] << header.cluster_bits))
            }
            None => Ok(places),
        }
    }

    /// Adds what the entries of one table name.
    fn collect(
        &mut self,
        storage: &dyn Storage,
        table: Range<u64>,
        mask: u64,
        end: u64,
    ) -> Result<()> {
        let mut slice = vec![0; SLICE];
        let mut at = table.start;
        while at < table.end {
            let count = usize::try_from(table.end - at).unwrap_or(SLICE).min(SLICE);
            storage
                .read(&mut [IoSliceMut::new(&mut slice[..count])], at)
                .map_err(|error| Error::io("reading a table", error).at(at))?;
            for (index, entry) in (0..).zip(slice[..count].chunks_exact(8)) {
                let offset = be64(entry, 0)? & mask;
                if offset != 0 {
                    let cluster = self.legal(offset, end).ok_or_else(|| {
                        broken("a qcow2 table is misaligned, on other tables or outside the file")
                            .at(at + index * 8)
                    })?;
                    self.found.push(cluster);
                }
            }
            at += count as u64;
        }
        Ok(())
    }

    fn legal(&self, offset: u64, end: u64) -> Option<u64> {
        let cluster = offset >> self.cluster_bits;
        let aligned = cluster << self.cluster_bits == offset;
        let one = range(offset, 1 << self.cluster_bits);
        let apart = !meet(&one, &self.l1) && !meet(&one, &self.refcounts);
        (aligned && apart && cluster > 0 && cluster < end).then_some(cluster)
    }

    /// Whether guest data may be written to `length` bytes at `offset`, which an entry has named.
    pub(super) fn is_free_of_tables(&self, offset: u64, length: u64) -> bool {
        let clusters = self.clusters(offset, length);
        self.is_free_of_found(offset, length) && self.written.range(clusters).next().is_none()
    }

    /// The same for space that was just allocated to guest data.
    pub(super) fn allocated(&mut self, offset: u64, length: u64) -> bool {
        for cluster in self.clusters(offset, length) {
            self.written.remove(&cluster);
        }
        self.is_free_of_found(offset, length)
    }

    fn is_free_of_found(&self, offset: u64, length: u64) -> bool {
        let (bytes, clusters) = (range(offset, length), self.clusters(offset, length));
        let first = self.found.partition_point(|cluster| *cluster < clusters.start);
        let named = self.found.get(first).is_some_and(|cluster| *cluster < clusters.end);
        clusters.start > 0 && !named && !meet(&bytes, &self.l1) && !meet(&bytes, &self.refcounts)
    }

    /// A table of one cluster was written at `offset`; whether that is new.
    pub(super) fn table_written(&mut self, offset: u64) -> bool {
        let cluster = offset >> self.cluster_bits;
        self.found.binary_search(&cluster).is_err() && self.written.insert(cluster)
    }

    /// The header now says that the two tables stand there. What they leave is free.
    pub(super) fn moved(&mut self, l1: Range<u64>, refcounts: Range<u64>) {
        for old in [self.l1.clone(), self.refcounts.clone()] {
            for cluster in self.clusters(old.start, old.end - old.start) {
                self.written.remove(&cluster);
            }
        }
        (self.l1, self.refcounts) = (self.whole(l1), self.whole(refcounts));
    }

    /// The clusters that hold a range, in bytes.
    fn whole(&self, bytes: Range<u64>) -> Range<u64> {
        let clusters = self.clusters(bytes.start, bytes.end - bytes.start);
        clusters.start << self.cluster_bits..clusters.end << self.cluster_bits
    }

    fn clusters(&self, offset: u64, length: u64) -> Range<u64> {
        let end = offset.saturating_add(length);
        offset >> self.cluster_bits..end.div_ceil(1 << self.cluster_bits)
    }
}

pub(super) fn range(offset: u64, length: u64) -> Range<u64> {
    offset..offset.saturating_add(length)
}

fn meet(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

fn broken(message: &str) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}

/// The bits of an L1 entry that are an offset.
const L2_OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// The bits of a refcount table entry that are an offset.
const REFCOUNT_OFFSET: u64 = !0x1ff;
/// Bytes of a table that are looked at together.
const SLICE: usize = 1 << 16;
