//! Queues: requests that are handed in, and answered when they are done.
//!
//! A [`Queue`] owns what it is given ([`Buffers`]) until its [`Completion`] is fetched. It belongs
//! to one thread at a time; any number of queues and of blocking calls may use one disk together,
//! and what `docs/concurrency.md` promises of calls holds of requests as well: one is under way
//! from when it is queued to when its completion is fetched. Two engines carry requests out behind
//! one trait. Knows nothing of tables: what may go straight to a ring, the disk says.

#[allow(unsafe_code)] // Memory that somebody else owns.
mod buffers;
#[allow(unsafe_code)] // A system call that the standard library does not offer.
mod event;
mod inbox;
mod options;
mod pool;
mod request;
mod threads;
#[allow(unsafe_code)] // Memory that the kernel reads and writes.
mod uring;

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use buffers::{Buffers, RawPart};
pub use options::{Aio, QueueOptions};
pub use request::{Busy, Completion};

use crate::chain::Disk;
use crate::error::{Error, Result};
use crate::image::Flags;
use event::Event;
use request::{Operation, Request};
use threads::Threads;
use uring::Uring;

/// What queueing a request answers.
pub type Queued = std::result::Result<(), Busy>;

/// What carries requests out.
trait Engine: fmt::Debug + Send {
    /// Which one it is.
    fn aio(&self) -> Aio;

    /// Prepares every one of `requests`, and leaves the list empty. A submission or a wait follows
    /// at once.
    fn start(&mut self, requests: &mut Vec<Request>);

    /// Begins what is prepared.
    fn submit(&mut self);

    /// Begins what is prepared and moves completions to the caller: at most `max`, and at least
    /// `min` unless the deadline passes first. As many are pending. Without a deadline the caller
    /// may be had to make a call itself, where it would only wait for that.
    ///
    /// # Errors
    /// The system failed a wait; what was moved before is the caller's.
    fn reap(
        &mut self,
        completions: &mut Vec<Completion>,
        min: usize,
        max: usize,
        deadline: Option<Instant>,
    ) -> Result<usize>;

    /// Readable while completions wait.
    ///
    /// # Errors
    /// The process has no descriptor left.
    fn event(&mut self) -> Result<&Event>;
}

/// Requests for a disk, pending and done.
///
/// Dropping a queue ends what was submitted, waits for it, and forgets what was not: no I/O is left
/// behind that could touch a buffer.
#[derive(Debug)]
pub struct Queue {
    /// Queued, not submitted.
    backlog: Vec<Request>,
    pending: usize,
    depth: usize,
    engine: Box<dyn Engine>,
    fallback: Option<String>,
}

impl Queue {
    /// A queue for `disk`, with the engine that `options` ask for or, where the system refuses
    /// that one, with threads.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for a number out of range.
    pub fn new(disk: Arc<Disk>, options: &QueueOptions) -> Result<Self> {
        options.check()?;
        let (engine, fallback) = engine(disk, options);
        Ok(Self { backlog: Vec::new(), pending: 0, depth: options.depth, engine, fallback })
    }

    /// Why threads are at work where [`Aio::IoUring`] was asked for.
    #[must_use]
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }

    /// The engine at work.
    #[must_use]
    pub fn engine(&self) -> Aio {
        self.engine.aio()
    }

    /// The most requests that may be pending.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Requests queued whose completions have not been fetched.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Queues a read of as many bytes as `buffers` hold. `flags`: none.
    ///
    /// # Errors
    /// [`Busy`] while [`depth`](Self::depth) requests are pending, here as for every request. All
    /// else is told by the completion.
    pub fn readv(
        &mut self,
        buffers: impl Into<Buffers>,
        offset: u64,
        user_data: u64,
        flags: Flags,
    ) -> Queued {
        self.queue(Operation::Read { offset }, buffers.into(), user_data, flags)
    }

    /// Queues a write of `buffers`. `flags`: [`Flags::FUA`].
    ///
    /// # Errors
    /// [`Busy`].
    pub fn writev(
        &mut self,
        buffers: impl Into<Buffers>,
        offset: u64,
        user_data: u64,
        flags: Flags,
    ) -> Queued {
        self.queue(Operation::Write { offset }, buffers.into(), user_data, flags)
    }

    /// Queues what [`Disk::write_zeroes`] does.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn write_zeroes(
        &mut self,
        offset: u64,
        length: u64,
        user_data: u64,
        flags: Flags,
    ) -> Queued {
        self.queue(Operation::Zeroes { offset, length }, Buffers::none(), user_data, flags)
    }

    /// Queues what [`Disk::discard`] does. `flags`: none.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn discard(&mut self, offset: u64, length: u64, user_data: u64, flags: Flags) -> Queued {
        self.queue(Operation::Discard { offset, length }, Buffers::none(), user_data, flags)
    }

    /// Queues a flush: it covers the requests whose completions were fetched before it is
    /// submitted, and the blocking calls that had returned. `flags`: none.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn flush(&mut self, user_data: u64, flags: Flags) -> Queued {
        self.queue(Operation::Flush, Buffers::none(), user_data, flags)
    }

    /// Begins everything that is queued. What cannot be begun says so by its completion.
    pub fn submit(&mut self) {
        self.start();
        self.engine.submit();
    }

    /// Submits, then appends at most `max` completions to `completions` and says how many: at least
    /// `min`, or all that are pending where those are fewer, unless `timeout` passes first. Without
    /// a timeout it waits as long as it takes; where one request is all that is pending, and a
    /// thread would have to make its call, this one does.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) where `min` is more than
    /// `max`; a wait that the system failed. Nothing is lost: what was appended is the caller's,
    /// and the rest is pending.
    pub fn do_io(
        &mut self,
        completions: &mut Vec<Completion>,
        min: usize,
        max: usize,
        timeout: Option<Duration>,
    ) -> Result<usize> {
        if min > max {
            return Err(Error::invalid(format!("at least {min} completions, but at most {max}")));
        }
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let before = completions.len();
        let min = min.min(self.pending);
        self.start();
        let reaped = self.engine.reap(completions, min, max, deadline);
        self.pending -= completions.len() - before;
        reaped
    }

    /// A descriptor that is readable while completions wait to be fetched. Wait for it, never read
    /// it. It may be readable with nothing to fetch, when [`do_io`](Self::do_io) gives none.
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub fn completion_fd(&mut self) -> Result<BorrowedFd<'_>> {
        Ok(self.engine.event()?.as_fd())
    }

    fn start(&mut self) {
        if !self.backlog.is_empty() {
            self.engine.start(&mut self.backlog);
        }
    }

    fn queue(
        &mut self,
        operation: Operation,
        buffers: Buffers,
        user_data: u64,
        flags: Flags,
    ) -> Queued {
        if self.pending == self.depth {
            return Err(Busy { buffers });
        }
        self.pending += 1;
        self.backlog.push(Request { user_data, operation, flags, buffers });
        Ok(())
    }
}

/// The engine that `options` ask for, or threads and why.
fn engine(disk: Arc<Disk>, options: &QueueOptions) -> (Box<dyn Engine>, Option<String>) {
    let mut fallback = None;
    if options.aio == Aio::IoUring {
        match Uring::new(Arc::clone(&disk), options) {
            Ok(ring) => return (Box::new(ring), None),
            Err(error) => fallback = Some(error.to_string()),
        }
    }
    (Box::new(Threads::new(disk, options.workers)), fallback)
}
