//! The walk itself: pieces of tables in, marks and findings out.

use super::bounds::{Bounds, Fault};
use super::pieces::{Piece, Pieces};
use super::survey::Survey;
use super::{BadEntry, EntryPlace, Scan};
use crate::addr::{FileOffset, GuestCluster};
use crate::error::{Corruption, Error, Result};
use crate::format::{Header, L1Entry, L2Entry};
use crate::storage::Storage;
use std::result::Result as StdResult;

/// Asked between the pieces of tables, with the bytes of tables that were walked and those there
/// are (0 where that is not known yet): its error ends the walk.
pub(crate) type GoOn<'a> = dyn FnMut(u64, u64) -> Result<()> + 'a;

pub(super) struct Walk<'a> {
    pub bounds: Bounds,
    pub found: Scan,
    /// What a repair wants to know beyond a check.
    pub survey: Option<&'a mut Survey>,
    pub go_on: &'a mut GoOn<'a>,
    pub visit: &'a mut dyn FnMut(BadEntry) -> Result<()>,
}

/// Words of an L2 table, and where in the guest's disk and in the file the last one left off.
struct Words<'a> {
    l1_index: u64,
    piece: Piece<'a>,
}

impl Walk<'_> {
    pub(super) fn run(mut self, storage: &dyn Storage, header: &Header) -> Result<Scan> {
        self.mark_header(header)?;
        let mut pieces = Pieces::new(storage);
        let tables = self.walk_l1(&mut pieces, header.l1_table_offset)?;
        let table_bytes = self.bounds.geometry.table_bytes();
        let total = (tables.len() as u64).saturating_mul(table_bytes);
        for (number, (l1_index, table)) in (0..).zip(tables) {
            self.walk_l2(&mut pieces, l1_index, table, (number * table_bytes, total))?;
        }
        let mut found = self.found;
        found.end = found.refs.highest().map_or(0, |cluster| cluster + 1);
        Ok(found)
    }

    fn mark_header(&mut self, header: &Header) -> Result<()> {
        let l1 = header.l1_table_offset;
        if !self.bounds.lies_inside(l1.get(), self.bounds.geometry.table_clusters()) {
            return Err(Corruption::L1Offset { found: l1.get() }.into());
        }
        self.mark_metadata(FileOffset(0), header.header_clusters.into());
        self.mark_metadata(l1, self.bounds.geometry.table_clusters());
        Ok(())
    }

    /// Marks every L2 table and answers those to walk, in guest order: the legal ones, for a survey
    /// also those that overlap another.
    fn walk_l1(
        &mut self,
        pieces: &mut Pieces<'_>,
        l1: FileOffset,
    ) -> Result<Vec<(u64, FileOffset)>> {
        let mut tables = Vec::new();
        let mut readable = true;
        pieces.start(l1, self.bounds.geometry.table_bytes());
        (self.go_on)(0, 0)?;
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
                let table = self.bounds.table(word);
                let fault = match table {
                    Ok(table) if self.take_table(table) => {
                        tables.push((l1_index, table));
                        continue;
                    }
                    Ok(table) => {
                        if let Some(survey) = self.survey.as_deref_mut() {
                            survey.add_move()?;
                            tables.push((l1_index, table));
                        }
                        Fault::Duplicate
                    }
                    Err(fault) => fault,
                };
                if let Some(survey) = self.survey.as_deref_mut() {
                    survey.keep_off(word, self.bounds.geometry.table_clusters());
                }
                self.bad_l1_entry(l1_index, word, fault)?;
            }
            (self.go_on)(0, 0)?;
        }
        Ok(tables)
    }

    fn take_table(&mut self, table: FileOffset) -> bool {
        self.mark_metadata(table, self.bounds.geometry.table_clusters())
    }

    fn walk_l2(
        &mut self,
        pieces: &mut Pieces<'_>,
        l1_index: u64,
        table: FileOffset,
        (done, total): (u64, u64),
    ) -> Result<()> {
        let mut readable = true;
        let mut next_in_file = None;
        pieces.start(table, self.bounds.geometry.table_bytes());
        (self.go_on)(done, total)?;
        while let Some(piece) = pieces.next() {
            match piece {
                Ok(piece) => {
                    let done = done + 8 * (piece.first + piece.words.len() as u64);
                    self.walk_words(&Words { l1_index, piece }, &mut next_in_file)?;
                    (self.go_on)(done, total)?;
                }
                Err(error) => self.note_unreadable(error, &mut readable),
            }
        }
        Ok(())
    }

    /// Takes what the words name, clusters that follow each other in one step.
    fn walk_words(&mut self, words: &Words<'_>, next_in_file: &mut Option<u64>) -> Result<()> {
        let cluster_size = self.bounds.geometry.cluster_size();
        let mut rest = words.piece.words;
        let mut l2_index = words.piece.first;
        while let Some((word, others)) = rest.split_first() {
            let word = u64::from_le_bytes(*word);
            if word == L2Entry::Unallocated.encode() || word == L2Entry::Zero.encode() {
                (rest, l2_index) = (others, l2_index + 1);
                continue;
            }
            let mut end = word.checked_add(cluster_size);
            let mut length = 1;
            for other in others {
                if end != Some(u64::from_le_bytes(*other)) {
                    break;
                }
                end = end.and_then(|end| end.checked_add(cluster_size));
                length += 1;
            }
            self.found.allocated += length as u64;
            self.found.fragmented += u64::from(next_in_file.is_some_and(|next| next != word));
            *next_in_file = end;
            if !self.take_run(word, length as u64) {
                self.take_each(words.l1_index, l2_index, &rest[..length])?;
            }
            (rest, l2_index) = (&rest[length..], l2_index + length as u64);
        }
        Ok(())
    }

    /// Takes a run of clusters where all of them are legal and free.
    fn take_run(&mut self, word: u64, count: u64) -> bool {
        let Bounds { geometry, header_bytes, .. } = self.bounds;
        let legal = geometry.is_cluster_aligned(word) && word >= header_bytes;
        let first = geometry.file_cluster(FileOffset(word)).get();
        legal && self.bounds.lies_inside(word, count) && self.found.refs.set_run(first, count)
    }

    fn take_each(&mut self, l1_index: u64, l2_index: u64, words: &[[u8; 8]]) -> Result<()> {
        for (l2_index, word) in (l2_index..).zip(words) {
            let word = u64::from_le_bytes(*word);
            if let Err(fault) = self.take_cluster(word)? {
                let cluster = self.bounds.geometry.cluster_at(l1_index, l2_index);
                self.bad_l2_entry(cluster, word, fault)?;
            }
        }
        Ok(())
    }

    fn take_cluster(&mut self, word: u64) -> Result<StdResult<(), Fault>> {
        let cluster = match self.bounds.data(word) {
            Ok(cluster) => cluster,
            Err(fault) => {
                if let Some(survey) = self.survey.as_deref_mut() {
                    survey.keep_off(word, 1);
                }
                return Ok(Err(fault));
            }
        };
        if !self.found.refs.set(cluster) {
            return Ok(Ok(()));
        }
        let metadata = self.found.metadata.contains(cluster);
        if let Some(survey) = self.survey.as_deref_mut() {
            survey.claim(cluster, metadata)?;
        }
        Ok(Err(if metadata { Fault::NamesMetadata } else { Fault::Duplicate }))
    }

    /// Marks a table's clusters; answers whether none of them was taken.
    fn mark_metadata(&mut self, start: FileOffset, clusters: u64) -> bool {
        let first = self.bounds.geometry.file_cluster(start).get();
        let mut untouched = true;
        for cluster in first..first + clusters {
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
        let guest_cluster = self.bounds.geometry.cluster_at(index, 0).get();
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
