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
    most: usize,
}

/// What a thread of the pool does.
#[derive(Debug)]
pub(super) enum Job {
    /// All of a request.
    Call(Request),
    /// The flush that a forced write owes when its data has been written.
    Flush(Request),
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
    waiting: VecDeque<Job>,
    /// Threads that wait for work.
    idle: usize,
    threads: Vec<thread::JoinHandle<()>>,
    ended: bool,
}

impl Pool {
    /// A pool of at most `most` threads, which put what they have done into `inbox`.
    pub(super) fn new(disk: Arc<Disk>, inbox: Arc<Inbox>, most: usize) -> Self {
        let jobs = Mutex::new(Rank::Queue, Jobs::default());
        let shared = Arc::new(Shared { disk, inbox, jobs, called: Condvar::new() });
        Self { shared, most }
    }

    /// Has `jobs` done.
    pub(super) fn push(&self, new: impl IntoIterator<Item = Job>) {
        let mut jobs = self.shared.jobs.lock();
        jobs.waiting.extend(new);
        if jobs.idle > 0 {
            self.shared.called.notify_all();
        }
        let missing = jobs.waiting.len().saturating_sub(jobs.idle);
        for _ in 0..missing.min(self.most - jobs.threads.len()) {
            let shared = Arc::clone(&self.shared);
            let builder = thread::Builder::new().name("qed-queue".into());
            match without_signals(|| builder.spawn(move || shared.work())) {
                Ok(thread) => jobs.threads.push(thread),
                Err(_) => break,
            }
        }
        if jobs.threads.is_empty() {
            // The system has no thread to give: the caller does the work.
            drop(jobs);
            while self.shared.work_once() {}
        }
    }
}

#[cfg(test)]
impl Pool {
    /// Threads that have been started.
    pub(super) fn threads(&self) -> usize {
        self.shared.jobs.lock().threads.len()
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
        let Some(job) = self.jobs.lock().waiting.pop_front() else { return false };
        self.inbox.put(match job {
            Job::Call(request) => request.perform(&self.disk),
            Job::Flush(request) => request.stabilise(&self.disk),
        });
        true
    }
}

impl Drop for Pool {
    /// What was pushed is done first.
    fn drop(&mut self) {
        let threads = {
            let mut jobs = self.shared.jobs.lock();
            jobs.ended = true;
            std::mem::take(&mut jobs.threads)
        };
        self.shared.called.notify_all();
        for thread in threads {
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
        self.pool.push(requests.drain(..).map(Job::Call));
    }

    /// What is prepared has begun.
    fn submit(&mut self) {}

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
