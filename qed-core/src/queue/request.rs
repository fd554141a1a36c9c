//! What a queue is asked, what it answers, and how a blocking call does it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::buffers::Buffers;
use crate::chain::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{Debt, Flags};

/// A request that has ended.
#[derive(Debug)]
pub struct Completion {
    /// What the request was queued with.
    pub user_data: u64,
    /// How it ended.
    pub result: Result<()>,
    /// The request's memory. After a read that succeeded it holds the disk's bytes.
    pub buffers: Buffers,
}

/// As many requests are pending as the queue is deep: this one was not taken.
#[derive(Debug, thiserror::Error)]
#[error("the queue is full: as many requests are pending as it is deep")]
pub struct Busy {
    /// The memory of the request.
    pub buffers: Buffers,
}

impl From<Busy> for Error {
    fn from(busy: Busy) -> Self {
        Self::new(ErrorKind::Busy, busy.to_string())
    }
}

/// A request that is owned by the queue.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) user_data: u64,
    pub(super) operation: Operation,
    pub(super) flags: Flags,
    pub(super) buffers: Buffers,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    Read { offset: u64 },
    Write { offset: u64 },
    Zeroes { offset: u64, length: u64 },
    Discard { offset: u64, length: u64 },
    Flush,
}

impl Request {
    /// Does it by a blocking call. A panic in there is the request's error.
    pub(super) fn perform(mut self, disk: &Disk) -> Completion {
        let result = guarded(|| self.call(disk));
        self.end(result)
    }

    /// Makes what has been written stable, as the request asks.
    pub(super) fn pay(self, debt: Debt, disk: &Disk) -> Completion {
        let result = guarded(|| disk.pay(debt));
        self.end(result)
    }

    /// The completion that says `result`.
    pub(super) fn end(self, result: Result<()>) -> Completion {
        Completion { user_data: self.user_data, result, buffers: self.buffers }
    }

    fn call(&mut self, disk: &Disk) -> Result<()> {
        let flags = self.flags;
        match self.operation {
            Operation::Read { offset } => {
                flags.check(Flags::NONE, "a read")?;
                disk.preadv(&mut self.buffers.slices_mut(), offset)
            }
            Operation::Write { offset } => disk.pwritev(&self.buffers.slices(), offset, flags),
            Operation::Zeroes { offset, length } => disk.write_zeroes(offset, length, flags),
            Operation::Discard { offset, length } => {
                flags.check(Flags::NONE, "a discard")?;
                disk.discard(offset, length)
            }
            Operation::Flush => {
                flags.check(Flags::NONE, "a flush")?;
                disk.flush()
            }
        }
    }
}

fn guarded(call: impl FnOnce() -> Result<()>) -> Result<()> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "a call panicked")))
}
