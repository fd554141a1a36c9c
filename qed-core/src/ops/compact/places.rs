//! The places of the file that compaction fills, from the front: who has them, and how they become
//! free. Looks at a window of the file at a time, so that its memory is bounded.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::addr::{FileCluster, GuestCluster};
use crate::error::Result;
use crate::image::Image;
use crate::meta::plan::moving::Mover;
use crate::meta::plan::relocate::Move;
use crate::meta::scan::owners::Owner;
use crate::ops::stint::Stint;

/// Clusters of the file that are looked at in one go: 2 MiB of memory.
const WINDOW: u64 = 1 << 17;
/// Flushes that a place may take to become free.
const ROUNDS: usize = 3;

pub(super) struct Places<'a> {
    image: &'a Image,
    pub(super) mover: Mover<'a>,
    stint: &'a Stint<'a>,
    /// The next place to be filled.
    at: u64,
    window: Range<u64>,
    owners: Vec<Owner>,
    /// Places that do not become free.
    blocked: BTreeSet<u64>,
    clusters_moved: u64,
    tables_moved: u64,
    /// Up to where progress was told.
    told: u64,
}

impl<'a> Places<'a> {
    pub(super) fn new(image: &'a Image, mover: Mover<'a>, stint: &'a Stint<'a>) -> Self {
        Self {
            image,
            mover,
            stint,
            at: 0,
            window: 0..0,
            owners: Vec::new(),
            blocked: BTreeSet::new(),
            clusters_moved: 0,
            tables_moved: 0,
            told: 0,
        }
    }

    /// Begins at the front.
    pub(super) fn start_over(&mut self) {
        self.mover.close_zone();
        self.at = self.first();
        self.window = 0..0;
        self.blocked.clear();
    }

    /// The first cluster behind the header.
    pub(super) fn first(&self) -> u64 {
        u64::from(self.mover.meta.header().header_clusters)
    }

    /// Where the L1 table begins.
    pub(super) fn l1(&self) -> u64 {
        let meta = self.mover.meta;
        meta.geometry.file_cluster(meta.header().l1_table_offset).get()
    }

    /// Moves the L1 table to `at`, which is free.
    pub(super) fn move_l1(&mut self, at: u64) -> Result<bool> {
        let count = self.mover.meta.geometry.table_clusters();
        let Some(run) = self.mover.take(at, count) else { return Ok(false) };
        self.mover.move_l1(run)?;
        self.tables_moved += 1;
        Ok(true)
    }

    /// Moves the L1 table behind the place that it is to have; whether there is room.
    pub(super) fn move_l1_elsewhere(&mut self) -> Result<bool> {
        let first = self.first();
        let count = self.mover.meta.geometry.table_clusters();
        let run = self.mover.elsewhere_for_table()?;
        if run.start.get() < first + count {
            self.mover.give_back(run);
            return Ok(false);
        }
        self.mover.move_l1(run)?;
        self.tables_moved += 1;
        Ok(true)
    }

    /// How many clusters and tables have moved.
    pub(super) fn moved(&self) -> (u64, u64) {
        (self.clusters_moved, self.tables_moved)
    }

    /// The next place where `count` neighbours may be put; none where the file ends before.
    pub(super) fn next_run(&mut self, count: u64) -> Result<Option<u64>> {
        let mut at = self.at;
        loop {
            let free = (at..at + count).find(|place| self.skip(*place) != *place);
            match free {
                Some(taken) => at = self.skip(taken),
                None => break,
            }
        }
        self.at = at;
        if at + count > self.window.end && !self.look_further(count)? {
            return Ok(None);
        }
        Ok(Some(at))
    }

    /// The first place from `at` on that can be filled at all: not the L1 table's, not a blocked
    /// one.
    pub(super) fn skip(&self, mut at: u64) -> u64 {
        let meta = self.mover.meta;
        let l1 = self.l1();
        let l1 = l1..l1 + meta.geometry.table_clusters();
        loop {
            if l1.contains(&at) {
                at = l1.end;
            } else if self.blocked.contains(&at) {
                at += 1;
            } else {
                return at;
            }
        }
    }

    /// Where the window that is looked at ends.
    pub(super) fn window_end(&self) -> u64 {
        self.window.end
    }

    /// Everything before `at` is done with.
    pub(super) fn advance_to(&mut self, at: u64) {
        self.at = at;
        let size = self.image.cluster_size();
        let done = at.saturating_mul(size);
        self.stint.advance(done.saturating_sub(self.told));
        self.told = self.told.max(done);
    }

    /// Never asks for this place again.
    pub(super) fn block(&mut self, place: u64) {
        self.blocked.insert(place);
    }

    /// Where table `index` begins.
    pub(super) fn table(&self, index: u64) -> Result<Option<u64>> {
        let meta = self.mover.meta;
        Ok(meta.table_at(index)?.map(|table| meta.geometry.file_cluster(table).get()))
    }

    /// The first guest cluster from `from` on that has data, and its place.
    pub(super) fn next_data(
        &self,
        from: GuestCluster,
    ) -> Result<Option<(GuestCluster, FileCluster)>> {
        let meta = self.mover.meta;
        let end = meta.geometry.cluster_at(meta.l1_entries(), 0);
        let found = meta.next_data(from, end)?;
        Ok(found.map(|(cluster, offset)| (cluster, meta.geometry.file_cluster(offset))))
    }

