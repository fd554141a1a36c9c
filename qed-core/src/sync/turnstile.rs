//! A way in that can be closed: those inside are counted, and whoever closes it waits until they
//! have left.
//!
//! Entering and leaving are two atomic operations on a counter that few threads share, and a look
//! at a flag that is seldom written.
//!
//! Invariants: between [`close`](Turnstile::close) and [`open`](Turnstile::open) nobody is inside.
//! Whoever enters counts itself, then looks at the flag; whoever closes sets the flag, then looks
//! at the counts: so of the two at least one sees the other. And whoever waits when it opens goes
//! in before it closes again, however soon that is wanted: so nobody is kept out for ever.

use super::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use super::{Condvar, Mutex, Rank, lane_of_thread};

const LANES: usize = 16;

#[derive(Debug)]
pub(crate) struct Turnstile {
    closed: AtomicBool,
    /// Boxed: whoever holds a disk inside an object of another language cannot align it so far.
    lanes: Box<[Lane; LANES]>,
    /// Held for a look only, by those who wait.
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Who waits to go in.
    callers: usize,
    /// How many of them waited when it opened, and are not in yet.
    owed: usize,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane(AtomicU64);

/// Somebody is inside; they leave when this is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Passage<'a> {
    turnstile: &'a Turnstile,
    lane: usize,
}

/// A passage as plain data: it outlives the call that entered.
#[derive(Debug)]
#[must_use]
pub(crate) struct PassageTicket(usize);

impl Passage<'_> {
    /// The passage, which ends when somebody has [attached](Turnstile::attach) and dropped it.
    pub(crate) fn detach(self) -> PassageTicket {
        let ticket = PassageTicket(self.lane);
        std::mem::forget(self);
        ticket
    }
}

impl Turnstile {
    /// One that is open.
    pub(crate) fn new() -> Self {
        Self {
            closed: AtomicBool::new(false),
            lanes: Default::default(),
            waiting: Mutex::new(Rank::Turnstile, Waiting::default()),
            changed: Condvar::new(),
        }
    }

