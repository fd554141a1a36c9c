//! Calls that wait for a test.

use crate::sync::{Condvar, Mutex, Rank};
use std::sync::Arc;

/// Where the calls of one rule wait.
#[derive(Debug)]
pub(super) struct Hold {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Calls that came; each has its number, from 1.
    came: u64,
    /// Calls that went on.
    left: u64,
    /// Calls up to this number may go on.
    released: u64,
    /// All may, and later ones do not stop.
    open: bool,
}

impl Hold {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(Rank::Storage, State::default()), changed: Condvar::new() }
    }

    /// Waits until released.
    pub(super) fn stay(&self) {
        let mut state = self.state.lock();
        state.came += 1;
        let number = state.came;
        self.changed.notify_all();
        while !state.open && state.released < number {
            self.changed.wait(&mut state);
        }
        state.left += 1;
        self.changed.notify_all();
    }
}

/// A handle on the calls that a rule holds. Dropping it releases them, so that a test that fails
/// does not hang.
#[derive(Debug)]
#[must_use]
pub struct Held {
    hold: Arc<Hold>,
}

impl Held {
    pub(super) fn new(hold: Arc<Hold>) -> Self {
        Self { hold }
    }

    /// Waits until a call is held.
    pub fn wait(&self) {
        self.wait_for_calls(1);
    }

    /// Waits until so many calls are held at once.
    pub fn wait_for_calls(&self, calls: u64) {
        let mut state = self.hold.state.lock();
        while !state.open && state.came - state.left < calls {
            self.hold.changed.wait(&mut state);
        }
    }

    /// Calls that are held now.
    #[must_use]
    pub fn count(&self) -> u64 {
        let state = self.hold.state.lock();
        state.came - state.left
    }

    /// Lets the call go on that was held first, or, where none is held, the next one that comes.
    pub fn release_one(&self) {
        self.hold.state.lock().released += 1;
        self.hold.changed.notify_all();
    }

    /// Lets all calls go on; later ones do not stop.
    pub fn release(&self) {
        self.hold.state.lock().open = true;
        self.hold.changed.notify_all();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}
