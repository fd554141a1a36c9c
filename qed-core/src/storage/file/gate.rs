//! Who may write to a block while another write reads it, changes it and writes it back (rule C8).
//!
//! Invariant G1: between the read and the end of the write of a read-modify-write of a block, no
//! other change that touches the block runs. Invariant G2: a thread waits only for shards above
//! those it holds (sharers take them in ascending order, and whoever is alone holds only one), so
//! nobody waits in a circle. Invariant G3: while anybody wants to be alone, a shard is
//! entered in order of arrival, so nobody waits for ever.
//!
//! The file is cut into regions of 1 MiB, each of which belongs to one of 64 shards. A change of
//! whole blocks shares the shards of its range with all others of its kind; only a
//! read-modify-write has its one shard alone. No lock is held while data moves, and none is taken
//! to change whole blocks while nobody wants to be alone: such a change is counted in its thread's
//! lane, and looks at a word that only read-modify-writes write. Neither are the guards bound to a
//! thread.

use crate::sync::atomic::{AtomicU64, Ordering::SeqCst};
use crate::sync::{Apart, Condvar, Mutex, MutexGuard, Rank, lane_of_thread};

/// The entrance to a file's blocks.
#[derive(Debug)]
pub(super) struct Gate {
    /// [`SHARDS`] of them.
    shards: Box<[Shard]>,
    /// Changes of whole blocks that are inside, by the lane of the thread that entered: [`LANES`].
    lanes: Box<[Lane]>,
}

#[derive(Debug)]
struct Shard {
    /// Read-modify-writes that are inside or wait. Seldom written.
    barred: Apart<AtomicU64>,
    turn: Mutex<Turn>,
    changed: Condvar,
}

/// A count for each shard.
#[derive(Debug)]
#[repr(align(128))]
struct Lane([AtomicU64; 64]);

#[derive(Debug, Default)]
struct Turn {
    /// Those who came to wait get numbers; they enter by number.
    next: u64,
    serving: u64,
    /// A read-modify-write is inside.
    alone: bool,
}

/// Inside together with others that change whole blocks, as plain data.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sharing {
    /// One bit for each shard.
    shards: u64,
    lane: usize,
}

/// Inside together with others that change whole blocks.
#[must_use]
#[derive(Debug)]
pub(super) struct Shared<'a> {
    gate: &'a Gate,
    sharing: Sharing,
}

/// Inside alone.
#[must_use]
#[derive(Debug)]
pub(super) struct Alone<'a> {
    shard: &'a Shard,
}

impl Gate {
    pub(super) fn new() -> Self {
        let lane = |_| Lane(std::array::from_fn(|_| AtomicU64::new(0)));
        let shards = (0..SHARDS).map(|_| Shard::new()).collect();
        Self { shards, lanes: (0..LANES).map(lane).collect() }
    }

    /// Enters to change whole blocks of `start..end`.
    pub(super) fn share(&self, start: u64, end: u64) -> Shared<'_> {
        let sharing = Sharing { shards: shards_of(start, end), lane: lane_of_thread() % LANES };
        for index in members(sharing.shards) {
            let count = &self.lanes[sharing.lane].0[index];
            if !self.shards[index].try_enter(count) {
                self.shards[index].wait(|| Some(count.fetch_add(1, SeqCst)));
            }
        }
        Shared { gate: self, sharing }
    }

    /// As [`share`](Self::share), as plain data for [`leave`](Self::leave). None where that would
    /// wait.
    pub(super) fn try_share(&self, start: u64, end: u64) -> Option<Sharing> {
        let shards = shards_of(start, end);
        let mut entered = Sharing { shards: 0, lane: lane_of_thread() % LANES };
        for index in members(shards) {
            if !self.shards[index].try_enter(&self.lanes[entered.lane].0[index]) {
                self.leave(entered);
                return None;
            }
            entered.shards |= 1 << index;
        }
        Some(entered)
    }

    /// Leaves what was entered together with others.
    pub(super) fn leave(&self, sharing: Sharing) {
        for index in members(sharing.shards) {
            self.lanes[sharing.lane].0[index].fetch_sub(1, SeqCst);
            self.shards[index].tell();
        }
    }

    /// Enters to read, change and write back the block at `offset`.
    pub(super) fn alone(&self, offset: u64) -> Alone<'_> {
        let index = usize::try_from(offset / REGION % SHARDS).unwrap_or(0);
        let shard = &self.shards[index];
        shard.barred.fetch_add(1, SeqCst);
        let is_empty = || self.lanes.iter().all(|lane| lane.0[index].load(SeqCst) == 0);
        shard.wait(|| is_empty().then_some(0)).alone = true;
        Alone { shard }
    }
}

impl Shard {
    fn new() -> Self {
        Self {
            barred: Apart(AtomicU64::new(0)),
            turn: Mutex::new(Rank::Storage, Turn::default()),
            changed: Condvar::new(),
        }
    }

    /// Enters together with others, counted by `count`, where nobody is alone or waits for it.
    fn try_enter(&self, count: &AtomicU64) -> bool {
        // Counted first, then looked: whoever wants to be alone does it the other way round, so at
        // least one of the two sees the other.
        count.fetch_add(1, SeqCst);
        if self.barred.load(SeqCst) == 0 {
            return true;
        }
        count.fetch_sub(1, SeqCst);
        self.tell();
        false
    }

