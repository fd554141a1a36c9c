//! Locks with ranks, and the one place that names a threading library.
//!
//! Every lock of the engine has a [`Rank`]; a thread takes locks in ascending rank only, which
//! debug builds check (`docs/concurrency.md`). With the feature `shuttle` the same types run under
//! a scheduler that explores interleavings, so that small protocols can be model-checked.

mod lanes;
mod rank;
#[allow(unsafe_code)]
mod signals;
mod turnstile;

pub(crate) use lanes::lane_of_thread;
/// A value that is made once, and read without a lock from then on.
pub(crate) use once_cell::sync::OnceCell as OnceLock;
pub(crate) use rank::Rank;
pub(crate) use signals::without_signals;
pub(crate) use turnstile::{Passage, PassageTicket, Turnstile};

use rank::Held;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

#[cfg(not(feature = "shuttle"))]
pub(crate) use std::sync::atomic;
#[cfg(not(feature = "shuttle"))]
pub(crate) use std::thread;

#[cfg(feature = "shuttle")]
pub(crate) use shuttle::sync::atomic;
#[cfg(feature = "shuttle")]
pub(crate) use shuttle::thread;

#[cfg(not(feature = "shuttle"))]
mod raw {
    pub(super) use parking_lot::{
        Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    };
}
#[cfg(feature = "shuttle")]
mod raw {
    pub(super) use super::shuttled::*;
}
#[cfg(feature = "shuttle")]
mod shuttled;

/// Waits a little before looking again. Under the scheduler there is no time: the others go first.
pub(crate) fn nap(length: Duration) {
    #[cfg(not(feature = "shuttle"))]
    thread::sleep(length);
    #[cfg(feature = "shuttle")]
    {
        let _ = length;
        thread::yield_now();
    }
}

/// Starts a thread of the library's own inside `scope`: it has a name and takes no signals.
///
/// # Errors
/// The system has no thread to give.
#[cfg(not(feature = "shuttle"))]
pub(crate) fn spawn_scoped<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() + Send + 'scope,
) -> std::io::Result<()> {
    let builder = thread::Builder::new().name(name.into());
    without_signals(|| builder.spawn_scoped(scope, work)).map(drop)
}

/// As above; shuttle's scopes know no names.
#[cfg(feature = "shuttle")]
pub(crate) fn spawn_scoped<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    _name: &str,
    work: impl FnOnce() + Send + 'scope,
) -> std::io::Result<()> {
    without_signals(|| scope.spawn(work));
    Ok(())
}

/// A value on cache lines of its own, so that its changes do not slow down who reads its
/// neighbours.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Apart<T>(pub(crate) T);

impl<T> Deref for Apart<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// A mutual exclusion lock with a rank.
#[derive(Debug)]
pub(crate) struct Mutex<T> {
    rank: Rank,
    raw: raw::Mutex<T>,
}

/// Holds a [`Mutex`] locked.
pub(crate) struct MutexGuard<'a, T> {
    raw: raw::MutexGuard<'a, T>,
    _held: Held,
}

impl<T> Mutex<T> {
    pub(crate) fn new(rank: Rank, value: T) -> Self {
        Self { rank, raw: raw::Mutex::new(value) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        let held = Held::take(self.rank);
        MutexGuard { raw: self.raw.lock(), _held: held }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.raw
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.raw
    }
}

/// A reader-writer lock with a rank.
#[derive(Debug)]
pub(crate) struct RwLock<T> {
    rank: Rank,
    raw: raw::RwLock<T>,
}

/// Holds a [`RwLock`] for reading.
pub(crate) struct ReadGuard<'a, T> {
    raw: raw::RwLockReadGuard<'a, T>,
    _held: Held,
}

/// Holds a [`RwLock`] for writing.
pub(crate) struct WriteGuard<'a, T> {
    raw: raw::RwLockWriteGuard<'a, T>,
    _held: Held,
}

impl<T> RwLock<T> {
    pub(crate) fn new(rank: Rank, value: T) -> Self {
        Self { rank, raw: raw::RwLock::new(value) }
    }

    pub(crate) fn read(&self) -> ReadGuard<'_, T> {
        let held = Held::take(self.rank);
        ReadGuard { raw: self.raw.read(), _held: held }
    }

    pub(crate) fn write(&self) -> WriteGuard<'_, T> {
        let held = Held::take(self.rank);
        WriteGuard { raw: self.raw.write(), _held: held }
    }
}

impl<T> Deref for ReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.raw
    }
}

impl<T> Deref for WriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.raw
    }
}

impl<T> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.raw
    }
}

/// Waits on a [`Mutex`].
#[derive(Debug, Default)]
pub(crate) struct Condvar {
    raw: raw::Condvar,
}

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        self.raw.wait(&mut guard.raw);
    }

    /// Waits at most `timeout`.
    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, timeout: Duration) {
        self.raw.wait_for(&mut guard.raw, timeout);
    }

    pub(crate) fn notify_one(&self) {
        self.raw.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.raw.notify_all();
    }
}
