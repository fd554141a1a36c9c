//! Benchmarks: a list of requests, sent to a disk with so many in flight, and timed one by one.
//!
//! Three parts that know little of each other: a [`Plan`] says what is sent and in which order it
//! must be, a runner sends it, a [`Report`] says how long it took. The runner here makes blocking
//! calls on threads (`threads.rs`); another one needs of the plan only its steps and its order, and
//! fills in the same tallies. What the disk is, this knows only as a [`Target`].

mod gate;
mod histogram;
mod plan;
mod report;
mod threads;
mod trace;

#[cfg(test)]
mod tests;

pub use histogram::Histogram;
pub use plan::{Kind, Pattern, Plan, Request};
pub use report::Report;

use crate::chain::Disk;
use crate::error::{Error, Result};
use crate::image::Flags;
use crate::ops::work::Progress;

/// What a benchmark sends its requests to. Any thread may call it.
pub trait Target: Sync {
    /// Bytes of the disk.
    fn size(&self) -> u64;
    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// The read failed.
    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()>;
    /// Writes all of `buffer` at `offset`.
    ///
    /// # Errors
    /// The write failed.
    fn write(&self, buffer: &[u8], offset: u64, flags: Flags) -> Result<()>;
    /// Makes `length` bytes at `offset` read as zeroes.
    ///
    /// # Errors
    /// The request failed.
    fn write_zeroes(&self, offset: u64, length: u64) -> Result<()>;
    /// Gives `length` bytes at `offset` back.
    ///
    /// # Errors
    /// The request failed.
    fn discard(&self, offset: u64, length: u64) -> Result<()>;
    /// Makes stable what has been written.
    ///
    /// # Errors
    /// The flush failed.
    fn flush(&self) -> Result<()>;
}

impl Target for Disk {
    fn size(&self) -> u64 {
        Self::size(self)
    }
    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.pread(buffer, offset)
    }
    fn write(&self, buffer: &[u8], offset: u64, flags: Flags) -> Result<()> {
        self.pwrite(buffer, offset, flags)
    }
    fn write_zeroes(&self, offset: u64, length: u64) -> Result<()> {
        Self::write_zeroes(self, offset, length, Flags::NONE)
    }
    fn discard(&self, offset: u64, length: u64) -> Result<()> {
        Self::discard(self, offset, length)
    }
    fn flush(&self) -> Result<()> {
        Self::flush(self)
    }
}

/// How a plan is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Requests that each stream keeps in flight.
    pub depth: u64,
    /// Streams that share the plan.
    pub threads: u64,
    /// The byte that is written.
    pub pattern: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self { depth: 64, threads: 1, pattern: 0 }
    }
}

/// Requests in flight at most: each one has a thread of its own.
pub const MAX_IN_FLIGHT: u64 = 1024;

/// Bytes of all buffers together at most.
const MAX_MEMORY: u64 = 4 << 30;

impl Settings {
    /// Requests in flight: as many as asked for, and no more than there are.
    fn in_flight(&self, plan: &Plan) -> Result<u64> {
        let (depth, threads) = (self.depth, self.threads);
        if depth == 0 || threads == 0 {
            return Err(Error::invalid(format!(
                "depth {depth} with {threads} threads: no request"
            )));
        }
        let wanted = depth.saturating_mul(threads).min(plan.steps().max(1));
        if wanted > MAX_IN_FLIGHT {
            return Err(Error::invalid(format!(
                "depth {depth} with {threads} threads: at most {MAX_IN_FLIGHT} requests can be in \
                 flight"
            )));
        }
        let read = plan.longest_read();
        let memory = read.saturating_mul(wanted).saturating_add(plan.longest_write());
        if memory > MAX_MEMORY {
            return Err(Error::invalid(format!(
                "{wanted} reads of up to {read} bytes in flight need {memory} bytes of memory, at \
                 most {MAX_MEMORY}"
            )));
        }
        Ok(wanted)
    }
}

/// Sends `plan` to `target` and tells how long that took.
///
/// `progress` is called on this thread, ten times a second, with the steps begun and all there are.
///
/// # Errors
/// Settings that make no sense; the earliest request that failed; [`ErrorKind::Cancelled`] where
/// `progress` breaks off. Requests in flight are waited for.
///
/// [`ErrorKind::Cancelled`]: crate::ErrorKind::Cancelled
pub fn run(
    target: &dyn Target,
    plan: &Plan,
    settings: &Settings,
    progress: &mut Progress<'_>,
) -> Result<Report> {
    let in_flight = settings.in_flight(plan)?;
    threads::run(target, plan, in_flight, settings.pattern, progress)
}
