//! What happens to handles when the process forks: a child can tell its parent's from its own.
//!
//! A child has a copy of the handles and none of the threads behind them. The list of shells is
//! held over the fork, so that the child finds it whole.

use crate::handle::SHELLS;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Differs between a process and its children.
pub(crate) fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// Looks out for forks from now on.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    // SAFETY: functions of the right type that outlive the library's code. Without memory for them
    // the registration fails, and a child is told nothing.
    ONCE.call_once(|| unsafe {
        libc::pthread_atfork(Some(before), Some(after), Some(in_child));
    });
}

unsafe extern "C" fn before() {
    std::mem::forget(SHELLS.lock());
}

unsafe extern "C" fn after() {
    // SAFETY: `before` locked it in this thread, and forgot the guard.
    unsafe { SHELLS.force_unlock() };
}

unsafe extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    // SAFETY: as in `after`: the child is a copy of the thread that locked it.
    unsafe { SHELLS.force_unlock() };
}
