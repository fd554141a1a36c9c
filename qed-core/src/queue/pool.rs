//! Jobs, which are blocking calls, and threads that do them for one queue. The threads are started
//! when there is work for them.
//!
//! As an engine, the pool does everything; beside a ring it does what would block the owner. Calls
//! may wait for each other only through the image, where nobody waits in a circle; so the pool may
//! be as small as one thread.
//!
//! To wake a thread and be woken by it costs more than many a call. So an engine holds jobs back
//! until it knows what its owner does next. One that is about to wait without a deadline, while a
//! single job is all that is pending, [does it itself](do_only); before anything else the pool gets
//! what is held.

use std::collections::VecDeque;
use std::sync::Arc;

use super::inbox::Inbox;
use super::request::{Completion, Request};
use crate::chain::Disk;
use crate::image::Debt;
use crate::sync::{Condvar, Mutex, Rank, thread, without_signals};

#[derive(Debug)]
pub(super) struct Pool {
    shared: Arc<Shared>,
    most: usize,
}

/// What a thread of the pool does, or the owner where it waits.
#[derive(Debug)]
pub(super) enum Job {
    /// All of a request.
    Call(Request),
    /// What a forced write owes when its data has been written.
    Pay(Request, Debt),
}

impl Job {
    fn perform(self, disk: &Disk) -> Completion {
        match self {
            Self::Call(request) => request.perform(disk),
            Self::Pay(request, debt) => request.pay(debt, disk),
        }
    }
}

/// Does the one job of `held`, for an owner that waits for it alone and has set no deadline. None
/// where there is not just one, and where the disk is at rest: that may be the owner's own doing,
/// and the call would be refused that a thread of the pool has wait.
pub(super) fn do_only(held: &mut Vec<Job>, disk: &Disk) -> Option<Completion> {
    if held.len() != 1 || disk.is_called_to_rest() {
        return None;
    }
    held.pop().map(|job| job.perform(disk))
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

#[cfg(all(test, not(feature = "shuttle")))]
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
        self.inbox.put(job.perform(&self.disk));
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
