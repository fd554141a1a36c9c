//! The latch: after a failed sync or metadata write, nothing claims to be stable any more (rule
//! C17).
//!
//! Owns one fact, what failed first. A sync, a write of metadata or a write with forced unit access
//! that fails sets it, for good; from then on every change and every sync fails with an error that
//! carries [`LatchedMark`], while reads go on. A failed write of plain data fails alone. (What a
//! forced write failed at, its data or the flush, cannot be told apart: it latches.)
//!
//! A call that was running when the latch fell is let through, but a sync never reports success
//! after it fell: what it covered may be what was lost.

use super::{Bypass, Limits, Storage, StoredExtent, WriteFlags};
use crate::error::LatchedMark;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, Rank};
use std::io::{self, IoSlice, IoSliceMut};
use std::sync::Arc;

/// A storage that refuses all changes once one of them may have been lost.
#[derive(Debug)]
pub struct Latch {
    inner: Arc<dyn Storage>,
    latched: AtomicBool,
    /// What failed first. Set before `latched` is.
    first: Mutex<Option<String>>,
}

impl Latch {
    /// `inner` behind a latch that has not fallen.
    #[must_use]
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        let first = Mutex::new(Rank::Storage, None);
        Self { inner, latched: AtomicBool::new(false), first }
    }

    /// Whether the latch has fallen.
    #[must_use]
    pub fn is_latched(&self) -> bool {
        self.latched.load(Ordering::Acquire)
    }

    /// Passes while the latch has not fallen.
    ///
    /// # Errors
    /// One that carries [`LatchedMark`].
    pub fn check(&self) -> io::Result<()> {
        if !self.is_latched() {
            return Ok(());
        }
        let first = self.first.lock().clone().unwrap_or_default();
        Err(io::Error::other(LatchedMark { first }))
    }

    /// Lets the latch fall because `operation` failed with `error`.
    pub(super) fn fall(&self, operation: &str, error: &io::Error) {
        let mut first = self.first.lock();
        first.get_or_insert_with(|| format!("{operation}: {error}"));
        self.latched.store(true, Ordering::Release);
    }
}

impl Storage for Latch {
    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    fn writes_directly(&self) -> bool {
        self.inner.writes_directly()
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        self.inner.read(buffers, offset)
    }

    fn write(&self, buffers: &[IoSlice<'_>], offset: u64, flags: WriteFlags) -> io::Result<()> {
        self.check()?;
        let written = self.inner.write(buffers, offset, flags);
        if flags.metadata || flags.fua {
            written.inspect_err(|error| {
                let what = if flags.metadata { "metadata" } else { "forced" };
                self.fall(&format!("{what} write at offset {offset}"), error);
            })?;
            return if flags.fua { self.check() } else { Ok(()) };
        }
        written
    }

    fn zero_range(&self, offset: u64, length: u64) -> io::Result<()> {
        self.check()?;
        self.inner.zero_range(offset, length)
    }

    fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        self.check()?;
        self.inner.allocate(offset, length)
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        self.check()?;
        self.inner.punch(offset, length)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.check()?;
        self.inner.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.check()?;
        self.inner.sync().inspect_err(|error| self.fall("sync", error))?;
        self.check()
    }

    fn stored_extent(&self, offset: u64, length: u64) -> io::Result<StoredExtent> {
        self.inner.stored_extent(offset, length)
    }

    fn disk_usage(&self) -> io::Result<u64> {
        self.inner.disk_usage()
    }

    /// Once the latch has fallen, whoever bypasses this storage comes back to it to write.
    fn bypass(&self) -> Option<Bypass<'_>> {
        self.inner.bypass().map(|bypass| bypass.behind(self))
    }
}

#[cfg(test)]
mod tests;