    /// Waits for its turn, and from then on until nobody is alone and `enter` says that it has
    /// entered.
    fn wait(&self, mut enter: impl FnMut() -> Option<u64>) -> MutexGuard<'_, Turn> {
        let mut turn = self.turn.lock();
        let mine = turn.next;
        turn.next += 1;
        while turn.serving != mine || turn.alone || enter().is_none() {
            self.changed.wait(&mut turn);
        }
        turn.serving += 1;
        // The next in line may be a sharer too.
        if turn.serving != turn.next {
            self.changed.notify_all();
        }
        turn
    }

    /// Tells those who wait that somebody has left.
    fn tell(&self) {
        if self.barred.load(SeqCst) > 0 {
            let _turn = self.turn.lock();
            self.changed.notify_all();
        }
    }
}

impl Drop for Shared<'_> {
    fn drop(&mut self) {
        self.gate.leave(self.sharing);
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        let mut turn = self.shard.turn.lock();
        turn.alone = false;
        self.shard.barred.fetch_sub(1, SeqCst);
        if turn.serving != turn.next {
            self.shard.changed.notify_all();
        }
    }
}

/// The shards of a set, in ascending order.
fn members(shards: u64) -> impl Iterator<Item = usize> {
    (0..64).filter(move |index| shards >> index & 1 == 1)
}

/// The shards of a range, one bit each. An empty range has those of its start.
fn shards_of(start: u64, end: u64) -> u64 {
    let first = start / REGION;
    let last = end.saturating_sub(1).max(start) / REGION;
    if last - first >= SHARDS - 1 {
        return u64::MAX;
    }
    (first..=last).fold(0, |set, region| set | 1 << (region % SHARDS))
}

/// Counts of threads that few share.
const LANES: usize = 16;
/// One bit of a u64 for each.
const SHARDS: u64 = 64;
/// Far more than a block or a page, so that both lie in one region.
const REGION: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_name_their_shards() {
        assert_eq!(shards_of(0, 0), 1);
        assert_eq!(shards_of(0, REGION), 1);
        assert_eq!(shards_of(REGION - 1, REGION + 1), 0b11);
        assert_eq!(shards_of(63 * REGION, 65 * REGION), 1 << 63 | 1);
        assert_eq!(shards_of(5 * REGION, 68 * REGION), u64::MAX ^ 1 << 4);
        assert_eq!(shards_of(5 * REGION, 69 * REGION), u64::MAX);
        assert_eq!(shards_of(100, u64::MAX), u64::MAX);
    }

    /// Threads that share and threads that are alone take turns on a counter that only the gate
    /// protects: a lost increment or a torn pair shows that G1 is broken.
    #[cfg(not(feature = "shuttle"))]
    #[test]
    fn alone_means_alone() {
        use std::sync::atomic::{AtomicU64, Ordering};
        let gate = Gate::new();
        let (inside, count) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (gate, inside, count) = (&gate, &inside, &count);
                scope.spawn(move || {
                    for round in 0..500 {
                        if (thread + round) % 2 == 0 {
                            let _guard = gate.alone(REGION);
                            assert_eq!(inside.load(Ordering::SeqCst), 0);
                            let seen = count.load(Ordering::SeqCst);
                            std::thread::yield_now();
                            count.store(seen + 1, Ordering::SeqCst);
                        } else {
                            let _guard = gate.share(0, 3 * REGION);
                            inside.fetch_add(1, Ordering::SeqCst);
                            std::thread::yield_now();
                            inside.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        assert_eq!(count.load(Ordering::SeqCst), 1000);
    }

    #[cfg(not(feature = "shuttle"))]
    #[test]
    fn sharers_are_inside_together() {
        let gate = Gate::new();
        let first = gate.share(0, REGION);
        let second = gate.share(0, REGION);
        drop((first, second));
        drop(gate.alone(0));
        drop(gate.share(0, REGION));
    }

    /// Every interleaving the scheduler tries ends, and keeps G1.
    #[cfg(feature = "shuttle")]
    #[test]
    fn model_nobody_waits_in_a_circle() {
        use crate::sync::atomic::{AtomicU64, Ordering};
        use crate::sync::thread;
        use std::sync::Arc;
        shuttle::check_random(
            || {
                let gate = Arc::new(Gate::new());
                let inside = Arc::new(AtomicU64::new(0));
                let ranges = [(0, 2), (64, 66), (63, 65)];
                let mut threads = Vec::new();
                for (start, end) in ranges {
                    let (gate, inside) = (Arc::clone(&gate), Arc::clone(&inside));
                    threads.push(thread::spawn(move || {
                        let _guard = gate.share(start * REGION, end * REGION);
                        inside.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }));
                }
                for region in [0, 64, 1] {
                    let (gate, inside) = (Arc::clone(&gate), Arc::clone(&inside));
                    threads.push(thread::spawn(move || {
                        let _guard = gate.alone(region * REGION);
                        if region != 1 {
                            // Shard 0, which every range touches.
                            assert_eq!(inside.load(Ordering::SeqCst), 0);
                        }
                    }));
                }
                for thread in threads {
                    thread.join().unwrap();
                }
            },
            5000,
        );
    }
}
