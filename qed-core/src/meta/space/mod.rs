//! Which clusters of the file are free, and of what kind.
//!
//! ```text
//! past the end --extend--> fresh --allocate--> in use --unlinked, no entry on disk--> released
//! released --no request holds it--> punched --sync--> fresh, or where nothing punches: reused
//! ```
//!
//! Invariants:
//! 1. A cluster is in at most one of these sets.
//! 2. *Fresh* clusters read as zeroes and no possible state of the disk holds anything else there
//!    (C3).
//! 3. Free space is an optimisation, never an authority: what is not known to be free is in use.
//! 4. Below the end found at open nothing is handed out that the scan, a valid free map or this
//!    session's own frees have not shown to be free (C15).

pub(crate) mod freemap;
pub(crate) mod ranges;
pub(crate) mod reclaim;
pub(crate) mod refs;
pub(crate) mod zone;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::addr::FileCluster;
use crate::error::{Error, ErrorKind, Result};
use crate::format::{Geometry, MAX_FILE_OFFSET};
use crate::meta::commit::clock::{Clock, Stamp};
use crate::meta::plan::grace::{Epoch, Grace};
use crate::meta::rules::{Rule, Rules};
use crate::meta::space::ranges::RangeSet;
use crate::meta::space::zone::{Free, Zone};
use crate::storage::Storage;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use crate::sync::{Mutex, MutexGuard, Rank};

const MIN_STEP: u64 = 1 << 20;
const MAX_STEP: u64 = 64 << 20;

#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) geometry: Geometry,
    pub(crate) rules: Rules,
    pub(crate) state: Mutex<State>,
    growing: Mutex<()>,
    /// Clusters the file was long at open.
    length_at_open: u64,
    /// The least length, in bytes, that may be on disk (C2).
    durable: AtomicU64,
    /// Bytes in which clusters may lie.
    usable: AtomicU64,
    /// The space extended ahead runs short.
    short: AtomicBool,
}

#[derive(Debug)]
pub(crate) struct State {
    /// Clusters handed out or skipped at the end of the file: the frontier.
    pub(crate) end: u64,
    /// Clusters the file is long.
    pub(crate) extended: u64,
    /// The frontier found at open, and whether all that is free below it is known.
    pub(crate) end_at_open: u64,
    pub(crate) scanned: bool,
    /// Clusters below `end_at_open` that the session has freed, or a free map has given it, while
    /// the scan was not complete.
    pub(crate) touched: RangeSet,
    /// Lengths set whose sync is not known yet.
    lengths: Vec<(u64, Stamp)>,
    pub(crate) fresh: RangeSet,
    pub(crate) reused: RangeSet,
    /// Named by no entry on disk, perhaps still held by requests.
    pub(crate) released: VecDeque<(u64, Epoch)>,
    /// Named by nobody, to be punched.
    pub(crate) punchable: RangeSet,
    /// Runs on their way from there: being punched, and in no set.
    pub(crate) punching: u64,
    pub(crate) punched: Vec<(u64, u64, Stamp)>,
    /// The file was cut: until a sync covers that, old bytes may come back behind its end (A5).
    pub(crate) cut: Option<Stamp>,
    /// Where clusters are being moved to.
    pub(crate) zone: Option<Zone>,
}

impl State {
    pub(crate) fn is_free(&self, cluster: u64) -> bool {
        let sets = [&self.fresh, &self.reused, &self.punchable];
        let punched =
            |(start, count, _): &(u64, u64, Stamp)| (*start..start + count).contains(&cluster);
        sets.iter().any(|set| set.contains(cluster))
            || self.punched.iter().any(punched)
            || self.zone.as_ref().is_some_and(|zone| zone.free.contains(cluster))
    }
}

/// Contiguous clusters that one plan holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) start: FileCluster,
    pub(crate) count: u64,
    pub(crate) fresh: bool,
}

