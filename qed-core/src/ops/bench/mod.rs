//! Benchmarks: a list of requests, sent to a disk with so many in flight, and timed one by one.
//!
//! Three parts that know little of each other: a [`Plan`] says what is sent and in which order it
//! must be, streams send it (`streams.rs`), a [`Report`] says how long it took. A stream is a
//! thread with a queue of its own: what is measured is what a program with queues gets.

mod gate;
mod histogram;
mod memory;
mod plan;
mod report;
mod streams;
mod trace;

#[cfg(test)]
mod tests;

pub use histogram::Histogram;
pub use plan::{Kind, Pattern, Plan, Request};
pub use report::Report;

use std::sync::Arc;

use crate::chain::Disk;
use crate::error::{Error, Result};
use crate::ops::work::Progress;
use crate::queue::{Aio, Queue, QueueOptions};

/// How a plan is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Requests that each stream keeps in flight: 1 to [`MAX_DEPTH`].
    pub depth: u64,
    /// Streams that share the plan: 1 to [`MAX_THREADS`].
    pub threads: u64,
    /// The byte that is written.
    pub pattern: u8,
    /// The engine of the streams' queues.
    pub aio: Aio,
}

impl Default for Settings {
    fn default() -> Self {
        Self { depth: 64, threads: 1, pattern: 0, aio: Aio::default() }
    }
}

/// Requests in flight of a stream at most.
pub const MAX_DEPTH: u64 = QueueOptions::MAX_DEPTH as u64;

/// Streams at most.
pub const MAX_THREADS: u64 = 256;

/// Bytes of all buffers together at most.
const MAX_MEMORY: u64 = 4 << 30;

/// Threads that make blocking calls for one queue at most, where threads are asked for.
const MAX_WORKERS: usize = 64;

/// Streams and requests in flight of each: as many as asked for, and no more than there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    streams: u64,
    depth: usize,
}

impl Settings {
    fn shape(&self, plan: &Plan) -> Result<Shape> {
        let steps = plan.steps().max(1);
        let streams = self.threads.min(steps);
        let depth = self.depth.min(steps.div_ceil(streams.max(1)));
        for (what, wanted, value, most) in [
            ("depth", self.depth, depth, MAX_DEPTH),
            ("threads", self.threads, streams, MAX_THREADS),
        ] {
            if !(1..=most).contains(&value) {
                return Err(Error::invalid(format!("{what} is {wanted}, not 1 to {most}")));
            }
        }
        let longest = plan.longest();
        let memory = longest.saturating_mul(depth).saturating_mul(streams);
        let depth = usize::try_from(depth).unwrap_or(usize::MAX);
        if memory > MAX_MEMORY {
            return Err(Error::invalid(format!(
                "{streams} streams of {depth} requests of up to {longest} bytes need {memory} \
                 bytes of memory, at most {MAX_MEMORY}"
            )));
        }
        Ok(Shape { streams, depth })
    }

    fn queue_options(&self, shape: Shape) -> QueueOptions {
        let mut options = QueueOptions::default();
        (options.depth, options.aio) = (shape.depth, self.aio);
        if self.aio == Aio::Threads {
            options.workers = shape.depth.min(MAX_WORKERS);
        }
        options
    }
}

/// Sends `plan` to `disk` and tells how long that took.
///
/// `progress` is called on this thread, ten times a second, with the steps begun and all there are.
///
/// # Errors
/// Settings that make no sense; the earliest request that failed; [`ErrorKind::Cancelled`] where
/// `progress` breaks off. Requests in flight are waited for.
///
/// [`ErrorKind::Cancelled`]: crate::ErrorKind::Cancelled
pub fn run(
    disk: &Arc<Disk>,
    plan: &Plan,
    settings: &Settings,
    progress: &mut Progress<'_>,
) -> Result<Report> {
    let shape = settings.shape(plan)?;
    let options = settings.queue_options(shape);
    let queues = (0..shape.streams).map(|_| Queue::new(Arc::clone(disk), &options));
    let queues = queues.collect::<Result<Vec<_>>>()?;
    let aio = queues.first().map_or(settings.aio, Queue::engine);
    let report = streams::run(queues, plan, shape, settings.pattern, progress)?;
    Ok(Report { aio, ..report })
}
