//! Plans that move data clusters to other places of the file (C4, C9, C16).
//!
//! A moved cluster is copied whole, and its entry is ordered: until a sync covers the copy the disk
//! says the old place, which stays what it was until no disk names it any more. Dropped before it
//! is published, a plan gives its new places back.

use std::sync::Arc;

use crate::addr::{FileCluster, FileOffset, GuestCluster};
use crate::error::Result;
use crate::format::L2Entry;
use crate::meta::plan::claims::{Claim, Claimed};
use crate::meta::plan::lookup::entry_of;
use crate::meta::plan::moving::{Mover, Shown};
use crate::meta::rules::Rule;
use crate::meta::tables::slice::{Change, Slice};

/// A guest cluster, and the cluster of the file that was taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) cluster: GuestCluster,
    pub(crate) to: FileCluster,
}

/// Bytes of the file that are to be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) from: FileOffset,
    pub(crate) to: FileOffset,
    pub(crate) length: u64,
}

/// Clusters on their way. While it lives nobody changes them, nor writes into them.
#[derive(Debug)]
pub(crate) struct MovePlan<'a> {
    mover: &'a Mover<'a>,
    pub(crate) pieces: Vec<Piece>,
    /// What was asked for and is not mapped any more.
    pub(crate) skipped: u64,
    moves: Vec<Move>,
    /// The slice of each of `moves`.
    slices: Vec<Arc<Slice>>,
    _claimed: Option<Claimed<'a>>,
    _shown: Option<Shown<'a>>,
}

impl Mover<'_> {
    /// Plans the moves of `wanted`, each guest cluster once.
    ///
    /// # Errors
    /// A table that cannot be read, an entry that cannot be right, a flush that failed.
    pub(crate) fn plan(&self, mut wanted: Vec<Move>) -> Result<MovePlan<'_>> {
        wanted.sort_unstable_by_key(|wanted| wanted.cluster);
        let mut plan = MovePlan {
            mover: self,
            pieces: Vec::new(),
            skipped: 0,
            moves: Vec::new(),
            slices: Vec::new(),
            _claimed: None,
            _shown: None,
        };
        let ends = wanted.first().zip(wanted.last());
        let Some((first, last)) = ends.map(|(first, last)| (first.cluster, last.cluster)) else {
            return Ok(plan);
        };
        plan._shown = Some(self.keep_writers_out(first, last));
        let claims = wanted.iter().map(|wanted| Claim::Cluster(wanted.cluster.get()));
        plan._claimed = Some(self.meta.claims.take(claims));
        plan.moves = wanted;
        plan.find_places()?;
        // A waiting value is not replaced by another one (C5).
        let waits =
            |(slice, moved): (&Arc<Slice>, &Move)| slice.is_waiting(entry_of(moved.cluster));
        if plan.slices.iter().zip(&plan.moves).any(waits) {
            self.meta.flush()?;
        }
        Ok(plan)
    }
}

impl MovePlan<'_> {
    /// Clusters that it moves.
    pub(crate) fn clusters(&self) -> u64 {
        self.moves.len() as u64
    }

    /// Makes the new places visible. All pieces have been copied.
    pub(crate) fn publish(mut self) {
        let meta = self.mover.meta;
        meta.clock.note_data();
        let stamp = meta.clock.now();
        let wait = (!meta.settings.rules.breaks(Rule::MoveIsOrdered)).then_some(stamp);
        let moves = std::mem::take(&mut self.moves);
        let slices = std::mem::take(&mut self.slices);
        let mut at = 0;
        while let Some(slice) = slices.get(at) {
            let same = slices[at..].iter().take_while(|other| Arc::ptr_eq(other, slice)).count();
            let changes: Vec<Change> = moves[at..at + same]
                .iter()
                .map(|moved| Change {
                    entry: entry_of(moved.cluster),
                    word: L2Entry::Data(meta.geometry.file_offset(moved.to)).encode(),
                    wait,
                    retires: true,
                })
                .collect();
            meta.publish(slice, &changes);
            at += same;
        }
    }

    /// Finds where each cluster is now; what is not mapped any more drops out.
    fn find_places(&mut self) -> Result<()> {
        let meta = self.mover.meta;
        let _request = meta.grace.enter();
        let size = meta.geometry.cluster_size();
        let mut at = 0;
        while let Some(moved) = self.moves.get(at).copied() {
            let slice = meta.slice(moved.cluster)?;
            let entry = slice.as_ref().map(|slice| meta.entry(slice, moved.cluster)).transpose()?;
            let (Some(slice), Some(L2Entry::Data(from))) = (slice, entry) else {
                self.moves.remove(at);
                self.skipped += 1;
                meta.space.give_back(moved.to, 1, false);
                continue;
            };
            let to = meta.geometry.file_offset(moved.to);
            match self.pieces.last_mut() {
                Some(last)
                    if last.from.get() + last.length == from.get()
                        && last.to.get() + last.length == to.get() =>
                {
                    last.length += size;
                }
                _ => self.pieces.push(Piece { from, to, length: size }),
            }
            self.slices.push(slice);
            at += 1;
        }
        Ok(())
    }
}

impl Drop for MovePlan<'_> {
    fn drop(&mut self) {
        for moved in &self.moves {
            self.mover.meta.space.give_back(moved.to, 1, false);
        }
    }
}