    /// Makes `wanted`, ascending places of the window, free: what stands there is moved elsewhere.
    /// Gives the first place that does not become free, if there is one.
    pub(super) fn clear(&mut self, wanted: &[u64]) -> Result<Option<u64>> {
        for round in 0..ROUNDS {
            if self.first_taken(wanted).is_none() {
                return Ok(None);
            }
            if round > 0 {
                self.walk()?;
            }
            self.evict(wanted)?;
            self.mover.flush()?;
            while self.mover.reclaim() && self.first_taken(wanted).is_some() {
                self.stint.check()?;
                self.mover.pause();
            }
        }
        Ok(self.first_taken(wanted))
    }

    /// Moves table `index` to `at`, which is free.
    pub(super) fn move_table(&mut self, index: u64, at: u64) -> Result<bool> {
        let count = self.mover.meta.geometry.table_clusters();
        let Some(run) = self.mover.take(at, count) else { return Ok(false) };
        let moved = self.mover.move_table(index, run)?;
        self.tables_moved += u64::from(moved);
        self.stint.note_moved();
        Ok(moved)
    }

    /// Moves clusters to places of the zone, which are free. Gives how many were not there any
    /// more.
    pub(super) fn fill(&mut self, moves: Vec<Move>) -> Result<u64> {
        let mut taken: Vec<Move> = Vec::with_capacity(moves.len());
        let mut missing = 0;
        for moved in moves {
            match self.mover.take(moved.to.get(), 1) {
                Some(_) => taken.push(moved),
                None => missing += 1,
            }
        }
        let plan = self.mover.plan(taken)?;
        missing += plan.skipped;
        self.clusters_moved += self.image.carry_out(plan)?;
        self.stint.note_moved();
        Ok(missing)
    }

    /// Makes all of it stable and cuts the file.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.mover.flush()?;
        while self.mover.reclaim() {
            self.stint.check()?;
            self.mover.pause();
        }
        self.mover.close_zone();
        self.mover.cut_tail()
    }

    fn first_taken(&self, wanted: &[u64]) -> Option<u64> {
        wanted.iter().copied().find(|place| !self.mover.is_free(*place))
    }

    /// Turns to the window that begins at the next place.
    fn look_further(&mut self, count: u64) -> Result<bool> {
        let end = self.mover.end();
        if self.at + count > end {
            return Ok(false);
        }
        self.window = self.at..end.min(self.at + WINDOW.max(count));
        self.mover.open_zone(self.window.clone());
        self.walk()?;
        Ok(true)
    }

    fn walk(&mut self) -> Result<()> {
        let stint = self.stint;
        self.owners = self.mover.meta.owners(self.window.clone(), &mut || stint.check())?;
        Ok(())
    }

    fn owner(&self, place: u64) -> Owner {
        let at = place.checked_sub(self.window.start).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.owners.get(at).copied()).unwrap_or(Owner::Nobody)
    }

    /// Moves what stands in `wanted` elsewhere.
    fn evict(&mut self, wanted: &[u64]) -> Result<()> {
        let (mut clusters, mut tables) = (BTreeSet::new(), BTreeSet::new());
        for place in wanted.iter().filter(|place| !self.mover.is_free(**place)) {
            match self.owner(*place) {
                Owner::Nobody => {}
                Owner::Table(index) => drop(tables.insert(index)),
                Owner::Cluster(cluster) => {
                    // It may be gone from there, and the place not free yet.
                    let now = self.next_data(cluster)?;
                    if now == Some((cluster, FileCluster(*place))) {
                        clusters.insert(cluster);
                    }
                }
            }
        }
        for index in tables {
            let count = self.mover.meta.geometry.table_clusters();
            let stands = self.table(index)?.is_some_and(|table| {
                wanted.iter().any(|place| (table..table + count).contains(place))
            });
            if stands {
                let run = self.mover.elsewhere_for_table()?;
                self.tables_moved += u64::from(self.mover.move_table(index, run)?);
            }
        }
        self.evict_clusters(clusters)
    }

    fn evict_clusters(&mut self, clusters: BTreeSet<GuestCluster>) -> Result<()> {
        let mut moves = Vec::with_capacity(clusters.len());
        let mut left = clusters.into_iter();
        while left.len() > 0 {
            let run = match self.mover.elsewhere(left.len() as u64) {
                Ok(run) => run,
                Err(error) => {
                    // The plan gives back what was taken so far.
                    drop(self.mover.plan(moves)?);
                    return Err(error);
                }
            };
            let places = run.start.get()..run.start.get() + run.count;
            moves.extend(
                left.by_ref()
                    .take(usize::try_from(run.count).unwrap_or(usize::MAX))
                    .zip(places)
                    .map(|(cluster, place)| Move { cluster, to: FileCluster(place) }),
            );
        }
        let plan = self.mover.plan(moves)?;
        self.clusters_moved += self.image.carry_out(plan)?;
        Ok(())
    }
}
