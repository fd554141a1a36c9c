//! What a sync covers, and who syncs.
//!
//! Syncs are numbered in the order of their issue. An event takes a [`Stamp`] when it has
//! completed: the number of syncs issued so far. A sync covers an event if it was *issued* after
//! the event completed and succeeded, that is, if its number is above the stamp. Everything the
//! protocol says about "after a sync" is a comparison of these two numbers.
//!
//! Callers that want a sync at the same time share one: whoever comes while a sync is in flight
//! waits for it and, where it began too early for them, one of the waiters issues the next. The
//! others of those sleep on until that one has ended.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::storage::Storage;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use crate::sync::{Condvar, Mutex, Rank};

/// The number of syncs that had been issued when an event completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(u64);

#[derive(Debug)]
pub(crate) struct Clock {
    storage: Arc<dyn Storage>,
    issued: AtomicU64,
    covered: AtomicU64,
    /// The stamp of the newest completed data write. Begins as "never covered", so that the first
    /// flush of a session also makes stable what an earlier, killed session left in the page cache.
    data: AtomicU64,
    syncing: Mutex<bool>,
    /// Where those wait who need a sync of an even number, and those who need one of an odd number.
    /// While number *n* is in flight, it is either *n* or *n* + 1 for everybody.
    synced: [Condvar; 2],
    /// Syncs are claimed and not made: only tests that break C14 do this.
    pretending: AtomicBool,
}

impl Clock {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self {
            storage,
            issued: AtomicU64::new(0),
            covered: AtomicU64::new(0),
            data: AtomicU64::new(0),
            syncing: Mutex::new(Rank::Clock, false),
            synced: [Condvar::new(), Condvar::new()],
            pretending: AtomicBool::new(false),
        }
    }

    /// The stamp of an event that has completed before this call.
    pub(crate) fn now(&self) -> Stamp {
        Stamp(self.issued.load(SeqCst))
    }

    /// Whether a successful sync was issued after the event of `stamp` completed.
    pub(crate) fn covers(&self, stamp: Stamp) -> bool {
        self.covered.load(SeqCst) > stamp.0
    }

    /// Whether the session has synced: what it found at open is stable (C1).
    pub(crate) fn has_synced(&self) -> bool {
        self.covers(Stamp(0))
    }

    /// Notes that a data write has completed.
    pub(crate) fn note_data(&self) {
        let now = self.issued.load(SeqCst);
        if self.data.load(SeqCst) < now {
            self.data.fetch_max(now, SeqCst);
        }
    }

    /// The stamp of the newest completed data write.
    pub(crate) fn newest_data(&self) -> Stamp {
        Stamp(self.data.load(SeqCst))
    }

    /// Returns once a sync covers `stamp`: without one where that is so already, with a shared one
    /// where others want the same.
    ///
    /// # Errors
    /// The sync failed; the storage has latched.
    pub(crate) fn sync_covering(&self, stamp: Stamp) -> Result<()> {
        let mut syncing = self.syncing.lock();
        loop {
            if self.covers(stamp) {
                return Ok(());
            }
            if *syncing {
                let number = self.issued.load(SeqCst);
                let needed = number.max(stamp.0 + 1);
                self.waiting_for(needed).wait(&mut syncing);
                continue;
            }
            *syncing = true;
            let number = self.issued.fetch_add(1, SeqCst) + 1;
            drop(syncing);
            let result = if self.pretending.load(SeqCst) { Ok(()) } else { self.storage.sync() };
            syncing = self.syncing.lock();
            *syncing = false;
            if result.is_ok() {
                self.covered.fetch_max(number, SeqCst);
                // First, so that the next one begins soon.
                self.waiting_for(number + 1).notify_one();
            } else {
                self.waiting_for(number + 1).notify_all();
            }
            self.waiting_for(number).notify_all();
            result.map_err(|error| Error::io("syncing the image", error))?;
        }
    }

    fn waiting_for(&self, number: u64) -> &Condvar {
        &self.synced[usize::from(number.is_multiple_of(2))]
    }

    /// Whether a sync is in flight.
    #[cfg(feature = "crash")]
    pub(crate) fn is_syncing(&self) -> bool {
        *self.syncing.lock()
    }

    pub(crate) fn pretend_syncs(&self, pretend: bool) {
        self.pretending.store(pretend, SeqCst);
    }

    /// A sync that covers everything that has completed before this call.
    ///
    /// # Errors
    /// As [`sync_covering`](Self::sync_covering).
    pub(crate) fn sync_now(&self) -> Result<()> {
        self.sync_covering(self.now())
    }
}
