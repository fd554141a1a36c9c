//! Space that is kept for a mover: compaction moves clusters to places it has chosen, and nobody
//! else may be given these meanwhile.
//!
//! The zone is a range of the file. What is free in it, or becomes free while it is there, is the
//! mover's; everything else goes on as ever. The file is cut here, too, where compaction ends.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::meta::commit::clock::Clock;
use crate::meta::plan::grace::Grace;
use crate::meta::space::ranges::RangeSet;
use crate::meta::space::{Space, State};
use crate::sync::atomic::Ordering::SeqCst;

/// How free clusters are free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Free {
    /// They read as zeroes in every possible state (C3).
    Fresh,
    /// They hold old bytes.
    Reused,
    /// They hold old bytes until they are punched.
    Punchable,
}

/// Clusters of the file that only the mover may take.
#[derive(Debug)]
pub(crate) struct Zone {
    range: Range<u64>,
    pub(crate) free: RangeSet,
}

impl State {
    /// Adds free clusters; those of the zone are the mover's, of whatever kind they are.
    pub(crate) fn add_free(&mut self, kind: Free, start: u64, count: u64) {
        let end = start + count;
        let (mut low, mut high) = (end, end);
        if let Some(zone) = &mut self.zone {
            low = zone.range.start.clamp(start, end);
            high = zone.range.end.clamp(low, end);
            zone.free.insert(low, high - low);
        }
        let set = match kind {
            Free::Fresh => &mut self.fresh,
            Free::Reused => &mut self.reused,
            Free::Punchable => &mut self.punchable,
        };
        set.insert(start, low - start);
        set.insert(high, end - high);
    }
}

impl Space {
    /// Keeps what is free in `range`, or becomes free there, for the mover.
    pub(crate) fn open_zone(&self, range: Range<u64>) {
        let mut state = self.lock();
        debug_assert!(state.zone.is_none(), "one mover at a time");
        let count = range.end - range.start;
        let mut free = RangeSet::new();
        let State { fresh, reused, punchable, .. } = &mut *state;
        for set in [fresh, reused, punchable] {
            for (start, count) in set.drain_range(range.start, count) {
                free.insert(start, count);
            }
        }
        state.zone = Some(Zone { range, free });
    }

    /// Gives what the mover has not taken back to everybody.
    pub(crate) fn close_zone(&self) {
        let mut state = self.lock();
        let Some(zone) = state.zone.take() else { return };
        for (start, count) in zone.free.iter() {
            state.add_free(self.freed(), start, count);
        }
    }

    /// Whether `cluster` is free in the zone.
    pub(crate) fn is_free_in_zone(&self, cluster: u64) -> bool {
        self.lock().zone.as_ref().is_some_and(|zone| zone.free.contains(cluster))
    }

    /// Takes `count` clusters of the zone, where all of them are free.
    pub(crate) fn take_in_zone(&self, start: u64, count: u64) -> bool {
        let mut state = self.lock();
        let Some(zone) = &mut state.zone else { return false };
        let all = (start..start + count).all(|cluster| zone.free.contains(cluster));
        if all {
            zone.free.remove_range(start, count);
        }
        all
    }

    /// Cuts the file down to its last cluster that is not free, while it is in use (C14): what is
    /// free is named by nothing that may be on disk. Stable when it returns: a cut that could be
    /// undone would bring old bytes back into space that a later extension calls new (A5).
    ///
    /// # Errors
    /// What the cut or the sync reports.
    pub(crate) fn cut_tail(&self, clock: &Clock, grace: &Grace) -> Result<()> {
        let growing = self.growing.lock();
        let size = self.geometry.cluster_size();
        let (end, was, extended) = {
            let mut state = self.lock();
            self.advance(&mut state, clock, grace);
            let (end, was) = (self.end_in_use(&state), state.end);
            let extended = state.extended;
            self.short.store(false, SeqCst);
            if end == extended {
                return Ok(());
            }
            let State { fresh, reused, punchable, punched, .. } = &mut *state;
            for set in [fresh, reused, punchable] {
                set.remove_range(end, was - end);
            }
            for (start, count, _) in punched.iter_mut() {
                *count = (*start + *count).min(end).saturating_sub(*start);
            }
            punched.retain(|(_, count, _)| *count > 0);
            (state.end, state.extended) = (end, end);
            for (length, _) in &mut state.lengths {
                *length = (*length).min(end * size);
            }
            (end, was, extended)
        };
        let length = end * size;
        self.durable.fetch_min(length, SeqCst);
        if let Err(error) = self.storage.set_len(length) {
            let mut state = self.lock();
            (state.end, state.extended) = (was, extended);
            state.add_free(Free::Reused, end, was - end);
            return Err(Error::io("cutting the image file", error).at(length));
        }
        self.usable.store(length, SeqCst);
        {
            let mut state = self.lock();
            state.lengths.push((length, clock.now()));
            state.cut = Some(clock.now());
        }
        drop(growing);
        clock.sync_now()
    }

    /// The cluster behind the last one that is not free; not below the end found at open, where not
    /// all that is free below that is known.
    pub(crate) fn end_in_use(&self, state: &State) -> u64 {
        let floor = if state.scanned { 0 } else { state.end_at_open };
        let mut end = state.end;
        loop {
            let sets = [&state.fresh, &state.reused, &state.punchable];
            let of_sets = sets.into_iter().find_map(|set| set.run_ending_at(end));
            let punched = state.punched.iter().find(|(start, count, _)| start + count == end);
            match of_sets.or(punched.map(|(start, ..)| *start)) {
                Some(start) if start.max(floor) < end => end = start.max(floor),
                _ => return end,
            }
        }
    }
}
