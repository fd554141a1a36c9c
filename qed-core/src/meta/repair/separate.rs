//! What is named twice is taken apart (R3, R4): copies in new space, and then entries that name
//! them. Nothing is ever copied over anything, so any of the new entries may reach the disk first.

use std::io::{IoSlice, IoSliceMut};
use std::ops::Range;
use std::slice;

use super::words::changed_bytes;
use super::{Desk, cleared};
use crate::addr::FileOffset;
use crate::error::{Error, ErrorKind, Result};
use crate::format::MAX_FILE_OFFSET;
use crate::meta::rules::Rule;
use crate::meta::scan::bounds::Bounds;
use crate::meta::scan::pieces::Pieces;
use crate::meta::scan::survey::Survey;
use crate::meta::space::refs::Refs;
use crate::meta::tables::header::write_metadata;
use crate::storage::{WriteFlags, write_zeroes};

/// Entries that wait for one sync.
pub(super) const BATCH: usize = 4096;
/// Bytes that are copied at once.
const PIECE: u64 = 1 << 20;

/// Where copies go: behind everything that is named, but not where bad entries point (R5).
pub(super) struct NewSpace<'a> {
    next: u64,
    /// From this byte on the file was not there when the repair began.
    fresh_from: u64,
    survey: &'a Survey,
    /// R5 holds.
    avoids: bool,
}

impl<'a> NewSpace<'a> {
    pub(super) fn new(end: u64, length: u64, survey: &'a Survey, avoids: bool) -> Self {
        Self { next: end, fresh_from: length, survey, avoids }
    }

    /// The first of `count` clusters in a row.
    fn find(&mut self, count: u64) -> Result<u64> {
        let mut at = self.next;
        let kept_off = |c: &u64| self.avoids && self.survey.kept_off.contains(*c);
        while let Some(taken) = (at..at + count).rfind(kept_off) {
            at = taken + 1;
        }
        self.next = at + count;
        if self.next > self.survey.horizon() {
            let text = "bad entries point to all the space that the repair could take";
            return Err(Error::new(ErrorKind::NoSpace, text));
        }
        Ok(at)
    }
}

/// Whether an L2 entry names one of a table's clusters.
pub(super) fn is_claimed(survey: &Survey, clusters: Range<u64>) -> bool {
    clusters.into_iter().any(|cluster| survey.claimed.contains(cluster))
}

/// Marks clusters; answers whether none of them was taken.
pub(super) fn take(taken: &mut Refs, clusters: Range<u64>) -> bool {
    let mut untouched = true;
    for cluster in clusters {
        untouched &= !taken.set(cluster);
    }
    untouched
}

impl Desk<'_, '_> {
    /// R3: no table overlaps another one or is claimed as data any more.
    pub(super) fn move_tables(&mut self, survey: &Survey, space: &mut NewSpace<'_>) -> Result<()> {
        let bounds = self.bounds();
        let l1 = self.header.get().l1_table_offset.get();
        let mut placed = Refs::new();
        let mut moved = Vec::new();
        self.each_table(&bounds, |desk, index, table| {
            let alone = take(&mut placed, bounds.clusters_of(table));
            if alone && !is_claimed(survey, bounds.clusters_of(table)) {
                return Ok(());
            }
            let to = desk.take_space(space, bounds.geometry.table_clusters())?;
            desk.copy_table(&bounds, table, to)?;
            moved.push((l1 + 8 * index, to));
            if moved.len() < BATCH { Ok(()) } else { desk.link(&mut moved) }
        })?;
        self.link(&mut moved)
    }

