//! The one walk over all tables: for checking, for repair at opening, for finding free space (F6).
//!
//! First the header, the L1 table and every L2 table it names are marked, then every data cluster,
//! so that an entry into a table is seen whichever comes first. What an entry names is marked also
//! where the entry is damage: such a cluster is in nobody's free set (C15). A table is read once
//! and only where it is legal. Nothing is changed here; bad entries are handed to the caller as
//! they are found.
//!
//! Two kinds of bad entry: dangling ones name nothing that a table or cluster could be, a crash of
//! another writer leaves them (F5), and 0 repairs them; damage names what is in use already, and no
//! rule says which of the two references is right (C12a).

pub(crate) mod owners;
pub(crate) mod pieces;
pub(crate) mod repair;

use crate::addr::{FileOffset, GuestCluster};
use crate::error::{Corruption, Error, Result};
use crate::format::{Geometry, Header, L1Entry, L2Entry};
use crate::meta::scan::pieces::Pieces;
use crate::meta::space::refs::Refs;
use crate::storage::Storage;
use std::ops::Range;
use std::result::Result as StdResult;

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryPlace {
    /// The L1 table's entry of this index.
    L1(u64),
    /// The L2 entry of this guest cluster.
    L2(GuestCluster),
}

/// An entry that breaks the format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadEntry {
    pub place: EntryPlace,
    pub fault: Corruption,
}

impl BadEntry {
    /// Whether the entry names nothing, so that 0 repairs it.
    pub(crate) fn is_dangling(&self) -> bool {
        matches!(self.fault, Corruption::L1Entry { .. } | Corruption::L2Entry { .. })
    }
}

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Every cluster that the header, the tables or an entry takes.
    pub refs: Refs,
    /// Those of them that are header clusters or tables.
    pub metadata: Refs,
    /// L2 entries that are neither 0 nor 1, bad ones included.
    pub allocated: u64,
    /// Of these, the ones not directly behind the one before them in the same table.
    pub fragmented: u64,
    /// Bad entries that 0 repairs.
    pub dangling: u64,
    /// Bad entries that nothing repairs.
    pub damage: u64,
    /// Tables that could not be read, whole or in part: what they name is missing here.
    pub unreadable: u64,
    /// Why the first of them could not be read.
    pub first_unreadable: Option<Error>,
    /// The highest referenced cluster of the file + 1.
    pub end: u64,
}

impl Scan {
    /// Whether every table was read: only then is what `refs` leaves out free.
    pub(crate) fn is_complete(&self) -> bool {
        self.unreadable == 0
    }
}

/// Walks all tables of the image in `storage`, whose file has `file_length` bytes.
///
/// # Errors
/// [`Corruption::L1Offset`] where the L1 table does not lie inside the file, and whatever `visit`
/// answers: that ends the walk. A table that cannot be read is counted and does not end it.
pub(crate) fn scan(
    storage: &dyn Storage,
    header: &Header,
    file_length: u64,
    visit: &mut dyn FnMut(BadEntry) -> Result<()>,
) -> Result<Scan> {
    scan_while(storage, header, file_length, &mut || Ok(()), visit)
}

/// The same walk, with `go_on` asked before each piece of a table: its error ends the walk.
pub(crate) fn scan_while(
    storage: &dyn Storage,
    header: &Header,
    file_length: u64,
    go_on: &mut dyn FnMut() -> Result<()>,
    visit: &mut dyn FnMut(BadEntry) -> Result<()>,
) -> Result<Scan> {
    let mut walk = Walk {
        geometry: header.geometry,
        header_bytes: header.header_bytes(),
        usable: header.geometry.usable_length(file_length),
        found: Scan::default(),
        go_on,
        visit,
    };
    walk.mark_header(header)?;
    let mut pieces = Pieces::new(storage);
    for (l1_index, table) in walk.walk_l1(&mut pieces, header.l1_table_offset)? {
        walk.walk_l2(&mut pieces, l1_index, table)?;
    }
    let mut found = walk.found;
    found.end = found.refs.highest().map_or(0, |cluster| cluster + 1);
    Ok(found)
}

struct Walk<'a> {
    geometry: Geometry,
    header_bytes: u64,
    usable: u64,
    found: Scan,
    go_on: &'a mut dyn FnMut() -> Result<()>,
    visit: &'a mut dyn FnMut(BadEntry) -> Result<()>,
}

/// What is wrong with an offset, before it is known whose it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Dangling,
    NamesMetadata,
    Duplicate,
}

