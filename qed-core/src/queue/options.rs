//! How a queue is made: its depth, its engine, its workers.

use crate::error::{Error, Result};

/// What carries a queue's requests out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aio {
    /// io_uring; where the system refuses it, threads.
    #[default]
    IoUring,
    /// A pool of threads that make blocking calls.
    Threads,
}

impl Aio {
    /// The name by which options and reports know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::IoUring => "io_uring",
            Self::Threads => "threads",
        }
    }

    /// Why queues do not get this engine on this machine; None where they do.
    #[must_use]
    pub fn refusal(self) -> Option<String> {
        match self {
            Self::IoUring => super::uring::refusal(),
            Self::Threads => None,
        }
    }
}

/// Options of a [`Queue`](super::Queue).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueOptions {
    /// The most requests pending at once: 1 to [`MAX_DEPTH`](Self::MAX_DEPTH).
    pub depth: usize,
    /// What carries the requests out.
    pub aio: Aio,
    /// The most threads that make blocking calls: 1 to [`MAX_WORKERS`](Self::MAX_WORKERS). They
    /// are started when there is work for them.
    pub workers: usize,
}

impl QueueOptions {
    /// The largest depth.
    pub const MAX_DEPTH: usize = 4096;
    /// The most workers.
    pub const MAX_WORKERS: usize = 256;

    /// Fails where a number is out of its range.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub(super) fn check(&self) -> Result<()> {
        let numbers =
            [("depth", self.depth, Self::MAX_DEPTH), ("workers", self.workers, Self::MAX_WORKERS)];
        for (name, value, most) in numbers {
            if !(1..=most).contains(&value) {
                return Err(Error::invalid(format!("{name} is {value}, not 1 to {most}")));
            }
        }
        Ok(())
    }
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self { depth: 128, aio: Aio::default(), workers: 16 }
    }
}
