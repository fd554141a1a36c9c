//! Completions on their way from the threads that made them to the queue's owner.
//!
//! Whoever puts the first completion in wakes the owner; the event, where one was asked for, is
//! readable as long as completions wait. It is changed under the lock, so that it never says
//! something else than the list does.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::event::Event;
use super::request::Completion;
use crate::error::{Error, Result};
use crate::sync::{Condvar, Mutex, Rank};

#[derive(Debug)]
pub(super) struct Inbox {
    done: Mutex<VecDeque<Completion>>,
    arrived: Condvar,
    event: OnceLock<Event>,
}

impl Inbox {
    pub(super) fn new() -> Self {
        let done = Mutex::new(Rank::Queue, VecDeque::new());
        Self { done, arrived: Condvar::new(), event: OnceLock::new() }
    }

    pub(super) fn put(&self, completion: Completion) {
        let mut done = self.done.lock();
        done.push_back(completion);
        if done.len() == 1 {
            self.arrived.notify_one();
            if let Some(event) = self.event.get() {
                event.signal();
            }
        }
    }

    /// Moves at most `most` completions to `out` and says how many.
    pub(super) fn take(&self, out: &mut Vec<Completion>, most: usize) -> usize {
        let mut done = self.done.lock();
        let count = most.min(done.len());
        out.extend(done.drain(..count));
        if let Some(event) = self.event.get()
            && done.is_empty()
        {
            event.clear();
        }
        count
    }

    /// Waits until a completion is there, or the deadline has passed.
    pub(super) fn wait(&self, deadline: Option<Instant>) {
        let mut done = self.done.lock();
        while done.is_empty() {
            match left(deadline) {
                None => self.arrived.wait(&mut done),
                Some(Duration::ZERO) => return,
                Some(left) => self.arrived.wait_for(&mut done, left),
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
        let done = self.done.lock();
        let event = self.event.get_or_init(|| made);
        if !done.is_empty() {
            event.signal();
        }
        Ok(event)
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