impl Walk<'_> {
    fn mark_header(&mut self, header: &Header) -> Result<()> {
        let l1 = header.l1_table_offset;
        if !self.lies_inside(l1.get(), self.geometry.table_clusters()) {
            return Err(Corruption::L1Offset { found: l1.get() }.into());
        }
        self.mark_metadata(FileOffset(0), header.header_clusters.into());
        self.mark_metadata(l1, self.geometry.table_clusters());
        Ok(())
    }

    /// Marks every L2 table and answers the legal ones, in guest order.
    fn walk_l1(
        &mut self,
        pieces: &mut Pieces<'_>,
        l1: FileOffset,
    ) -> Result<Vec<(u64, FileOffset)>> {
        let l1_clusters = self.clusters_of(l1, self.geometry.table_clusters());
        let mut tables = Vec::new();
        let mut readable = true;
        pieces.start(l1, self.geometry.table_bytes());
        (self.go_on)()?;
        while let Some(piece) = pieces.next() {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    self.note_unreadable(error, &mut readable);
                    continue;
                }
            };
            for (l1_index, word) in (piece.first..).zip(piece.words) {
                let word = u64::from_le_bytes(*word);
                if word == L1Entry::Empty.encode() {
                    continue;
                }
                match self.take_table(word, &l1_clusters) {
                    Ok(table) => tables.push((l1_index, table)),
                    Err(fault) => self.bad_l1_entry(l1_index, word, fault)?,
                }
            }
            (self.go_on)()?;
        }
        Ok(tables)
    }

    fn take_table(&mut self, word: u64, l1_clusters: &Range<u64>) -> StdResult<FileOffset, Fault> {
        let Some(L1Entry::Table(table)) = L1Entry::decode(word, self.geometry) else {
            return Err(Fault::Dangling);
        };
        self.check_place(word, self.geometry.table_clusters())?;
        let clusters = self.clusters_of(table, self.geometry.table_clusters());
        if self.mark_metadata(table, self.geometry.table_clusters()) {
            return Ok(table);
        }
        let in_l1 = clusters.start < l1_clusters.end && l1_clusters.start < clusters.end;
        Err(if in_l1 { Fault::NamesMetadata } else { Fault::Duplicate })
    }

    fn walk_l2(&mut self, pieces: &mut Pieces<'_>, l1_index: u64, table: FileOffset) -> Result<()> {
        let cluster_size = self.geometry.cluster_size();
        let mut readable = true;
        let mut next_in_file = None;
        pieces.start(table, self.geometry.table_bytes());
        while let Some(piece) = pieces.next() {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    self.note_unreadable(error, &mut readable);
                    continue;
                }
            };
            for (l2_index, word) in (piece.first..).zip(piece.words) {
                let word = u64::from_le_bytes(*word);
                if word == L2Entry::Unallocated.encode() || word == L2Entry::Zero.encode() {
                    continue;
                }
                self.found.allocated += 1;
                self.found.fragmented += u64::from(next_in_file.is_some_and(|next| next != word));
                next_in_file = Some(word.wrapping_add(cluster_size));
                if let Err(fault) = self.take_cluster(word) {
                    let cluster = self.geometry.cluster_at(l1_index, l2_index);
                    self.bad_l2_entry(cluster, word, fault)?;
                }
            }
            (self.go_on)()?;
        }
        Ok(())
    }

    fn take_cluster(&mut self, word: u64) -> StdResult<(), Fault> {
        if !self.geometry.is_cluster_aligned(word) {
            return Err(Fault::Dangling);
        }
        self.check_place(word, 1)?;
        let cluster = self.geometry.file_cluster(FileOffset(word)).get();
        if !self.found.refs.set(cluster) {
            return Ok(());
        }
        let metadata = self.found.metadata.contains(cluster);
        Err(if metadata { Fault::NamesMetadata } else { Fault::Duplicate })
    }

    /// Whether `clusters` from the aligned `offset` may be named at all (F3.4).
    fn check_place(&self, offset: u64, clusters: u64) -> StdResult<(), Fault> {
        if !self.lies_inside(offset, clusters) {
            return Err(Fault::Dangling);
        }
        if offset < self.header_bytes { Err(Fault::NamesMetadata) } else { Ok(()) }
    }

    fn lies_inside(&self, offset: u64, clusters: u64) -> bool {
        let end = offset.checked_add(clusters * self.geometry.cluster_size());
        end.is_some_and(|end| end <= self.usable)
    }

    fn clusters_of(&self, start: FileOffset, clusters: u64) -> Range<u64> {
        let first = self.geometry.file_cluster(start).get();
        first..first + clusters
    }

    /// Marks a table's clusters; answers whether none of them was taken.
    fn mark_metadata(&mut self, start: FileOffset, clusters: u64) -> bool {
        let mut untouched = true;
        for cluster in self.clusters_of(start, clusters) {
            untouched &= !self.found.refs.set(cluster);
            self.found.metadata.set(cluster);
        }
        untouched
    }

    fn note_unreadable(&mut self, error: Error, readable: &mut bool) {
        if std::mem::take(readable) {
            self.found.unreadable += 1;
            self.found.first_unreadable.get_or_insert(error);
        }
    }

    fn bad_l1_entry(&mut self, index: u64, value: u64, fault: Fault) -> Result<()> {
        let guest_cluster = self.geometry.cluster_at(index, 0).get();
        let fault = match fault {
            Fault::Dangling => Corruption::L1Entry { index, value },
            Fault::NamesMetadata => Corruption::NamesMetadata { guest_cluster, value },
            Fault::Duplicate => Corruption::Duplicate { guest_cluster, value },
        };
        self.report(BadEntry { place: EntryPlace::L1(index), fault })
    }

    fn bad_l2_entry(&mut self, cluster: GuestCluster, value: u64, fault: Fault) -> Result<()> {
        let guest_cluster = cluster.get();
        let fault = match fault {
            Fault::Dangling => Corruption::L2Entry { guest_cluster, value },
            Fault::NamesMetadata => Corruption::NamesMetadata { guest_cluster, value },
            Fault::Duplicate => Corruption::Duplicate { guest_cluster, value },
        };
        self.report(BadEntry { place: EntryPlace::L2(cluster), fault })
    }

    fn report(&mut self, bad: BadEntry) -> Result<()> {
        if bad.is_dangling() {
            self.found.dangling += 1;
        } else {
            self.found.damage += 1;
        }
        (self.visit)(bad)
    }
}

#[cfg(test)]
mod tests;
