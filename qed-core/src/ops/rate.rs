//! A bound on how fast a long operation moves data.

use std::time::{Duration, Instant};

use super::work::{Job, TICK};
use crate::error::Result;
use crate::sync::{Condvar, Mutex, Rank};

/// So many bytes a second, counted from when the operation began.
#[derive(Debug)]
pub(super) struct Rate {
    /// None: as fast as it goes.
    bytes_per_second: Option<u64>,
    begun: Instant,
    moved: Mutex<u64>,
    waiting: Condvar,
}

impl Rate {
    pub(super) fn new(bytes_per_second: Option<u64>) -> Self {
        let bytes_per_second = bytes_per_second.filter(|rate| *rate > 0);
        let moved = Mutex::new(Rank::Work, 0);
        Self { bytes_per_second, begun: Instant::now(), moved, waiting: Condvar::new() }
    }

    /// Waits until `bytes` more may have been moved.
    ///
    /// # Errors
    /// The job was stopped.
    pub(super) fn take(&self, bytes: u64, job: &Job) -> Result<()> {
        self.take_while(bytes, &|| job.check())
    }

    /// As [`take`](Self::take), for as long as `check` lets it wait. What is not waited for stays
    /// owed to the next call.
    ///
    /// # Errors
    /// What `check` reports.
    pub(super) fn take_while(&self, bytes: u64, check: &dyn Fn() -> Result<()>) -> Result<()> {
        let Some(rate) = self.bytes_per_second else { return check() };
        let mut moved = self.moved.lock();
        *moved = moved.saturating_add(bytes);
        let nanoseconds = u128::from(*moved) * 1_000_000_000 / u128::from(rate);
        let due = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        loop {
            check()?;
            let Some(left) = due.checked_sub(self.begun.elapsed()) else { return Ok(()) };
            self.waiting.wait_for(&mut moved, left.min(TICK));
        }
    }
}
