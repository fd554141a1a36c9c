//! What a mover asks of the free space: places in its zone, places elsewhere, and that freed
//! clusters come back.

use std::ops::Range;

use crate::addr::FileCluster;
use crate::error::Result;
use crate::meta::plan::moving::Mover;
use crate::meta::space::Run;

impl Mover<'_> {
    /// Keeps what is free in `range` of the file, or becomes free there, to this mover. A zone that
    /// was open before is closed.
    pub(crate) fn open_zone(&self, range: Range<u64>) {
        self.meta.space.close_zone();
        self.meta.space.open_zone(range);
    }

    /// Gives up the zone.
    pub(crate) fn close_zone(&self) {
        self.meta.space.close_zone();
    }

    /// Whether this cluster of the file is free in the zone.
    pub(crate) fn is_free(&self, cluster: u64) -> bool {
        self.meta.space.is_free_in_zone(cluster)
    }

    /// Takes `count` clusters of the zone, where all of them are free.
    pub(crate) fn take(&self, start: u64, count: u64) -> Option<Run> {
        let run = Run { start: FileCluster(start), count, fresh: false };
        self.meta.space.take_in_zone(start, count).then_some(run)
    }

    /// One to `wanted` neighbouring clusters outside the zone.
    ///
    /// # Errors
    /// No space.
    pub(crate) fn elsewhere(&self, wanted: u64) -> Result<Run> {
        self.meta.allocate(wanted)
    }

    /// The clusters of one table outside the zone.
    ///
    /// # Errors
    /// No space.
    pub(crate) fn elsewhere_for_table(&self) -> Result<Run> {
        self.meta.space.allocate_table(&self.meta.clock)
    }

    /// Takes back clusters that were taken and are not wanted.
    pub(crate) fn give_back(&self, run: Run) {
        self.meta.space.give_back(run.start, run.count, false);
    }

    /// Makes the moves so far stable, so that the places they left can be freed.
    ///
    /// # Errors
    /// A write or sync that failed.
    pub(crate) fn flush(&self) -> Result<()> {
        self.meta.flush()
    }

    /// Takes back what requests have let go of; whether some are still waited for.
    pub(crate) fn reclaim(&self) -> bool {
        self.meta.space.reclaim_released(&self.meta.clock, &self.meta.grace)
    }

    /// Flushes and cuts the file to what is in use.
    ///
    /// # Errors
    /// A write, cut or sync that failed.
    pub(crate) fn cut_tail(&self) -> Result<()> {
        self.meta.flush()?;
        loop {
            // What is being punched is in use as long as that takes.
            let punching = self.meta.space.lock().punching > 0;
            self.meta.space.cut_tail(&self.meta.clock, &self.meta.grace)?;
            if !punching {
                return Ok(());
            }
            self.pause();
        }
    }

    /// Clusters of the file up to its last one in use.
    pub(crate) fn end(&self) -> u64 {
        let meta = self.meta;
        let state = meta.space.lock();
        meta.space.end_in_use(&state)
    }
}
