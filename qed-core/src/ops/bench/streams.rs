//! Streams: threads, each with a queue, that send a plan and time its requests.
//!
//! The caller's thread does no I/O: it starts the streams, lets them begin together, and reports
//! progress until they are done. A request's time runs from when it is handed in to when its
//! completion is fetched. One that fails stops the run, once those under way have ended.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::Shape;
use super::gate::{Gate, Next};
use super::memory::Memory;
use super::plan::{Kind, Plan, Request};
use super::report::Report;
use crate::error::{Error, ErrorKind, Result};
use crate::image::Flags;
use crate::ops::work::Progress;
use crate::queue::{Buffers, Completion, Queue};
use crate::sync::{Condvar, Mutex, Rank, spawn_scoped, thread};

/// How often the caller's thread reports progress.
const TICK: Duration = Duration::from_millis(100);

/// What a stream sends its requests through.
pub(super) trait Lane: Send {
    /// Takes a request; its completion carries `tag`.
    ///
    /// # Errors
    /// The lane is full.
    fn hand_in(&mut self, request: &Request, buffers: Buffers, tag: u64) -> Result<()>;

    /// Begins what was handed in, waits for at least one completion and gives all there are.
    ///
    /// # Errors
    /// The system failed the wait.
    fn fetch(&mut self, done: &mut Vec<Completion>) -> Result<()>;
}

impl Lane for Queue {
    fn hand_in(&mut self, request: &Request, buffers: Buffers, tag: u64) -> Result<()> {
        let Request { kind, offset, length } = *request;
        let queued = match kind {
            Kind::Read => self.readv(buffers, offset, tag, Flags::NONE),
            Kind::Write { fua: true } => self.writev(buffers, offset, tag, Flags::FUA),
            Kind::Write { fua: false } => self.writev(buffers, offset, tag, Flags::NONE),
            Kind::WriteZeroes => self.write_zeroes(offset, length, tag, Flags::NONE),
            Kind::Discard => self.discard(offset, length, tag, Flags::NONE),
            Kind::Flush => self.flush(tag, Flags::NONE),
        };
        Ok(queued?)
    }

    fn fetch(&mut self, done: &mut Vec<Completion>) -> Result<()> {
        self.do_io(done, 1, usize::MAX, None).map(drop)
    }
}

/// A step that failed, and why.
type Failure = (u64, Error);
type Outcome = std::result::Result<Report, Failure>;

/// What the streams of a run share.
struct Shared<'a> {
    gate: Gate<'a>,
    plan: &'a Plan,
    depth: usize,
    pattern: u8,
    doors: Mutex<Doors>,
    changed: Condvar,
}

/// Who is where: streams wait inside until all are there.
#[derive(Default)]
struct Doors {
    ready: usize,
    open: bool,
    gone: usize,
    /// When the last stream had fetched its last completion.
    ended: Option<Instant>,
    outcomes: Vec<Outcome>,
}

/// Sends `plan` through `lanes`, a stream each.
pub(super) fn run<L: Lane>(
    lanes: Vec<L>,
    plan: &Plan,
    shape: Shape,
    pattern: u8,
    progress: &mut Progress<'_>,
) -> Result<Report> {
    let shared = Shared {
        gate: Gate::new(plan, lanes.len()),
        plan,
        depth: shape.depth,
        pattern,
        doors: Mutex::new(Rank::Work, Doors::default()),
        changed: Condvar::new(),
    };
    let (begun, watched) = thread::scope(|scope| {
        let (count, started) = shared.start(scope, lanes);
        let begun = shared.open(count);
        (begun, started.and_then(|()| shared.watch(count, plan.steps(), progress)))
    });
    let doors = std::mem::take(&mut *shared.doors.lock());
    let report = collect(doors.outcomes)?;
    watched?;
    let elapsed = doors.ended.map_or(Duration::ZERO, |ended| ended.duration_since(begun));
    Ok(Report { elapsed, ..report })
}

