//! Who may write to a block while another write reads it, changes it and writes it back (rule C8).
//!
//! Invariant G1: between the read and the end of the write of a read-modify-write of a block, no
//! other change that touches the block runs. Invariant G2: a thread waits only for shards above
//! those it holds (sharers take them in ascending order, and whoever is alone holds only one), so
//! nobody waits in a circle. Invariant G3: each shard is entered in order of arrival, so nobody
//! waits for ever.
//!
//! The file is cut into regions of 1 MiB, each of which belongs to one of 64 shards. A change of
//! whole blocks shares the shards of its range with all others of its kind; only a
//! read-modify-write has its one shard alone. No lock is held while data moves: a shard is a count
//! behind a mutex that is taken to enter and to leave. Neither are the guards bound to a thread.

use crate::sync::{Condvar, Mutex, Rank};

/// The entrance to a file's blocks.
#[derive(Debug)]
pub(super) struct Gate {
    /// [`SHARDS`] of them.
    shards: [Shard; 64],
}

#[derive(Debug)]
struct Shard {
    turn: Mutex<Turn>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Turn {
    /// Those who came get numbers; they enter by number.
    next: u64,
    serving: u64,
    /// Changes of whole blocks that are inside.
    sharers: u64,
    /// A read-modify-write is inside.
    alone: bool,
}

/// Inside together with others that change whole blocks.
#[must_use]
#[derive(Debug)]
pub(super) struct Shared<'a> {
    gate: &'a Gate,
    /// One bit for each shard.
    shards: u64,
}

/// Inside alone.
#[must_use]
#[derive(Debug)]
pub(super) struct Alone<'a> {
    shard: &'a Shard,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Shard::new()) }
    }

    /// Enters to change whole blocks of `start..end`.
    pub(super) fn share(&self, start: u64, end: u64) -> Shared<'_> {
        let shards = shards_of(start, end);
        for shard in self.members(shards) {
            shard.enter(false);
        }
        Shared { gate: self, shards }
    }

    /// As [`share`](Self::share), as plain data for [`leave_shared`](Self::leave_shared). None
    /// where that would wait.
    pub(super) fn try_share(&self, start: u64, end: u64) -> Option<u64> {
        let shards = shards_of(start, end);
        let mut entered = 0;
        for index in 0..SHARDS {
            let bit = 1 << index;
            if shards & bit == 0 {
                continue;
            }
            if self.members(bit).all(Shard::try_enter_shared) {
                entered |= bit;
            } else {
                self.leave_shared(entered);
                return None;
            }
        }
        Some(shards)
    }

    /// Leaves what [`try_share`](Self::try_share) entered.
    pub(super) fn leave_shared(&self, shards: u64) {
        for shard in self.members(shards) {
            shard.leave(false);
        }
    }

    /// Enters to read, change and write back the block at `offset`.
    pub(super) fn alone(&self, offset: u64) -> Alone<'_> {
        let index = usize::try_from(offset / REGION % SHARDS).unwrap_or(0);
        let shard = &self.shards[index];
        shard.enter(true);
        Alone { shard }
    }

    /// The shards of a set, in ascending order.
    fn members(&self, shards: u64) -> impl Iterator<Item = &Shard> {
        let all = self.shards.iter().enumerate();
        all.filter(move |(index, _)| shards >> index & 1 == 1).map(|(_, shard)| shard)
    }
}

impl Shard {
    fn new() -> Self {
        Self { turn: Mutex::new(Rank::Storage, Turn::default()), changed: Condvar::new() }
    }

    fn enter(&self, alone: bool) {
        let mut turn = self.turn.lock();
        let mine = turn.next;
        turn.next += 1;
        while turn.serving != mine || turn.alone || (alone && turn.sharers > 0) {
            self.changed.wait(&mut turn);
        }
        turn.serving += 1;
        if alone {
            turn.alone = true;
        } else {
            turn.sharers += 1;
        }
        // The next in line may be a sharer too.
        if turn.serving != turn.next {
            self.changed.notify_all();
        }
    }

    /// Enters together with others, where nobody is alone or has come before.
    fn try_enter_shared(&self) -> bool {
        let mut turn = self.turn.lock();
        let free = turn.serving == turn.next && !turn.alone;
        turn.sharers += u64::from(free);
        free
    }

    fn leave(&self, alone: bool) {
        let mut turn = self.turn.lock();
        if alone {
            turn.alone = false;
        } else {
            turn.sharers -= 1;
        }
        if turn.serving != turn.next {
            self.changed.notify_all();
        }
    }
}

impl Drop for Shared<'_> {
    fn drop(&mut self) {
        self.gate.leave_shared(self.shards);
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.shard.leave(true);
    }
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
