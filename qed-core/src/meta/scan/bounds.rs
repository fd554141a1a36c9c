//! What can be said of an entry without knowing any other: may it name what it names at all?
//!
//! The walk, which also knows what is taken, and the repair, which rewrites tables piece by piece
//! and keeps nothing, ask the same questions here (F3.2 to F3.5).

use crate::addr::FileOffset;
use crate::format::{Geometry, Header, L1Entry};
use std::ops::Range;

/// Where tables and clusters of one image may lie.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    pub geometry: Geometry,
    pub header_bytes: u64,
    /// The part of the file in which clusters may lie, in bytes (F3.4).
    pub usable: u64,
    /// The clusters of the L1 table.
    pub l1: Range<u64>,
}

/// What is wrong with an offset, before it is known whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is misaligned or outside the file.
    Dangling,
    /// It lies in the header, the L1 table or an L2 table.
    NamesMetadata,
    /// Another entry names it.
    Duplicate,
}

impl Bounds {
    pub(crate) fn new(header: &Header, file_length: u64) -> Self {
        let geometry = header.geometry;
        let first = geometry.file_cluster(header.l1_table_offset).get();
        Self {
            geometry,
            header_bytes: header.header_bytes(),
            usable: geometry.usable_length(file_length),
            l1: first..first + geometry.table_clusters(),
        }
    }

    /// The file cluster that the L2 entry `word`, which is neither 0 nor 1, may name.
    ///
    /// # Errors
    /// What is wrong with it whatever other entries say.
    pub(crate) fn data(&self, word: u64) -> Result<u64, Fault> {
        if !self.geometry.is_cluster_aligned(word) || !self.lies_inside(word, 1) {
            return Err(Fault::Dangling);
        }
        let cluster = self.geometry.file_cluster(FileOffset(word)).get();
        let fixed = word < self.header_bytes || self.l1.contains(&cluster);
        if fixed { Err(Fault::NamesMetadata) } else { Ok(cluster) }
    }

    /// The L2 table that the L1 entry `word`, which is not 0, may name.
    ///
    /// # Errors
    /// What is wrong with it whatever other entries say.
    pub(crate) fn table(&self, word: u64) -> Result<FileOffset, Fault> {
        let Some(L1Entry::Table(table)) = L1Entry::decode(word, self.geometry) else {
            return Err(Fault::Dangling);
        };
        if !self.lies_inside(word, self.geometry.table_clusters()) {
            return Err(Fault::Dangling);
        }
        let clusters = self.clusters_of(table);
        let in_l1 = clusters.start < self.l1.end && self.l1.start < clusters.end;
        let fixed = word < self.header_bytes || in_l1;
        if fixed { Err(Fault::NamesMetadata) } else { Ok(table) }
    }

    /// The clusters of a table.
    pub(crate) fn clusters_of(&self, table: FileOffset) -> Range<u64> {
        let first = self.geometry.file_cluster(table).get();
        first..first + self.geometry.table_clusters()
    }

    pub(crate) fn lies_inside(&self, offset: u64, clusters: u64) -> bool {
        let end = offset.checked_add(clusters * self.geometry.cluster_size());
        end.is_some_and(|end| end <= self.usable)
    }
}