    /// R4: every cluster is named by one entry alone.
    pub(super) fn copy_data(&mut self, space: &mut NewSpace<'_>) -> Result<()> {
        let bounds = self.bounds();
        let mut taken = Refs::new();
        let mut copied = Vec::new();
        let storage = self.storage;
        self.each_table(&bounds, |desk, _, table| {
            let mut pieces = Pieces::new(storage);
            pieces.start(table, bounds.geometry.table_bytes());
            (desk.go_on)(0, 0)?;
            while let Some(piece) = pieces.next() {
                let piece = piece?;
                for (index, word) in (piece.first..).zip(piece.words) {
                    let word = u64::from_le_bytes(*word);
                    let named = bounds.data(word).ok().filter(|_| word > 1);
                    if !named.is_some_and(|cluster| taken.set(cluster)) {
                        continue;
                    }
                    let to = desk.take_space(space, 1)?;
                    desk.copy_cluster(bounds.geometry.cluster_size(), word, to, space)?;
                    copied.push((table.get() + 8 * index, to));
                    if copied.len() == BATCH {
                        desk.link(&mut copied)?;
                    }
                }
            }
            Ok(())
        })?;
        self.link(&mut copied)
    }

    /// What the copies hold is stable; now the entries follow.
    fn link(&mut self, entries: &mut Vec<(u64, u64)>) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        self.sync_unless(Rule::OrderedEntries)?;
        self.put_words(entries)?;
        entries.clear();
        Ok(())
    }

    /// The byte where `count` clusters of new space begin; the file has them.
    fn take_space(&mut self, space: &mut NewSpace<'_>, count: u64) -> Result<u64> {
        let cluster_size = self.header.get().geometry.cluster_size();
        let first = space.find(count)?;
        let end = (first + count).checked_mul(cluster_size).filter(|end| *end <= MAX_FILE_OFFSET);
        let Some(end) = end else {
            return Err(Error::new(ErrorKind::NoSpace, "the image file cannot become longer"));
        };
        if end > self.length {
            let grown = self.storage.set_len(end);
            grown.map_err(|error| Error::io("extending the image file", error).at(end))?;
            self.length = end;
        }
        Ok(first * cluster_size)
    }

    /// A table as R2 makes it, whole.
    fn copy_table(&mut self, bounds: &Bounds, table: FileOffset, to: u64) -> Result<()> {
        let bytes = bounds.geometry.table_bytes();
        (self.announce)(slice::from_ref(&(to..to + bytes)))?;
        // Stale bytes may stand there, and holes of the table are not handed out.
        let zeroes =
            write_zeroes(self.storage, to, bytes, WriteFlags { metadata: true, fua: false });
        zeroes.map_err(|error| Error::io("writing a table", error).at(to))?;
        let mut pieces = Pieces::new(self.storage);
        pieces.start(table, bytes);
        (self.go_on)(0, 0)?;
        while let Some(piece) = pieces.next() {
            let piece = piece?;
            let new = changed_bytes(piece.words, |word| cleared(bounds, word));
            write_metadata(self.storage, &new, to + 8 * piece.first)?;
        }
        Ok(())
    }

    fn copy_cluster(
        &mut self,
        cluster_size: u64,
        from: u64,
        to: u64,
        space: &NewSpace<'_>,
    ) -> Result<()> {
        (self.announce)(slice::from_ref(&(to..to + cluster_size)))?;
        let sparse = to >= space.fresh_from && self.storage.limits().zeroes_new_space;
        let mut buffer = vec![0; usize::try_from(cluster_size.min(PIECE)).unwrap_or(0)];
        let mut done = 0;
        while done < cluster_size {
            (self.go_on)(0, 0)?;
            self.storage
                .read(&mut [IoSliceMut::new(&mut buffer)], from + done)
                .map_err(|error| Error::io("reading a cluster", error).at(from + done))?;
            if !sparse || buffer.iter().any(|byte| *byte != 0) {
                self.storage
                    .write(&[IoSlice::new(&buffer)], to + done, WriteFlags::default())
                    .map_err(|error| Error::io("copying a cluster", error).at(to + done))?;
            }
            done += buffer.len() as u64;
        }
        Ok(())
    }
}
