//! A disk at rest: closed for a while, so that its file is complete and anybody's, then opened
//! again; or opened again under another name, with an overlay over it.
//!
//! ```text
//! running --quiesce--> at rest --resume--> running
//!            |            |
//!            |            +--resume fails--> closed: calls fail --resume--> running
//!            +--flush fails--> running, latched
//! ```
//!
//! Calls of other threads that come while the disk is at rest wait; one of the thread that put it
//! to rest would wait for ever, and fails.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::disk::Disk;
use super::observe::GuestCall;
use super::recipe::{Kept, Recipe};
use super::running::Running;
use crate::error::{Error, ErrorKind, Result};
use crate::source::Format;
use crate::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use crate::sync::{Mutex, Passage, Rank, lane_of_thread, thread};

/// What a disk needs to come to rest and to run again.
#[derive(Debug)]
pub(super) struct Rest {
    state: Mutex<State>,
    /// There is a recipe.
    may_come: bool,
    /// The number of the thread that put the disk to rest.
    by: AtomicUsize,
}

#[derive(Debug)]
struct State {
    /// None for a disk that only serves another one.
    recipe: Option<Recipe>,
    /// Its file, while it is at rest.
    kept: Option<Kept>,
}

const NOBODY: usize = usize::MAX;

impl Rest {
    pub(super) fn new() -> Self {
        let state = State { recipe: None, kept: None };
        let state = Mutex::new(Rank::Quiesce, state);
        Self { state, may_come: false, by: AtomicUsize::new(NOBODY) }
    }

    pub(super) fn with(self, recipe: Recipe) -> Self {
        self.state.lock().recipe = Some(recipe);
        Self { may_come: true, ..self }
    }

    /// Whether the disk may be put to rest; another one has its file open as long as it lives.
    pub(super) fn may_come(&self) -> bool {
        self.may_come
    }
}

impl Disk {
    /// Waits until running calls have returned, makes everything stable, and closes the disk's
    /// file: it is complete, and unlocked. It may be copied (by reflink, too), or be opened, also
    /// for writing, by another process. Calls of other threads wait until [`resume`](Self::resume).
    ///
    /// A disk in a storage of the caller's, or one that is recorded, keeps its storage and its
    /// lock.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where it is at rest already. What a flush reports: the disk then runs
    /// on. What closing reports: the disk is then closed, calls fail, and `resume` opens it again.
    pub fn quiesce(&self) -> Result<()> {
        let mut state = self.rest.state.lock();
        if state.kept.is_some() {
            return Err(self.named(Error::new(ErrorKind::Busy, "the disk is quiesced already")));
        }
        if state.recipe.is_none() {
            let text = "this disk cannot be opened again, and so not be quiesced";
            return Err(self.named(Error::new(ErrorKind::Unsupported, text)));
        }
        self.rest.by.store(lane_of_thread(), SeqCst);
        self.turnstile.close();
        let rested = self.put_to_rest(&mut state);
        if rested.is_err() {
            self.let_in();
        }
        rested.map_err(|error| self.named(error))
    }

    /// Opens a quiesced disk again, from what its file holds now, and lets calls in.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] where it is not quiesced. What opening reports: calls then
    /// fail, until a later `resume` succeeds.
    pub fn resume(&self) -> Result<()> {
        let mut state = self.rest.state.lock();
        let State { recipe: Some(recipe), kept: Some(kept) } = &*state else {
            return Err(self.named(Error::invalid("the disk is not quiesced")));
        };
        let opened = recipe.open(kept);
        let result = match opened {
            Ok(running) => {
                self.running.store(Arc::new(running));
                state.kept = None;
                Ok(())
            }
            Err(error) => {
                let why = format!("opening it again failed: {error}");
                let closed = self.running.load().closed(why);
                self.running.store(Arc::new(closed));
                Err(self.named(error))
            }
        };
        self.let_in();
        result
    }

    /// Puts the new image in `overlay` over this disk, which goes on as the two of them: what has
    /// been written so far stays in its file, which from now on is only read, and what is written
    /// from now on goes into the overlay. On failure the disk goes on as it was.
    ///
    /// # Errors
    /// As [`quiesce`](Self::quiesce) and [`resume`](Self::resume); [`ErrorKind::Unsupported`] for a
    /// disk that is recorded or was opened in a storage.
    pub(crate) fn put_under(&self, overlay: File, path: &Path, format: Format) -> Result<()> {
        self.quiesce()?;
        let put = self.run_under(overlay, path, format);
        if put.is_err() {
            self.resume()?;
        }
        put.map_err(|error| self.named(error))
    }

    fn run_under(&self, overlay: File, path: &Path, format: Format) -> Result<()> {
        let mut state = self.rest.state.lock();
        let (Some(recipe), Some(kept)) = (&state.recipe, &state.kept) else {
            return Err(Error::invalid("the disk is not quiesced"));
        };
        let recipe = recipe.under(kept, path, format)?;
        let kept = Kept::File(Arc::new(overlay));
        self.running.store(Arc::new(recipe.open(&kept)?));
        (state.recipe, state.kept) = (Some(recipe), None);
        self.let_in();
        Ok(())
    }

    /// Does something while no call is in the driver; those that come wait.
    ///
    /// # Errors
    /// As [`enter`](Self::enter), and what `act` reports.
    pub(super) fn while_empty(&self, act: impl FnOnce() -> Result<()>) -> Result<()> {
        let state = loop {
            drop(self.enter()?);
            let state = self.rest.state.lock();
            if state.kept.is_none() {
                break state;
            }
        };
        self.rest.by.store(lane_of_thread(), SeqCst);
        self.turnstile.close();
        let done = act();
        self.let_in();
        drop(state);
        done
    }

    /// Closes the disk's file, and keeps what is needed to open it again.
    fn put_to_rest(&self, state: &mut State) -> Result<()> {
        let running = self.running.load_full();
        let Some(storage) = &running.storage else {
            return Err(Error::new(ErrorKind::Busy, "the disk is not open"));
        };
        let kept = Kept::of(storage)?;
        let recipe = state.recipe.as_ref().map(|recipe| recipe.shortened(&running)).transpose()?;
        // Flushed first: what fails here leaves the disk as it is.
        self.observe(GuestCall::Flush, || running.flush())?;
        self.running.store(Arc::new(running.closed("it is quiesced")));
        (state.recipe, state.kept) = (recipe, Some(kept));
        alone(running).close().inspect_err(|error| {
            let why = format!("closing it failed: {error}");
            self.running.rcu(|closed| closed.closed(why.clone()));
        })
    }

    /// Passes the turnstile, waiting while the disk is at rest.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where the calling thread itself put it to rest.
    pub(super) fn enter(&self) -> Result<Passage<'_>> {
        if let Some(passage) = self.turnstile.try_enter() {
            return Ok(passage);
        }
        if self.rest.by.load(SeqCst) == lane_of_thread() {
            let text = "the disk is quiesced, by this very thread: it is to be resumed first";
            return Err(self.named(Error::new(ErrorKind::Busy, text)));
        }
        Ok(self.turnstile.wait_and_enter())
    }

    fn let_in(&self) {
        self.rest.by.store(NOBODY, SeqCst);
        self.turnstile.open();
    }
}

/// What nobody else uses any more, once those have let go who only asked for a fact.
fn alone(mut running: Arc<Running>) -> Running {
    loop {
        match Arc::try_unwrap(running) {
            Ok(running) => return running,
            Err(shared) => running = shared,
        }
        thread::yield_now();
    }
}
