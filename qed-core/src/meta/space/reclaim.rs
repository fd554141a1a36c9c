//! The way of a freed cluster back to free space (C9, C10), and what the scan adds to it (C15).

use crate::addr::FileCluster;
use crate::error::{Error, Result};
use crate::meta::commit::clock::Clock;
use crate::meta::plan::grace::{Epoch, Grace};
use crate::meta::rules::Rule;
use crate::meta::space::ranges::RangeSet;
use crate::meta::space::zone::Free;
use crate::meta::space::{Space, State};

/// Clusters punched in one call at most, so that a request that waits for space waits shortly.
const PUNCH_AT_ONCE: u64 = 4096;

impl Space {
    /// Notes that the session unlinks `clusters`: until the scan is complete they are its own. To
    /// be called before an image without them can be composed, for the scan may see that image long
    /// before a sync covers it (C15).
    pub(crate) fn touch(&self, clusters: impl Iterator<Item = FileCluster>) {
        let mut clusters = clusters.peekable();
        if clusters.peek().is_none() || self.rules.breaks(Rule::ScanLeavesOutTouched) {
            return;
        }
        let mut state = self.lock();
        for cluster in clusters {
            let found_at_open = !state.scanned && cluster.get() < state.end_at_open;
            if found_at_open && !state.touched.contains(cluster.get()) {
                state.touched.insert(cluster.get(), 1);
            }
        }
    }

    /// Takes `clusters` that no entry on disk names any more and that were unlinked at `epoch`.
    pub(crate) fn release(&self, clusters: &[FileCluster], epoch: Epoch) {
        let mut state = self.lock();
        state.released.extend(clusters.iter().map(|cluster| (cluster.get(), epoch)));
    }

    /// Where clusters go that hold old bytes and nobody names: through a punch, where that helps.
    pub(crate) fn freed(&self) -> Free {
        let limits = self.storage.limits();
        let to_punch = limits.can_punch && limits.zeroes_new_space;
        if to_punch { Free::Punchable } else { Free::Reused }
    }

    /// Moves freed clusters on as far as requests and syncs allow, without I/O.
    pub(crate) fn advance(&self, state: &mut State, clock: &Clock, grace: &Grace) {
        while let Some((cluster, epoch)) = state.released.front().copied() {
            if !grace.has_passed(epoch) && !self.rules.breaks(Rule::RequestsHoldClusters) {
                break;
            }
            state.released.pop_front();
            if state.is_free(cluster) {
                // Two entries named it, in an image whose tables were vouched for falsely.
                continue;
            }
            state.add_free(self.freed(), cluster, 1);
        }
        let early = self.rules.breaks(Rule::PunchedIsFreshAfterSync);
        let mut punched = std::mem::take(&mut state.punched);
        punched.retain(|(start, count, stamp)| {
            let covered = clock.covers(*stamp) || early;
            if covered {
                state.add_free(Free::Fresh, *start, *count);
            }
            !covered
        });
        state.punched = punched;
    }

    /// Moves freed clusters on without I/O; whether some wait for a punch or for requests to end.
    pub(crate) fn reclaim(&self, clock: &Clock, grace: &Grace) -> bool {
        let mut state = self.lock();
        self.advance(&mut state, clock, grace);
        !state.released.is_empty() || !state.punchable.is_empty()
    }

    /// Moves freed clusters on without I/O; whether some wait for requests to end.
    pub(crate) fn reclaim_released(&self, clock: &Clock, grace: &Grace) -> bool {
        let mut state = self.lock();
        self.advance(&mut state, clock, grace);
        !state.released.is_empty()
    }

    /// Gives the disk space of freed clusters back. They are handed out again after the next sync.
    /// A punch that fails leaves its clusters merely reused.
    pub(crate) fn punch_freed(&self, clock: &Clock, grace: &Grace) {
        loop {
            let taken = {
                let mut state = self.lock();
                self.advance(&mut state, clock, grace);
                let taken = state.punchable.take_up_to(PUNCH_AT_ONCE);
                state.punching += u64::from(taken.is_some());
                taken
            };
            let Some((start, count)) = taken else { return };
            let size = self.geometry.cluster_size();
            let punched = self.storage.punch(start * size, count * size);
            let mut state = self.lock();
            state.punching -= 1;
            match punched {
                Ok(()) => state.punched.push((start, count, clock.now())),
                Err(_) if self.rules.breaks(Rule::FailedPunchIsNotFresh) => {
                    state.add_free(Free::Fresh, start, count);
                }
                Err(_) => state.add_free(Free::Reused, start, count),
            }
        }
    }

