//! Threads that make blocking calls, for one queue. They are started when there is work for them.
//!
//! As an engine, the pool does everything; beside a ring it does what would block the owner. Calls
//! may wait for each other only through the image, where nobody waits in a circle; so the pool may
//! be as small as one thread.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::event::Event;
use super::inbox::{Inbox, left};
use super::request::{Completion, Request};
use super::{Engine, options::Aio};
use crate::chain::Disk;
use crate::error::Result;
use crate::sync::{Condvar, Mutex, Rank, thread, without_signals};

#[derive(Debug)]
pub(super) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<thread::JoinHandle<()>>,
    most: usize,
}

#[derive(Debug)]
struct Shared {
    disk: Arc<Disk>,
    inbox: Arc<Inbox>,
    jobs: Mutex<Jobs>,
    called: Condvar,
}

#[derive(Debug, Default)]
struct Jobs {
    waiting: VecDeque<Request>,
    /// Threads that wait for work.
    idle: usize,
    ended: bool,
}

impl Pool {
    /// A pool of at most `most` threads, which put what they have done into `inbox`.
    pub(super) fn new(disk: Arc<Disk>, inbox: Arc<Inbox>, most: usize) -> Self {
        let jobs = Mutex::new(Rank::Queue, Jobs::default());
        let shared = Arc::new(Shared { disk, inbox, jobs, called: Condvar::new() });
        Self { shared, threads: Vec::new(), most }
    }

    /// Has `requests` done.
    pub(super) fn push(&mut self, requests: impl IntoIterator<Item = Request>) {
        let missing = {
            let mut jobs = self.shared.jobs.lock();
            jobs.waiting.extend(requests);
            let missing = jobs.waiting.len().saturating_sub(jobs.idle);
            if jobs.idle > 0 {
                self.shared.called.notify_all();
            }
            missing.min(self.most - self.threads.len())
        };
        for _ in 0..missing {
            let shared = Arc::clone(&self.shared);
            let builder = thread::Builder::new().name("qed-queue".into());
            match without_signals(|| builder.spawn(move || shared.work())) {
                Ok(thread) => self.threads.push(thread),
                Err(_) => break,
            }
        }
        if self.threads.is_empty() {
            // The system has no thread to give: the owner does the work.
            while self.shared.work_once() {}
        }
    }
}

impl Shared {
    fn work(&self) {
        loop {
            while self.work_once() {}
            let mut jobs = self.jobs.lock();
            if !jobs.waiting.is_empty() {
                continue;
            }
            if jobs.ended {
                return;
            }
            jobs.idle += 1;
            self.called.wait(&mut jobs);
            jobs.idle -= 1;
        }
    }

    /// Does the next request; false where there is none.
    fn work_once(&self) -> bool {
        let Some(request) = self.jobs.lock().waiting.pop_front() else { return false };
        self.inbox.put(request.perform(&self.disk));
        true
    }
}

impl Drop for Pool {
    /// What was pushed is done first.
    fn drop(&mut self) {
        self.shared.jobs.lock().ended = true;
        self.shared.called.notify_all();
        for thread in self.threads.drain(..) {
            // A panic in there has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// The pool as the only engine of a queue.
#[derive(Debug)]
pub(super) struct Threads {
    pool: Pool,
    inbox: Arc<Inbox>,
}

impl Threads {
    pub(super) fn new(disk: Arc<Disk>, workers: usize) -> Self {
        let inbox = Arc::new(Inbox::new());
        Self { pool: Pool::new(disk, Arc::clone(&inbox), workers), inbox }
    }
}

impl Engine for Threads {
    fn aio(&self) -> Aio {
        Aio::Threads
    }

    fn start(&mut self, requests: &mut Vec<Request>) {
        self.pool.push(requests.drain(..));
    }

    fn reap(
        &mut self,
        completions: &mut Vec<Completion>,
        min: usize,
        max: usize,
        deadline: Option<Instant>,
    ) -> Result<usize> {
        let mut count = self.inbox.take(completions, max);
        while count < min && left(deadline).is_none_or(|left| !left.is_zero()) {
            self.inbox.wait(deadline);
            count += self.inbox.take(completions, max - count);
        }
        Ok(count)
    }

    fn event(&mut self) -> Result<&Event> {
        self.inbox.event()
    }
}
