//! The runner that makes blocking calls: a thread for each request in flight.
//!
//! The caller's thread does no I/O: it starts the others, lets them begin together, and reports
//! progress until they are done. A request that fails stops the run, once those in flight are done.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::Target;
use super::gate::Gate;
use super::plan::{Kind, Plan, Request};
use super::report::Report;
use crate::error::{Error, ErrorKind, Result};
use crate::image::Flags;
use crate::ops::work::Progress;
use crate::storage::AlignedBuffer;
use crate::sync::{Condvar, Mutex, Rank, spawn_scoped, thread};

/// How often the caller's thread reports progress.
const TICK: Duration = Duration::from_millis(100);

/// What the threads of a run share.
struct Shared<'a> {
    target: &'a dyn Target,
    gate: Gate<'a>,
    /// What is written, as long as the longest write.
    data: AlignedBuffer,
    longest_read: usize,
    doors: Mutex<Doors>,
    changed: Condvar,
}

/// Who is where: threads wait inside until all are there.
#[derive(Default)]
struct Doors {
    ready: u64,
    open: bool,
    gone: u64,
    last_gone: Option<Instant>,
    outcomes: Vec<std::result::Result<Report, Failure>>,
}

/// A step that failed, and why.
type Failure = (u64, Error);

/// Sends `plan` with `in_flight` requests under way.
pub(super) fn run(
    target: &dyn Target,
    plan: &Plan,
    in_flight: u64,
    pattern: u8,
    progress: &mut Progress<'_>,
) -> Result<Report> {
    let mut data = AlignedBuffer::new(buffer_length(plan.longest_write())?);
    data.fill(pattern);
    let shared = Shared {
        target,
        gate: Gate::new(plan),
        data,
        longest_read: buffer_length(plan.longest_read())?,
        doors: Mutex::new(Rank::Work, Doors::default()),
        changed: Condvar::new(),
    };
    let (begun, watched) = thread::scope(|scope| {
        let (count, started) = shared.start(scope, in_flight);
        let begun = shared.open(count);
        (begun, started.and_then(|()| shared.watch(count, plan.steps(), progress)))
    });
    let doors = std::mem::take(&mut *shared.doors.lock());
    let report = collect(doors.outcomes)?;
    watched?;
    let elapsed = doors.last_gone.map_or(Duration::ZERO, |ended| ended.duration_since(begun));
    Ok(Report { elapsed, ..report })
}

fn buffer_length(length: u64) -> Result<usize> {
    usize::try_from(length).map_err(|_| Error::invalid(format!("a request of {length} bytes")))
}

impl Shared<'_> {
    /// Starts the threads, which wait: how many, and an error where the system gives fewer.
    fn start<'scope>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, '_>,
        wanted: u64,
    ) -> (u64, Result<()>) {
        for started in 0..wanted {
            if let Err(error) = spawn_scoped(scope, "qed-bench", || self.live()) {
                self.gate.stop();
                return (started, Err(Error::io("starting a thread", error)));
            }
        }
        (wanted, Ok(()))
    }

    /// Lets the threads begin when all of them are ready.
    fn open(&self, count: u64) -> Instant {
        let mut doors = self.doors.lock();
        while doors.ready < count {
            self.changed.wait(&mut doors);
        }
        let begun = Instant::now();
        doors.open = true;
        self.changed.notify_all();
        begun
    }

    /// Reports progress until all threads are gone, or until it is told to stop.
    fn watch(&self, count: u64, steps: u64, progress: &mut Progress<'_>) -> Result<()> {
        let _stop = Stop(&self.gate);
        loop {
            let gone = {
                let mut doors = self.doors.lock();
                if doors.gone < count {
                    self.changed.wait_for(&mut doors, TICK);
                }
                doors.gone == count
            };
            let cancelled = progress(self.gate.begun(), steps).is_break();
            if gone {
                return Ok(());
            }
            if cancelled {
                return Err(Error::new(ErrorKind::Cancelled, "the benchmark was cancelled"));
            }
        }
    }

    /// One thread's life; the caller waits for its end, also where it panics.
    fn live(&self) {
        let panicked =
            || (0, Error::new(ErrorKind::Internal, "a thread of the benchmark panicked"));
        let done = catch_unwind(AssertUnwindSafe(|| self.work()));
        let outcome = done.unwrap_or_else(|_| Err(panicked()));
        if outcome.is_err() {
            self.gate.stop();
        }
        let mut doors = self.doors.lock();
        doors.outcomes.push(outcome);
        doors.gone += 1;
        doors.last_gone = Some(Instant::now());
        self.changed.notify_all();
    }

    fn work(&self) -> std::result::Result<Report, Failure> {
        let mut buffer = AlignedBuffer::new(self.longest_read);
        // Touched now: a page fault is no part of a read.
        buffer.fill(0);
        let mut report = Report::default();
        {
            let mut doors = self.doors.lock();
            doors.ready += 1;
            self.changed.notify_all();
            while !doors.open {
                self.changed.wait(&mut doors);
            }
        }
        while let Some(ticket) = self.gate.enter() {
            let begun = Instant::now();
            let sent = self.send(&ticket.request, &mut buffer);
            sent.map_err(|error| (ticket.step, error))?;
            report.record(&ticket.request, begun.elapsed());
        }
        Ok(report)
    }

    fn send(&self, request: &Request, buffer: &mut [u8]) -> Result<()> {
        let Request { kind, offset, length } = *request;
        // Both buffers are as long as the longest request of the plan.
        let within = || usize::try_from(length).map_or(0..0, |length| 0..length);
        match kind {
            Kind::Read => match buffer.get_mut(within()) {
                Some(buffer) => self.target.read(buffer, offset),
                None => Err(too_long(request)),
            },
            Kind::Write { fua } => match self.data.get(within()) {
                Some(data) => {
                    let flags = if fua { Flags::FUA } else { Flags::NONE };
                    self.target.write(data, offset, flags)
                }
                None => Err(too_long(request)),
            },
            Kind::WriteZeroes => self.target.write_zeroes(offset, length),
            Kind::Discard => self.target.discard(offset, length),
            Kind::Flush => self.target.flush(),
        }
    }
}

fn too_long(request: &Request) -> Error {
    let Request { offset, length, .. } = *request;
    let text = format!("a request of {length} bytes is longer than the plan's longest");
    Error::new(ErrorKind::Internal, text).at(offset)
}

/// Lets nothing more begin, also where a caller's function panics.
struct Stop<'a>(&'a Gate<'a>);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// What all threads did together, or the earliest step's failure.
fn collect(outcomes: Vec<std::result::Result<Report, Failure>>) -> Result<Report> {
    let mut report = Report::default();
    let mut first: Option<Failure> = None;
    for outcome in outcomes {
        match outcome {
            Ok(done) => report.add(&done),
            Err(failure) if first.as_ref().is_some_and(|(step, _)| *step <= failure.0) => {}
            Err(failure) => first = Some(failure),
        }
    }
    first.map_or(Ok(report), |(_, error)| Err(error))
}
