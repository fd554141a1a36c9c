//! Guest clusters whose mapping is being changed: one change at a time for each, in arrival order.
//!
//! Changes of different clusters run in parallel. A claim is logical: it is held while data moves,
//! no lock is. Whoever takes several claims takes them in ascending order, so nobody waits in a
//! circle.

use std::collections::{HashMap, VecDeque};

use crate::sync::{Condvar, Mutex, Rank};

/// What is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Claim {
    /// The disk's size.
    Size,
    /// The L1 entry with this index.
    Table(u64),
    /// The L2 entry of this guest cluster.
    Cluster(u64),
}

#[derive(Debug)]
pub(crate) struct Claims {
    queues: Mutex<Queues>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct Queues {
    /// For each claimed thing, who holds it (in front) and who waits.
    lines: HashMap<Claim, VecDeque<u64>>,
    next_ticket: u64,
}

/// Claims held; they are given up when dropped.
#[derive(Debug)]
pub(crate) struct Claimed<'a> {
    claims: &'a Claims,
    held: Vec<Claim>,
}

/// Claims held, as plain data: they outlive the call that took them.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct ClaimTicket(Vec<Claim>);

impl Claimed<'_> {
    /// The claims, which are given up when somebody has [attached](Claims::attach) and dropped
    /// them.
    pub(crate) fn detach(mut self) -> ClaimTicket {
        ClaimTicket(std::mem::take(&mut self.held))
    }
}

impl Claims {
    pub(crate) fn new() -> Self {
        Self { queues: Mutex::new(Rank::Claims, Queues::default()), released: Condvar::new() }
    }

    /// Takes every claim of `wanted` (ascending), waiting for those who came before.
    pub(crate) fn take(&self, wanted: impl IntoIterator<Item = Claim>) -> Claimed<'_> {
        let mut claimed = Claimed { claims: self, held: Vec::new() };
        let mut queues = self.queues.lock();
        let ticket = queues.next_ticket;
        queues.next_ticket += 1;
        for claim in wanted {
            debug_assert!(claimed.held.last().is_none_or(|last| *last < claim));
            queues.lines.entry(claim).or_default().push_back(ticket);
            while queues.lines.get(&claim).and_then(VecDeque::front) != Some(&ticket) {
                self.released.wait(&mut queues);
            }
            claimed.held.push(claim);
        }
        claimed
    }

    /// Takes every claim of `wanted`, or none of them where that would mean to wait.
    pub(crate) fn try_take(&self, wanted: impl IntoIterator<Item = Claim>) -> Option<Claimed<'_>> {
        let held: Vec<Claim> = wanted.into_iter().collect();
        let mut queues = self.queues.lock();
        if held.iter().any(|claim| queues.lines.contains_key(claim)) {
            return None;
        }
        let ticket = queues.next_ticket;
        queues.next_ticket += 1;
        for claim in &held {
            queues.lines.entry(*claim).or_default().push_back(ticket);
        }
        Some(Claimed { claims: self, held })
    }

    /// The claims that `ticket`, of these lines, stands for.
    pub(crate) fn attach(&self, ticket: ClaimTicket) -> Claimed<'_> {
        Claimed { claims: self, held: ticket.0 }
    }
}

#[cfg(feature = "crash")]
impl Claims {
    fn holds(&self, claim: Claim) -> bool {
        self.queues.lock().lines.contains_key(&claim)
    }
}

#[cfg(feature = "crash")]
impl crate::meta::Meta {
    /// Whether somebody has claimed a cluster of this range, or a table that has to be made for it.
    pub(crate) fn is_claimed(&self, offset: u64, length: u64) -> bool {
        let last = offset.saturating_add(length.max(1)) - 1;
        let (first, last) = (self.guest_cluster(offset), self.guest_cluster(last));
        (first.get()..=last.get()).any(|cluster| {
            let index = self.geometry.l1_index(crate::addr::GuestCluster(cluster));
            let makes_table = matches!(self.table_at(index), Ok(None));
            self.claims.holds(Claim::Cluster(cluster))
                || makes_table && self.claims.holds(Claim::Table(index))
        })
    }

    /// Whether a flush would wait for a write or a sync that is going on.
    pub(crate) fn is_writing(&self) -> bool {
        let is_held = self.held.is_set() || self.clock.is_syncing();
        is_held || self.unstable.all().iter().any(|slice| slice.is_held())
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let mut queues = self.claims.queues.lock();
        let mut somebody_waits = false;
        for claim in &self.held {
            if let Some(line) = queues.lines.get_mut(claim) {
                line.pop_front();
                somebody_waits |= !line.is_empty();
                if line.is_empty() {
                    queues.lines.remove(claim);
                }
            }
        }
        drop(queues);
        if somebody_waits {
            self.claims.released.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex as StdMutex;
    use std::sync::mpsc;

    #[test]
    fn a_claim_waits_for_the_one_before() {
        let claims = Claims::new();
        let order = StdMutex::new(Vec::new());
        let first = claims.take([Claim::Cluster(1), Claim::Cluster(2)]);
        let (queued, is_queued) = mpsc::channel();
        std::thread::scope(|scope| {
            let (claims, order) = (&claims, &order);
            scope.spawn(move || {
                queued.send(()).unwrap();
                let held = claims.take([Claim::Cluster(2)]);
                order.lock().unwrap().push("second");
                drop(held);
            });
            is_queued.recv().unwrap();
            drop(claims.take([Claim::Cluster(3)]));
            order.lock().unwrap().push("first");
            drop(first);
        });
        assert_eq!(*order.lock().unwrap(), ["first", "second"]);
        assert!(claims.queues.lock().lines.is_empty());
    }

    #[test]
    fn who_does_not_wait_takes_all_or_none() {
        let claims = Claims::new();
        let ticket = claims.take([Claim::Cluster(2)]).detach();
        assert!(claims.try_take([Claim::Cluster(1), Claim::Cluster(2)]).is_none());
        let free = claims.try_take([Claim::Cluster(1), Claim::Cluster(3)]).unwrap();
        assert!(claims.try_take([Claim::Cluster(3)]).is_none());
        drop((free, claims.attach(ticket)));
        drop(claims.take([Claim::Cluster(1), Claim::Cluster(2), Claim::Cluster(3)]));
        assert!(claims.queues.lock().lines.is_empty());
    }
}
