//! The pool as the only engine of a queue.

use std::sync::Arc;
use std::time::Instant;

use super::Engine;
use super::event::Event;
use super::inbox::{Inbox, left};
use super::options::Aio;
use super::pool::{Job, Pool, do_only};
use super::request::{Completion, Request};
use crate::chain::Disk;
use crate::error::Result;

#[derive(Debug)]
pub(super) struct Threads {
    disk: Arc<Disk>,
    pool: Pool,
    inbox: Arc<Inbox>,
    /// What has not begun.
    held: Vec<Job>,
    /// What the pool has been given and has not been fetched.
    outside: usize,
}

impl Threads {
    pub(super) fn new(disk: Arc<Disk>, workers: usize) -> Self {
        let inbox = Arc::new(Inbox::new());
        let pool = Pool::new(Arc::clone(&disk), Arc::clone(&inbox), workers);
        Self { disk, pool, inbox, held: Vec::new(), outside: 0 }
    }

    fn take(&mut self, completions: &mut Vec<Completion>, most: usize) -> usize {
        let taken = self.inbox.take(completions, most);
        self.outside -= taken;
        taken
    }
}

impl Engine for Threads {
    fn aio(&self) -> Aio {
        Aio::Threads
    }

    fn start(&mut self, requests: &mut Vec<Request>) {
        self.held.extend(requests.drain(..).map(Job::Call));
    }

    fn submit(&mut self) {
        if !self.held.is_empty() {
            self.outside += self.held.len();
            self.pool.push(self.held.drain(..));
        }
    }

    fn reap(
        &mut self,
        completions: &mut Vec<Completion>,
        min: usize,
        max: usize,
        deadline: Option<Instant>,
    ) -> Result<usize> {
        let mut count = self.take(completions, max);
        if count < min
            && self.outside == 0
            && deadline.is_none()
            && let Some(done) = do_only(&mut self.held, &self.disk)
        {
            completions.push(done);
            return Ok(count + 1);
        }
        self.submit();
        while count < min && left(deadline).is_none_or(|left| !left.is_zero()) {
            self.inbox.wait(deadline);
            count += self.take(completions, max - count);
        }
        Ok(count)
    }

    fn event(&mut self) -> Result<&Event> {
        self.inbox.event()
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests;