impl Space {
    /// The space of a file of `length` bytes, found at open.
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        geometry: Geometry,
        rules: Rules,
        length: u64,
        clock: &Clock,
    ) -> Self {
        let end = geometry.clusters_for(length);
        let state = State {
            end,
            extended: end,
            end_at_open: end,
            scanned: false,
            touched: RangeSet::new(),
            lengths: vec![(length, clock.now())],
            fresh: RangeSet::new(),
            reused: RangeSet::new(),
            released: VecDeque::new(),
            punchable: RangeSet::new(),
            punching: 0,
            punched: Vec::new(),
            cut: None,
            zone: None,
        };
        let durable = if rules.breaks(Rule::FirstSync) { length } else { 0 };
        Self {
            storage,
            geometry,
            rules,
            state: Mutex::new(Rank::Space, state),
            growing: Mutex::new(Rank::Extend, ()),
            length_at_open: end,
            durable: AtomicU64::new(durable),
            usable: AtomicU64::new(geometry.usable_length(length)),
            short: AtomicBool::new(false),
        }
    }

    /// Bytes of the file in which clusters may lie.
    pub(crate) fn usable(&self) -> u64 {
        self.usable.load(SeqCst)
    }

    /// One to `wanted` neighbouring clusters.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`], or what extending the file reports.
    pub(crate) fn allocate(&self, wanted: u64, clock: &Clock, grace: &Grace) -> Result<Run> {
        {
            let mut state = self.state.lock();
            self.advance(&mut state, clock, grace);
            let state = &mut *state;
            for (set, fresh) in [(&mut state.fresh, true), (&mut state.reused, false)] {
                if let Some((start, count)) = set.take_up_to(wanted) {
                    return Ok(Run { start: FileCluster(start), count, fresh });
                }
            }
        }
        self.allocate_at_end(wanted, clock)
    }

    /// The clusters of one table.
    ///
    /// # Errors
    /// As [`allocate`](Self::allocate).
    pub(crate) fn allocate_table(&self, clock: &Clock) -> Result<Run> {
        self.allocate_exact(self.geometry.table_clusters(), clock)
    }

    /// Exactly `count` neighbouring clusters.
    ///
    /// # Errors
    /// As [`allocate`](Self::allocate).
    pub(crate) fn allocate_exact(&self, count: u64, clock: &Clock) -> Result<Run> {
        {
            let mut state = self.state.lock();
            let state = &mut *state;
            for (set, fresh) in [(&mut state.fresh, true), (&mut state.reused, false)] {
                if let Some(start) = set.take_exact(count) {
                    return Ok(Run { start: FileCluster(start), count, fresh });
                }
            }
        }
        self.allocate_at_end(count, clock)
    }

    /// Takes back what a plan did not publish. `written` says that data may have reached it (C3).
    pub(crate) fn give_back(&self, start: FileCluster, count: u64, fresh: bool) {
        let kind = if fresh { Free::Fresh } else { Free::Reused };
        self.state.lock().add_free(kind, start.get(), count);
    }

    /// Takes back what was to be data and is not: its bytes and its space go.
    pub(crate) fn give_up(&self, run: Run) {
        self.state.lock().add_free(self.freed(), run.start.get(), run.count);
    }

    /// Whether the file is `end` bytes long for sure, by what syncs have covered so far (C2).
    pub(crate) fn is_durable(&self, end: u64, clock: &Clock) -> bool {
        if end <= self.durable.load(SeqCst) || self.rules.breaks(Rule::LengthIsData) {
            return true;
        }
        self.state.lock().lengths.retain(|(length, stamp)| {
            let covered = clock.covers(*stamp);
            if covered {
                self.durable.fetch_max(*length, SeqCst);
            }
            !covered
        });
        end <= self.durable.load(SeqCst)
    }

    /// Whether [`extend_ahead`](Self::extend_ahead) has something to do.
    pub(crate) fn is_short(&self) -> bool {
        self.short.load(SeqCst)
    }

    /// Grows the file ahead of need, where less than half a step is left. The guest's flushes make
    /// that durable, as a rule before it is handed out. Where none comes in time the next one needs
    /// a second sync; a sync of the growth's own would cost one at each step, beside the guest's
    /// writes.
    ///
    /// # Errors
    /// What extending reports.
    pub(crate) fn extend_ahead(&self, clock: &Clock) -> Result<()> {
        let growing = self.growing.lock();
        // Asked again under the lock: who has cut the file wants it short.
        if !self.short.swap(false, SeqCst) {
            return Ok(());
        }
        let (end, extended) = {
            let state = self.state.lock();
            (state.end, state.extended)
        };
        if self.runs_short(end, extended) {
            self.extend_by_step(&growing, extended + 1, clock)?;
        }
        Ok(())
    }

    fn runs_short(&self, end: u64, extended: u64) -> bool {
        (extended - end) * self.geometry.cluster_size() < self.step(extended) / 2
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn allocate_at_end(&self, wanted: u64, clock: &Clock) -> Result<Run> {
        loop {
            let needed = {
                let mut state = self.state.lock();
                let needed = state.end.checked_add(wanted).ok_or_else(|| self.full())?;
                if needed <= state.extended {
                    let start = FileCluster(state.end);
                    state.end = needed;
                    let (end, extended) = (state.end, state.extended);
                    if self.runs_short(end, extended) {
                        self.short.store(true, SeqCst);
                    }
                    let fresh = self.storage.limits().zeroes_new_space
                        && state.cut.is_none_or(|cut| clock.covers(cut));
                    return Ok(Run { start, count: wanted, fresh });
                }
                needed
            };
            self.extend_to(needed, clock)?;
        }
    }

    /// Makes the file at least `clusters` long, by a whole step where there is room for one.
    fn extend_to(&self, clusters: u64, clock: &Clock) -> Result<()> {
        let growing = self.growing.lock();
        if self.state.lock().extended >= clusters {
            return Ok(());
        }
        self.extend_by_step(&growing, clusters, clock)
    }

    /// Makes the file longer than it is, while nobody else changes its length.
    fn extend_by_step(
        &self,
        _growing: &MutexGuard<'_, ()>,
        clusters: u64,
        clock: &Clock,
    ) -> Result<()> {
        let extended = self.state.lock().extended;
        let size = self.geometry.cluster_size();
        let ahead = extended + self.step(extended).div_ceil(size);
        let target = match self.set_clusters(ahead.max(clusters)) {
            // No room for a whole step: what this request needs may still fit.
            Err(error) if error.kind() == ErrorKind::NoSpace && ahead > clusters => {
                self.set_clusters(clusters)?
            }
            result => result?,
        };
        let stamp = clock.now();
        let mut state = self.state.lock();
        state.extended = target;
        state.lengths.push((target * size, stamp));
        self.usable.store(target * size, SeqCst);
        Ok(())
    }

    fn set_clusters(&self, clusters: u64) -> Result<u64> {
        let length = clusters.checked_mul(self.geometry.cluster_size());
        let length =
            length.filter(|length| *length <= MAX_FILE_OFFSET).ok_or_else(|| self.full())?;
        let set = self.storage.set_len(length);
        set.map_err(|error| Error::io("extending the image file", error).at(length))?;
        Ok(clusters)
    }

    /// Bytes to extend by: as much as the session has grown the file already, from 1 to 64 MiB. So
    /// a session that crashes early leaves little, and one that grows the file long seldom does it.
    fn step(&self, extended: u64) -> u64 {
        let grown = extended.saturating_sub(self.length_at_open);
        grown.saturating_mul(self.geometry.cluster_size()).clamp(MIN_STEP, MAX_STEP)
    }

    fn full(&self) -> Error {
        Error::new(ErrorKind::NoSpace, "the image file has reached its largest possible length")
    }
}