    /// Goes in, where it is open.
    pub(crate) fn try_enter(&self) -> Option<Passage<'_>> {
        let lane = lane_of_thread() % LANES;
        self.lanes[lane].0.fetch_add(1, SeqCst);
        // Dropped where it is closed, the passage wakes whoever closed it and saw this count.
        let passage = Passage { turnstile: self, lane };
        (!self.closed.load(SeqCst)).then_some(passage)
    }

    /// The passage that `ticket`, of this turnstile, stands for.
    pub(crate) fn attach(&self, ticket: PassageTicket) -> Passage<'_> {
        Passage { turnstile: self, lane: ticket.0 }
    }

    /// Waits until it is open, and goes in.
    pub(crate) fn wait_and_enter(&self) -> Passage<'_> {
        let mut waiting = self.waiting.lock();
        waiting.callers += 1;
        while self.closed.load(SeqCst) {
            self.changed.wait(&mut waiting);
        }
        // Nobody closes it while the lock is held.
        let lane = lane_of_thread() % LANES;
        self.lanes[lane].0.fetch_add(1, SeqCst);
        waiting.callers -= 1;
        waiting.owed = waiting.owed.saturating_sub(1);
        self.changed.notify_all();
        Passage { turnstile: self, lane }
    }

    /// Lets nobody in any more, once those are in who waited when it opened, and returns when
    /// everybody has left.
    pub(crate) fn close(&self) {
        let mut waiting = self.waiting.lock();
        while waiting.owed > 0 {
            self.changed.wait(&mut waiting);
        }
        self.closed.store(true, SeqCst);
        while self.lanes.iter().any(|lane| lane.0.load(SeqCst) > 0) {
            self.changed.wait(&mut waiting);
        }
    }

    /// Whether nobody is let in.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    /// Lets everybody in again.
    pub(crate) fn open(&self) {
        let mut waiting = self.waiting.lock();
        waiting.owed = waiting.callers;
        self.closed.store(false, SeqCst);
        self.changed.notify_all();
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        self.turnstile.lanes[self.lane].0.fetch_sub(1, SeqCst);
        if self.turnstile.closed.load(SeqCst) {
            let _waiting = self.turnstile.waiting.lock();
            self.turnstile.changed.notify_all();
        }
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64 as Counter;

    #[test]
    fn nobody_is_inside_what_is_closed() {
        // Goal: the invariant under real threads. Method: those inside count themselves; whoever
        // has closed it must find nobody, and a value that only it changes.
        let (turnstile, inside, value) = (Turnstile::new(), Counter::new(0), Counter::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut passed = 0;
                    while passed < 5_000 {
                        let passage =
                            turnstile.try_enter().unwrap_or_else(|| turnstile.wait_and_enter());
                        inside.fetch_add(1, SeqCst);
                        let before = value.load(SeqCst);
                        std::thread::yield_now();
                        assert_eq!(value.load(SeqCst), before);
                        inside.fetch_sub(1, SeqCst);
                        drop(passage);
                        passed += 1;
                    }
                });
            }
            for _ in 0..200 {
                turnstile.close();
                assert_eq!(inside.load(SeqCst), 0);
                value.fetch_add(1, SeqCst);
                turnstile.open();
            }
        });
    }

    #[test]
    fn who_waits_goes_in_before_it_closes_again() {
        // Goal: nobody is kept out by who closes and opens without a pause. Method: one is known to
        // wait each time it opens, and must have been in when it is closed the next moment.
        const TIMES: u64 = 200;
        let (turnstile, entered) = (Turnstile::new(), Counter::new(0));
        let over = AtomicBool::new(false);
        turnstile.close();
        let in_time = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(SeqCst) {
                    let passage = turnstile.wait_and_enter();
                    entered.fetch_add(1, SeqCst);
                    drop(passage);
                    while !turnstile.is_closed() && !over.load(SeqCst) {
                        std::thread::yield_now();
                    }
                }
            });
            let in_time = (1..=TIMES).take_while(|time| {
                while turnstile.waiting.lock().callers == 0 {
                    std::thread::yield_now();
                }
                turnstile.open();
                turnstile.close();
                entered.load(SeqCst) == *time
            });
            let in_time = in_time.count() as u64;
            over.store(true, SeqCst);
            turnstile.open();
            in_time
        });
        assert_eq!(in_time, TIMES);
    }
}

#[cfg(all(test, feature = "shuttle"))]
mod models {
    use super::super::thread;
    use super::*;
    use std::sync::Arc;

    /// Goal: both invariants, and that nobody is left waiting. Method: one closes and opens three
    /// times while two come and go; whoever would wait for ever is a deadlock that the scheduler
    /// reports.
    #[test]
    fn model_nobody_is_inside_a_closed_turnstile() {
        let run = || {
            let turnstile = Arc::new(Turnstile::new());
            let (inside, entered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
            let callers: Vec<_> = (0..2)
                .map(|_| {
                    let (turnstile, inside) = (Arc::clone(&turnstile), Arc::clone(&inside));
                    let entered = Arc::clone(&entered);
                    thread::spawn(move || {
                        let passage =
                            turnstile.try_enter().unwrap_or_else(|| turnstile.wait_and_enter());
                        inside.fetch_add(1, SeqCst);
                        entered.fetch_add(1, SeqCst);
                        inside.fetch_sub(1, SeqCst);
                        drop(passage);
                    })
                })
                .collect();
            let mut due = 0;
            for _ in 0..3 {
                turnstile.close();
                assert_eq!(inside.load(SeqCst), 0);
                assert!(entered.load(SeqCst) >= due, "whoever waited is in by now");
                due = entered.load(SeqCst) + turnstile.waiting.lock().callers as u64;
                turnstile.open();
            }
            callers.into_iter().for_each(|caller| caller.join().unwrap());
        };
        shuttle::check_random(run, 2000);
    }
}
