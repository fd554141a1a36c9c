//! Work on a whole disk: several threads do it while the caller's own tells how far it is.
//!
//! A [`Job`] is stopped by the first error of a worker, or by the caller's progress function. That
//! function runs on the calling thread alone, with no lock held, at least every 100 milliseconds.
//! Workers stop between two pieces; whoever waits for something waits in [`TICK`]s and looks.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use crate::sync::{Condvar, Mutex, Rank, spawn_scoped, thread};

/// Hears of the bytes done and the bytes in all (0 where nobody knows yet); a break cancels.
pub type Progress<'a> = dyn FnMut(u64, u64) -> ControlFlow<()> + 'a;

/// How long nobody waits without looking whether the job still runs.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// What the workers and the caller share.
#[derive(Debug)]
pub(super) struct Job {
    total: u64,
    done: AtomicU64,
    stopped: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    /// What the first worker that failed met.
    error: Option<Error>,
}

impl Job {
    /// A job of `total` bytes; 0 where nobody knows yet.
    pub(super) fn new(total: u64) -> Self {
        Self {
            total,
            done: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            state: Mutex::new(Rank::Work, State::default()),
            changed: Condvar::new(),
        }
    }

    /// Whether nothing more is to be done.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(SeqCst)
    }

    /// Fails once nothing more is to be done.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`], which gives way to what stopped the job.
    pub(super) fn check(&self) -> Result<()> {
        if self.is_stopped() { Err(cancelled()) } else { Ok(()) }
    }

    /// Notes that `bytes` more are done.
    pub(super) fn advance(&self, bytes: u64) {
        self.done.fetch_add(bytes, SeqCst);
    }

    /// Runs `work` on up to `workers` threads and returns when all of them have ended.
    ///
    /// # Errors
    /// The first error of a worker; [`ErrorKind::Cancelled`] where `progress` breaks off.
    pub(super) fn run(
        &self,
        workers: usize,
        progress: &mut Progress<'_>,
        work: &(dyn Fn() -> Result<()> + Sync),
    ) -> Result<()> {
        thread::scope(|scope| {
            // Also where the progress function panics, the workers end soon.
            let stop = Stop(self);
            self.state.lock().running = workers;
            for started in 0..workers {
                let spawned = spawn_scoped(scope, "qed-worker", || self.end(guarded(work)));
                if let Err(error) = spawned {
                    self.state.lock().running -= workers - started;
                    if started == 0 {
                        return Err(Error::io("starting a thread", error));
                    }
                    break;
                }
            }
            let went_on = self.watch(progress);
            if went_on {
                std::mem::forget(stop);
            }
            Ok(())
        })?;
        match self.state.lock().error.take() {
            Some(error) => Err(error),
            None => self.check(),
        }
    }

    /// Reports until the last worker has ended; whether the job may go on then.
    fn watch(&self, progress: &mut Progress<'_>) -> bool {
        loop {
            let running = {
                let mut state = self.state.lock();
                if state.running > 0 {
                    self.changed.wait_for(&mut state, TICK);
                }
                state.running
            };
            if self.is_stopped() {
                return false;
            }
            if progress(self.done.load(SeqCst), self.total).is_break() {
                return false;
            }
            if running == 0 {
                return true;
            }
        }
    }

    /// A worker has ended with `result`.
    fn end(&self, result: Result<()>) {
        let mut state = self.state.lock();
        if let Err(error) = result {
            // What follows from the stop says nothing new.
            if !self.stopped.swap(true, SeqCst) {
                state.error = Some(error);
            }
        }
        state.running -= 1;
        self.changed.notify_all();
    }
}

/// Stops the job when dropped.
struct Stop<'a>(&'a Job);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stopped.store(true, SeqCst);
    }
}

fn guarded(work: &(dyn Fn() -> Result<()> + Sync)) -> Result<()> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "a worker panicked")))
}

/// Fails for a number of workers that nobody can mean.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`].
pub(super) fn check_workers(workers: usize) -> Result<()> {
    if (1..=MAX_WORKERS).contains(&workers) {
        return Ok(());
    }
    Err(Error::invalid(format!("workers is {workers}, not 1 to {MAX_WORKERS}")))
}

/// Does work that changes something for good at its end: asks before it begins, and what is done is
/// done, whatever `progress` answers then.
///
/// # Errors
/// [`ErrorKind::Cancelled`] where `progress` breaks off in time; what `work` reports.
pub(super) fn run_to_an_end(
    job: &Job,
    progress: &mut Progress<'_>,
    work: &(dyn Fn() -> Result<()> + Sync),
) -> Result<()> {
    if progress(0, job.total).is_break() {
        return Err(cancelled());
    }
    let done = AtomicBool::new(false);
    let ended = job.run(1, progress, &|| work().map(|()| done.store(true, SeqCst)));
    if done.load(SeqCst) { Ok(()) } else { ended }
}

pub(super) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the operation was cancelled")
}

/// The default for the number of workers of an operation.
pub const DEFAULT_WORKERS: usize = 8;
/// The most workers that an operation may be asked for.
pub const MAX_WORKERS: usize = 64;
