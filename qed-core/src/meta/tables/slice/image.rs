//! Images of a slice on their way to the disk: composed of safe values, one at a time (C5, C8).
//!
//! Several slices may be imaged before the first image is written, so that neighbours go out in one
//! write. Whoever does that begins them in the order of their keys, as whoever holds the writes of
//! several slices does: so nobody waits in a circle.

use std::io::IoSlice;

use super::{HeldTable, Needs, Phase, SLICE_ENTRIES, Slice, Versions, needs};
use crate::error::{Error, Result};
use crate::meta::commit::clock::Clock;
use crate::meta::rules::{Rule, Rules};
use crate::storage::{Storage, WriteFlags};
use crate::sync::atomic::Ordering::SeqCst;

/// How much of a slice an image takes beside the blocks in which a value is not on disk yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Nothing.
    Dirty,
    /// What lies between them.
    Between,
    /// Everything.
    Whole,
}

/// Contiguous bytes of a table.
#[derive(Debug)]
pub(crate) struct TableRun {
    /// Bytes from the start of the file.
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Why no image was issued.
#[derive(Debug)]
pub(crate) enum NoImage {
    /// Every safe value is on disk or on its way: this is what syncs must cover.
    Nothing(Needs),
    /// The slice's table is being moved.
    Later,
}

/// An image that was issued. Until it has [landed](Self::land) the slice has no other.
#[derive(Debug)]
#[must_use]
pub(crate) struct SliceImage<'a> {
    slice: &'a Slice,
    pub(crate) runs: Vec<TableRun>,
}

impl Slice {
    /// Issues an image of the blocks in which a safe value is not on disk yet, once the one that
    /// may be in flight has landed and the slice is not of the table that is `held`. Who has issued
    /// others that have not landed `may_wait` for the former alone: whoever holds a table waits for
    /// what was issued before.
    pub(crate) fn begin_image(
        &self,
        clock: &Clock,
        rules: Rules,
        phase: Phase,
        (unit, reach): (usize, Reach),
        (held, may_wait): (&HeldTable, bool),
    ) -> std::result::Result<SliceImage<'_>, NoImage> {
        let mut versions = self.versions.lock();
        let races = rules.breaks(Rule::OneWriteInFlight) || rules.breaks(Rule::FlushAwaitsOthers);
        loop {
            let is_held = held.covers(self.key());
            if is_held && !may_wait {
                return Err(NoImage::Later);
            }
            if !is_held && (races || !versions.writing) {
                break;
            }
            self.landed.wait(&mut versions);
        }
        self.promote(&mut versions, clock, rules, phase);
        let runs = self.compose(&mut versions, unit, reach);
        if runs.is_empty() {
            let mut needs = needs(&versions);
            needs.image = needs.image.filter(|_| !rules.breaks(Rule::FlushOwesOthersWrites));
            return Err(NoImage::Nothing(needs));
        }
        versions.writing = true;
        Ok(SliceImage { slice: self, runs })
    }

    /// Turns every newest value safe that a sync allows (C5, C6).
    pub(super) fn promote(
        &self,
        versions: &mut Versions,
        clock: &Clock,
        rules: Rules,
        phase: Phase,
    ) {
        let uncovered = rules.breaks(Rule::SafeValuesOnly)
            || (phase == Phase::Two && rules.breaks(Rule::PhaseTwoCovered));
        for (entry, version) in &mut versions.entries {
            let newest = self.newest[*entry].load(SeqCst);
            if uncovered {
                version.promote_uncovered(newest);
            }
            version.promote(newest, clock);
        }
    }

    /// The runs of the blocks that an image takes; `unit` is bytes in a block.
    pub(super) fn compose(
        &self,
        versions: &mut Versions,
        unit: usize,
        reach: Reach,
    ) -> Vec<TableRun> {
        let entries = unit / 8;
        let mut taken = [false; SLICE_ENTRIES / 64];
        for (entry, version) in &versions.entries {
            taken[entry / entries] |= version.is_dirty();
        }
        let first = taken.iter().position(|taken| *taken);
        let last = taken.iter().rposition(|taken| *taken);
        let (Some(first), Some(last)) = (first, last) else { return Vec::new() };
        match reach {
            Reach::Dirty => {}
            Reach::Between => taken[first..=last].fill(true),
            Reach::Whole => taken[..SLICE_ENTRIES / entries].fill(true),
        }
        let start = self.offset().get();
        let mut runs: Vec<TableRun> = Vec::new();
        for block in (0..SLICE_ENTRIES / entries).filter(|block| taken[*block]) {
            let offset = start + (block * unit) as u64;
            if runs.last().is_none_or(|run| run.end() != offset) {
                runs.push(TableRun { offset, bytes: Vec::new() });
            }
            let Some(run) = runs.last_mut() else { continue };
            for entry in block * entries..(block + 1) * entries {
                let word = match versions.entries.get_mut(&entry) {
                    Some(version) => version.compose(),
                    None => self.newest[entry].load(SeqCst),
                };
                run.bytes.extend_from_slice(&word.to_le_bytes());
            }
        }
        runs
    }
}

impl TableRun {
    /// Where the next run would begin to be one with this.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

impl SliceImage<'_> {
    /// The image's writes have ended, well or not. One that failed counts as landed, too: it has no
    /// sync yet, so every later flush owes one, and the latch refuses that (C17). Says what syncs
    /// must cover now.
    pub(crate) fn land(self, clock: &Clock) -> Needs {
        let mut versions = self.slice.versions.lock();
        versions.writing = false;
        self.slice.landed.notify_all();
        let stamp = clock.now();
        for version in versions.entries.values_mut() {
            version.landed(stamp);
        }
        needs(&versions)
    }
}

/// Writes `runs`; those that touch, in one write.
///
/// # Errors
/// A write failed.
pub(crate) fn write_runs(storage: &dyn Storage, runs: &[&TableRun]) -> Result<()> {
    let flags = WriteFlags { metadata: true, fua: false };
    for joined in runs.chunk_by(|one, next| one.end() == next.offset) {
        let Some(first) = joined.first() else { continue };
        let parts: Vec<IoSlice<'_>> = joined.iter().map(|run| IoSlice::new(&run.bytes)).collect();
        let written = storage.write(&parts, first.offset, flags);
        written.map_err(|error| Error::io("writing a table", error).at(first.offset))?;
    }
    Ok(())
}