    /// Adds all that is unreferenced, as a scan or a free map has found it: holes are fresh, the
    /// rest is punched first where that is possible. Call it after the session's first sync (C3).
    ///
    /// # Errors
    /// Asking the file for its holes failed.
    pub(crate) fn adopt(&self, unused: RangeSet) -> Result<()> {
        self.take_over(&unused, true)
    }

    /// Adds some of what is unreferenced, as a free map has it that leaves clusters out. From here
    /// on these are the session's own: a scan that comes later does not know which of them have
    /// been handed out (C15).
    ///
    /// # Errors
    /// As [`adopt`](Self::adopt).
    pub(crate) fn adopt_some(&self, unused: RangeSet) -> Result<()> {
        self.take_over(&unused, false)
    }

    fn take_over(&self, unused: &RangeSet, complete: bool) -> Result<()> {
        let mut holes = RangeSet::new();
        let mut stored = RangeSet::new();
        for (start, count) in unused.iter() {
            self.sort_by_storage(start, count, &mut holes, &mut stored)?;
        }
        let limits = self.storage.limits();
        let mut state = self.lock();
        if state.scanned {
            // Two scans ran beside each other, and the other one has said it all.
            return Ok(());
        }
        // What the session has freed since it began is its own.
        let touched = std::mem::take(&mut state.touched);
        for (start, count) in touched.iter() {
            holes.remove_range(start, count);
            stored.remove_range(start, count);
        }
        if !complete {
            state.touched = touched;
            let own = [&holes, &stored].into_iter().flat_map(RangeSet::iter);
            let own = own.filter(|_| !self.rules.breaks(Rule::ScanLeavesOutTouched));
            own.for_each(|(start, count)| state.touched.insert(start, count));
        }
        let fresh_holes = limits.zeroes_new_space;
        for (start, count) in holes.iter() {
            let kind = if fresh_holes { Free::Fresh } else { Free::Reused };
            state.add_free(kind, start, count);
        }
        for (start, count) in stored.iter() {
            let wrongly_fresh = self.rules.breaks(Rule::StoredIsNotFresh);
            let kind = if wrongly_fresh { Free::Fresh } else { self.freed() };
            state.add_free(kind, start, count);
        }
        state.scanned = complete;
        Ok(())
    }

    /// Whether all that is free below the end found at open is known.
    pub(crate) fn is_scanned(&self) -> bool {
        self.lock().scanned
    }

    /// The clusters of the file up to the last one in use, and what is free below that: what the
    /// file can be cut to. For a flushed image without requests.
    pub(crate) fn tail(&self, clock: &Clock, grace: &Grace) -> (u64, RangeSet) {
        let mut state = self.lock();
        self.advance(&mut state, clock, grace);
        let mut free = RangeSet::new();
        let sets = [&state.fresh, &state.reused, &state.punchable];
        for (start, count) in sets.into_iter().flat_map(RangeSet::iter) {
            free.insert(start, count);
        }
        for (start, count, _) in &state.punched {
            free.insert(*start, *count);
        }
        let floor = if state.scanned { 0 } else { state.end_at_open };
        let mut end = state.end;
        if let Some(start) = free.run_ending_at(end) {
            end = start.max(floor);
        }
        if self.rules.breaks(Rule::CutKeepsEntries) {
            end = end.saturating_sub(1);
        }
        if end < state.end {
            free.remove_range(end, state.end - end);
        }
        (end, free)
    }

    fn sort_by_storage(
        &self,
        start: u64,
        count: u64,
        holes: &mut RangeSet,
        stored: &mut RangeSet,
    ) -> Result<()> {
        let size = self.geometry.cluster_size();
        let end = start + count;
        let mut at = start;
        while at < end {
            let extent = self.storage.stored_extent(at * size, (end - at) * size);
            let extent =
                extent.map_err(|error| Error::io("looking for holes", error).at(at * size))?;
            let whole = extent.length / size;
            let is_hole = extent.hole && whole > 0;
            let step = if is_hole { whole } else { extent.length.div_ceil(size) };
            let step = step.clamp(1, end - at);
            if is_hole {
                holes.insert(at, step)
            } else {
                stored.insert(at, step)
            }
            at += step;
        }
        Ok(())
    }
}