impl Shared<'_> {
    /// Starts the streams, which wait: how many, and an error where the system gives fewer.
    fn start<'scope, L: Lane + 'scope>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, '_>,
        lanes: Vec<L>,
    ) -> (usize, Result<()>) {
        let wanted = lanes.len();
        for (number, lane) in lanes.into_iter().enumerate() {
            let live = move || self.live(number, lane);
            if let Err(error) = spawn_scoped(scope, "qed-bench", live) {
                self.gate.stop();
                return (number, Err(Error::io("starting a thread", error)));
            }
        }
        (wanted, Ok(()))
    }

    /// Lets the streams begin when all of them are ready.
    fn open(&self, count: usize) -> Instant {
        let mut doors = self.doors.lock();
        while doors.ready < count {
            self.changed.wait(&mut doors);
        }
        let begun = Instant::now();
        doors.open = true;
        self.changed.notify_all();
        begun
    }

    /// Reports progress until all streams are gone, or until it is told to stop.
    fn watch(&self, count: usize, steps: u64, progress: &mut Progress<'_>) -> Result<()> {
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

    /// One stream's life; the caller waits for its end, also where it panics.
    fn live<L: Lane>(&self, number: usize, lane: L) {
        let panicked =
            || (0, Error::new(ErrorKind::Internal, "a thread of the benchmark panicked"));
        let memory = Memory::new(self.plan, self.pattern, self.depth);
        self.enter();
        let done = catch_unwind(AssertUnwindSafe(|| {
            let memory = memory.map_err(|error| (0, error))?;
            let mut stream = Stream::new(self, number, lane, memory);
            let outcome = stream.run();
            // Now: that a queue ends its threads is no part of the run.
            self.doors.lock().ended = Some(Instant::now());
            outcome
        }));
        let outcome = done.unwrap_or_else(|_| Err(panicked()));
        if outcome.is_err() {
            self.gate.stop();
        }
        let mut doors = self.doors.lock();
        doors.outcomes.push(outcome);
        doors.gone += 1;
        self.changed.notify_all();
    }

    fn enter(&self) {
        let mut doors = self.doors.lock();
        doors.ready += 1;
        self.changed.notify_all();
        while !doors.open {
            self.changed.wait(&mut doors);
        }
    }
}

/// A thread's side of the run.
struct Stream<'a, L> {
    gate: &'a Gate<'a>,
    number: usize,
    lane: L,
    memory: Memory,
    /// Requests under way by the tag of their completion.
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    report: Report,
    /// The earliest step that failed.
    failure: Option<Failure>,
}

#[derive(Clone, Copy)]
struct Slot {
    step: u64,
    request: Request,
    begun: Instant,
}

impl<'a, L: Lane> Stream<'a, L> {
    fn new(shared: &'a Shared<'a>, number: usize, lane: L, memory: Memory) -> Self {
        Self {
            gate: &shared.gate,
            number,
            lane,
            memory,
            slots: vec![None; shared.depth],
            free: (0..shared.depth).rev().collect(),
            report: Report::default(),
            failure: None,
        }
    }

    fn run(&mut self) -> Outcome {
        let mut done = Vec::with_capacity(self.slots.len());
        loop {
            let next = self.fill()?;
            if self.free.len() < self.slots.len() {
                self.lane.fetch(&mut done).map_err(|error| (0, error))?;
                self.account(&mut done);
            } else if next == Next::Held {
                self.gate.wait();
            } else {
                break;
            }
        }
        match self.failure.take() {
            None => Ok(std::mem::take(&mut self.report)),
            Some(failure) => Err(failure),
        }
    }

    /// Hands in as much as may be under way; says why no more.
    fn fill(&mut self) -> std::result::Result<Next, Failure> {
        let begun = Instant::now();
        while let Some(tag) = self.free.last().copied() {
            let next = self.gate.next(self.number);
            let Next::Step(step, request) = next else { return Ok(next) };
            let failed = |error| (step, error);
            let buffers = self.memory.take(&request).map_err(failed)?;
            self.lane.hand_in(&request, buffers, tag as u64).map_err(failed)?;
            self.free.pop();
            if let Some(slot) = self.slots.get_mut(tag) {
                *slot = Some(Slot { step, request, begun });
            }
        }
        Ok(Next::End)
    }

    fn account(&mut self, done: &mut Vec<Completion>) {
        let now = Instant::now();
        for Completion { user_data, result, buffers } in done.drain(..) {
            let tag = usize::try_from(user_data).unwrap_or(usize::MAX);
            let Some(slot) = self.slots.get_mut(tag).and_then(Option::take) else { continue };
            self.free.push(tag);
            self.memory.give_back(&slot.request, buffers);
            match result {
                Ok(()) => self.report.record(&slot.request, now.duration_since(slot.begun)),
                Err(error) => {
                    self.gate.stop();
                    if self.failure.as_ref().is_none_or(|(step, _)| slot.step < *step) {
                        self.failure = Some((slot.step, error));
                    }
                }
            }
            self.gate.end(slot.step);
        }
    }
}

/// Lets nothing more begin, also where a caller's function panics.
struct Stop<'a>(&'a Gate<'a>);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// What all streams did together, or the earliest step's failure.
fn collect(outcomes: Vec<Outcome>) -> Result<Report> {
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
