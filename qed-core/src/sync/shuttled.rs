//! The locks under shuttle's scheduler, with the manners of `parking_lot`: no poisoning, and a wait
//! that takes the guard by reference.
//!
//! A guard holds shuttle's guard in an `Option` only so that a wait can take it out and put the new
//! one back; it is never empty while anyone can see it.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::time::Duration;

/// A mutual exclusion lock.
pub(super) struct Mutex<T> {
    inner: shuttle::sync::Mutex<T>,
}

/// Holds a [`Mutex`] locked.
pub(super) struct MutexGuard<'a, T> {
    inner: Option<shuttle::sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub(super) fn new(value: T) -> Self {
        Self { inner: shuttle::sync::Mutex::new(value) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        MutexGuard { inner: Some(inner) }
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex")
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        match &self.inner {
            Some(guard) => guard,
            None => unreachable!("a guard is empty only inside a wait"),
        }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.inner {
            Some(guard) => guard,
            None => unreachable!("a guard is empty only inside a wait"),
        }
    }
}

/// A reader-writer lock.
pub(super) struct RwLock<T> {
    inner: shuttle::sync::RwLock<T>,
}

/// Holds a [`RwLock`] for reading.
pub(super) type RwLockReadGuard<'a, T> = shuttle::sync::RwLockReadGuard<'a, T>;

/// Holds a [`RwLock`] for writing.
pub(super) type RwLockWriteGuard<'a, T> = shuttle::sync::RwLockWriteGuard<'a, T>;

impl<T> RwLock<T> {
    pub(super) fn new(value: T) -> Self {
        Self { inner: shuttle::sync::RwLock::new(value) }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RwLock")
    }
}

/// Waits on a [`Mutex`].
#[derive(Debug, Default)]
pub(super) struct Condvar {
    inner: shuttle::sync::Condvar,
}

impl Condvar {
    pub(super) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        if let Some(held) = guard.inner.take() {
            guard.inner = Some(self.inner.wait(held).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Waits until notified: there is no time under the scheduler.
    pub(super) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, timeout: Duration) {
        if let Some(held) = guard.inner.take() {
            let waited = self.inner.wait_timeout(held, timeout);
            guard.inner = Some(waited.unwrap_or_else(PoisonError::into_inner).0);
        }
    }

    pub(super) fn notify_one(&self) {
        self.inner.notify_one();
    }

    pub(super) fn notify_all(&self) {
        self.inner.notify_all();
    }
}
