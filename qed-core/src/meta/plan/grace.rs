//! Requests in flight, counted by epochs, so that a cluster is not handed out while one holds it
//! (C9).
//!
//! A request enters before it looks at a table and leaves when its I/O has ended: two atomic
//! operations on a counter of its own processor's, no lock. A cluster unlinked at epoch `r` may
//! still be in the hands of requests that entered at `r` or before.
//!
//! Invariants:
//! 1. The epoch moves from `e` to `e + 1` only when no request that entered at `e - 1` is in
//!    flight.
//! 2. A request in flight since `e` therefore holds the epoch at `e + 1` or less.
//! 3. So at epoch `r + 2` every request that can have seen the cluster has left.

use std::time::Duration;

use crate::sync::atomic::{AtomicU64, Ordering::SeqCst};
use crate::sync::{Condvar, Mutex, Rank, lane_of_thread};

/// How long nobody waits for requests without looking whether they have left.
const TICK: Duration = Duration::from_millis(1);
const SHARDS: usize = 16;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    /// Requests in flight that entered at an even and at an odd epoch.
    active: [AtomicU64; 2],
}

/// The epochs of one image.
#[derive(Debug)]
pub(crate) struct Grace {
    epoch: AtomicU64,
    shards: [Shard; SHARDS],
}

/// When a cluster was unlinked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Epoch(u64);

/// A request in flight; it leaves when dropped.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    grace: &'a Grace,
    place: Place,
}

/// Where a request is counted.
#[derive(Clone, Copy, Debug)]
struct Place {
    shard: usize,
    parity: usize,
}

/// A request in flight as plain data: it outlives the call that began it.
#[derive(Debug)]
#[must_use]
pub(crate) struct RequestTicket(Place);

impl Request<'_> {
    /// The request, which leaves when somebody has [attached](Grace::attach) and dropped it.
    pub(crate) fn detach(self) -> RequestTicket {
        let ticket = RequestTicket(self.place);
        std::mem::forget(self);
        ticket
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.grace.shards[self.place.shard].active[self.place.parity].fetch_sub(1, SeqCst);
    }
}

impl Grace {
    pub(crate) fn new() -> Self {
        Self { epoch: AtomicU64::new(2), shards: Default::default() }
    }

    /// A request begins; tables it reads from here on name clusters that stay its own till it
    /// leaves.
    pub(crate) fn enter(&self) -> Request<'_> {
        let shard = lane_of_thread() % SHARDS;
        loop {
            let epoch = self.epoch.load(SeqCst);
            let place = Place { shard, parity: parity(epoch) };
            let counter = &self.shards[shard].active[place.parity];
            counter.fetch_add(1, SeqCst);
            if self.epoch.load(SeqCst) == epoch {
                return Request { grace: self, place };
            }
            // The epoch moved between the two looks: this count could stand for the wrong one.
            counter.fetch_sub(1, SeqCst);
        }
    }

    /// The request that `ticket`, of these epochs, stands for.
    pub(crate) fn attach(&self, ticket: RequestTicket) -> Request<'_> {
        Request { grace: self, place: ticket.0 }
    }

    /// The epoch of what has been unlinked before this call.
    pub(crate) fn unlinked_now(&self) -> Epoch {
        Epoch(self.epoch.load(SeqCst))
    }

    /// Whether every request that can have seen what was unlinked at `epoch` has left (3). Moves
    /// the epoch on where nothing stands in its way; never waits.
    pub(crate) fn has_passed(&self, epoch: Epoch) -> bool {
        while self.epoch.load(SeqCst) < epoch.0 + 2 {
            if !self.try_advance() {
                return false;
            }
        }
        true
    }

    /// Waits until every request that entered before this call has left.
    pub(crate) fn wait_for_requests(&self) {
        let before = self.unlinked_now();
        let turn = Mutex::new(Rank::Background, ());
        while !self.has_passed(before) {
            // Requests leave without telling anybody, which would cost each of them.
            Condvar::new().wait_for(&mut turn.lock(), TICK);
        }
    }

    fn try_advance(&self) -> bool {
        let epoch = self.epoch.load(SeqCst);
        let earlier = parity(epoch - 1);
        if self.shards.iter().any(|shard| shard.active[earlier].load(SeqCst) != 0) {
            return false;
        }
        // Somebody else may have moved it: the caller looks again.
        let _ = self.epoch.compare_exchange(epoch, epoch + 1, SeqCst, SeqCst);
        true
    }
}

fn parity(epoch: u64) -> usize {
    usize::from(epoch % 2 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_in_flight_holds_what_it_may_have_seen() {
        let grace = Grace::new();
        let request = grace.enter();
        let unlinked = grace.unlinked_now();
        assert!(!grace.has_passed(unlinked));
        let later = grace.enter();
        drop(request);
        assert!(!grace.has_passed(unlinked) || grace.unlinked_now() >= Epoch(unlinked.0 + 2));
        drop(later);
        assert!(grace.has_passed(unlinked));
    }

    #[test]
    fn a_detached_request_is_in_flight_until_it_is_attached_and_dropped() {
        let grace = Grace::new();
        let ticket = grace.enter().detach();
        let unlinked = grace.unlinked_now();
        assert!(!grace.has_passed(unlinked));
        std::thread::scope(|scope| scope.spawn(|| drop(grace.attach(ticket))).join().unwrap());
        assert!(grace.has_passed(unlinked));
    }

    #[test]
    fn requests_that_came_later_do_not_hold_it() {
        let grace = Grace::new();
        let unlinked = grace.unlinked_now();
        assert!(grace.has_passed(unlinked));
        let unlinked = grace.unlinked_now();
        let first = grace.enter();
        assert!(!grace.has_passed(unlinked), "entered at the same epoch: it may have seen it");
        let second = grace.enter();
        drop(first);
        // `second` entered one epoch later than `unlinked`: two advances are possible beside it.
        assert!(grace.has_passed(unlinked));
        drop(second);
    }

    #[test]
    fn no_epoch_passes_a_thread_inside() {
        // Goal: invariant 2 under real threads. Method: threads note the epoch they entered at.
        let grace = Grace::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let request = grace.enter();
                        let seen = grace.unlinked_now();
                        let _ = grace.has_passed(Epoch(seen.0));
                        assert!(grace.unlinked_now().0 <= seen.0 + 2);
                        drop(request);
                    }
                });
            }
        });
    }
}
