//! What holds after `fork()`: an image belongs to the process that opened it.
//!
//! A child shares the file and its locks but has none of the parent's threads, and two engines
//! that both allocate would corrupt the image. Handles remember the generation they were born in;
//! in a later one they refuse every call and are forgotten instead of closed.

use pyo3::prelude::*;
use qed_core::{Error, Result};
use std::sync::atomic::{AtomicU32, Ordering};

static GENERATION: AtomicU32 = AtomicU32::new(0);

/// The process, counted in forks, that a handle was opened in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Birth(u32);

impl Birth {
    /// The process that runs now.
    pub(crate) fn now() -> Self {
        Self(GENERATION.load(Ordering::Relaxed))
    }

    /// Whether this process is the one.
    pub(crate) fn is_here(self) -> bool {
        self == Self::now()
    }

    /// Fails in any other process.
    pub(crate) fn check(self) -> Result<()> {
        if self.is_here() {
            return Ok(());
        }
        Err(Error::invalid("the image was opened before a fork; open it again in this process"))
    }
}

/// Called in the child after each fork (registered with `os.register_at_fork`).
#[pyfunction]
pub(crate) fn after_fork_in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}
