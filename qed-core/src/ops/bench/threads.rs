//! The runner that makes blocking calls: a thread for each request in flight.
//!
//! The caller's thread does no I/O: it starts the others, lets them begin together, and reports
//! progress until they are done. A request that fails stops the run, once those in flight are done.

use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use super::gate::Gate;
use super::plan::{Kind, Plan, Request};
use super::report::Report;
use super::{Progress, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::image::Flags;
use crate::storage::AlignedBuffer;
use crate::sync::{Condvar, Mutex, Rank, without_signals};

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
}

type Worker<'scope> = ScopedJoinHandle<'scope, std::result::Result<Report, Failure>>;

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
        doors: Mutex::new(Rank::Bench, Doors::default()),
        changed: Condvar::new(),
    };
    std::thread::scope(|scope| {
        let (workers, started) = shared.start(scope, in_flight);
        let count = workers.len() as u64;
        let begun = shared.open(count);
        let watched = started.and_then(|()| shared.watch(count, plan.steps(), progress));
        let (report, ended) = (collect(workers), shared.doors.lock().last_gone);
        watched?;
        let elapsed = ended.map_or(Duration::ZERO, |ended| ended.duration_since(begun));
        report.map(|report| Report { elapsed, ..report })
    })
}

fn buffer_length(length: u64) -> Result<usize> {
    usize::try_from(length).map_err(|_| Error::invalid(format!("a request of {length} bytes")))
}

impl Shared<'_> {
    /// Starts the threads, which wait; an error where the system gives fewer.
    fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        count: u64,
    ) -> (Vec<Worker<'scope>>, Result<()>) {
        let mut workers = Vec::new();
        for _ in 0..count {
            let thread = Builder::new().name("qed-bench".into());
            // The program's signals find its own threads.
            match without_signals(|| thread.spawn_scoped(scope, || self.work())) {
                Ok(worker) => workers.push(worker),
                Err(error) => {
                    self.gate.stop();
                    return (workers, Err(Error::io("starting a thread", error)));
                }
            }
        }
        (workers, Ok(()))
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

    /// One thread's life.
    fn work(&self) -> std::result::Result<Report, Failure> {
        let _gone = Gone(self);
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
            if let Err(error) = self.send(&ticket.request, &mut buffer) {
                self.gate.stop();
                return Err((ticket.step, error));
            }
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

/// Says that a thread is gone, also where it panics: the caller waits for that.
struct Gone<'a>(&'a Shared<'a>);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        let mut doors = self.0.doors.lock();
        doors.gone += 1;
        doors.last_gone = Some(Instant::now());
        self.0.changed.notify_all();
    }
}

/// Lets nothing more begin, also where a caller's function panics.
struct Stop<'a>(&'a Gate<'a>);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// What all threads did together, or the earliest step's failure.
fn collect(workers: Vec<Worker<'_>>) -> Result<Report> {
    let mut report = Report::default();
    let mut first: Option<Failure> = None;
    for worker in workers {
        match worker.join() {
            Ok(Ok(done)) => report.add(&done),
            Ok(Err(failure)) => {
                if first.as_ref().is_none_or(|(step, _)| failure.0 < *step) {
                    first = Some(failure);
                }
            }
            Err(_) => {
                let text = "a thread of the benchmark panicked";
                first.get_or_insert((0, Error::new(ErrorKind::Internal, text)));
            }
        }
    }
    first.map_or(Ok(report), |(_, error)| Err(error))
}
