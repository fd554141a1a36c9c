//! Threads of the library's own take no signals: those belong to the program that links it.

use std::mem::MaybeUninit;

/// Runs `start`, whose new threads block every signal. The calling thread's own mask is as before
/// afterwards.
pub(crate) fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    let mut every = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are valid for writes; `every` is filled before it is read.
    let blocked = unsafe {
        libc::sigfillset(every.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, every.as_ptr(), before.as_mut_ptr())
    };
    let result = start();
    if blocked == 0 {
        // SAFETY: the call above succeeded, so it has filled `before`.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
        }
    }
    result
}
