//! Completions on their way from the threads that made them to the queue's owner.
//!
//! Whoever puts the first completion in wakes the owner; the event, where one was asked for, is
//! readable as long as completions wait. It is changed under the lock, so that it never says
//! something else than the list does.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::event::Event;
use super::request::Completion;
use crate::error::{Error, Result};
use crate::sync::{Condvar, Mutex, OnceLock, Rank};

#[derive(Debug)]
pub(super) struct Inbox {
    state: Mutex<State>,
    arrived: Condvar,
    event: OnceLock<Event>,
}

#[derive(Debug, Default)]
struct State {
    done: VecDeque<Completion>,
    /// The event may be readable.
    signalled: bool,
    /// Somebody else makes the event readable, too.
    is_shared: bool,
}

impl Inbox {
    pub(super) fn new() -> Self {
        let state = Mutex::new(Rank::Queue, State::default());
        Self { state, arrived: Condvar::new(), event: OnceLock::new() }
    }

    pub(super) fn put(&self, completion: Completion) {
        let mut state = self.state.lock();
        state.done.push_back(completion);
        if state.done.len() == 1 {
            self.arrived.notify_one();
            self.signal(&mut state);
        }
    }

    /// Moves at most `most` completions to `out` and says how many.
    pub(super) fn take(&self, out: &mut Vec<Completion>, most: usize) -> usize {
        let mut state = self.state.lock();
        let count = most.min(state.done.len());
        out.extend(state.done.drain(..count));
        if state.done.is_empty()
            && (state.signalled || state.is_shared)
            && let Some(event) = self.event.get()
        {
            event.clear();
            state.signalled = false;
        }
        count
    }

    /// Waits until a completion is there, or the deadline has passed.
    pub(super) fn wait(&self, deadline: Option<Instant>) {
        let mut state = self.state.lock();
        while state.done.is_empty() {
            match left(deadline) {
                None => self.arrived.wait(&mut state),
                Some(Duration::ZERO) => return,
                Some(left) => self.arrived.wait_for(&mut state, left),
            }
        }
    }

    /// The event, made at the first call.
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub(super) fn event(&self) -> Result<&Event> {
        if let Some(event) = self.event.get() {
            return Ok(event);
        }
        let made = Event::new().map_err(|error| Error::io("making an eventfd", error))?;
        let mut state = self.state.lock();
        let event = self.event.get_or_init(|| made);
        if !state.done.is_empty() {
            self.signal(&mut state);
        }
        Ok(event)
    }

    /// Says that somebody else makes the event readable, too.
    pub(super) fn share_event(&self) {
        self.state.lock().is_shared = true;
    }

    fn signal(&self, state: &mut State) {
        if let Some(event) = self.event.get() {
            event.signal();
            state.signalled = true;
        }
    }
}

/// What is left until `deadline`; `None` where there is none.
pub(super) fn left(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;
    use crate::queue::buffers::Buffers;
    use std::io::Read;
    use std::os::fd::AsFd;

    fn completion(user_data: u64) -> Completion {
        Completion { user_data, result: Ok(()), buffers: Buffers::none() }
    }

    /// Reads what the event counts, and puts it back.
    fn is_signalled(event: &Event) -> bool {
        let copy = event.as_fd().try_clone_to_owned();
        let counted = copy.is_ok_and(|fd| std::fs::File::from(fd).read(&mut [0; 8]).is_ok());
        if counted {
            event.signal();
        }
        counted
    }

    #[test]
    fn the_event_is_readable_while_completions_wait() {
        let inbox = Inbox::new();
        inbox.put(completion(1));
        let event = inbox.event().unwrap();
        assert!(is_signalled(event), "made late");
        inbox.put(completion(2));
        let mut taken = Vec::new();
        assert_eq!(inbox.take(&mut taken, 1), 1);
        assert!(is_signalled(event), "one is left");
        assert_eq!(inbox.take(&mut taken, 9), 1);
        assert!(!is_signalled(event));
        assert_eq!(taken.iter().map(|done| done.user_data).collect::<Vec<_>>(), [1, 2]);
        inbox.put(completion(3));
        assert!(is_signalled(event));
    }

    #[test]
    fn a_wait_ends_at_its_deadline() {
        let inbox = Inbox::new();
        inbox.wait(Some(Instant::now()));
        assert_eq!(inbox.take(&mut Vec::new(), 1), 0);
    }
}
