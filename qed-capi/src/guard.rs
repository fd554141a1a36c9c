//! The panic guard: every exported call that can fail runs inside [`run`].
//!
//! It runs the body, empties the error slot where that succeeds, and turns an error or a panic into
//! a filled slot and a negative errno. A panic is a bug of the library: it becomes
//! `QED_ERROR_INTERNAL` and -EIO, and never unwinds into C, where that would end the process.

use crate::status;
use qed_core::{Error, ErrorKind, Result};
use std::any::Any;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A call that answers 0 or a negative errno.
pub(crate) fn status(function: &str, body: impl FnOnce() -> Result<()>) -> c_int {
    run(function, body).map_or_else(|code| code, |()| 0)
}

/// A call that answers a small number of its own or a negative errno.
pub(crate) fn code(function: &str, body: impl FnOnce() -> Result<c_int>) -> c_int {
    run(function, body).unwrap_or_else(|code| code)
}

/// A call that answers a count or a negative errno. No count of an image passes 63 bits.
pub(crate) fn count(function: &str, body: impl FnOnce() -> Result<u64>) -> i64 {
    let count = run(function, body).map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    count.unwrap_or_else(i64::from)
}

/// Runs `body` for `function`; the error is the negative errno, and the slot is filled.
pub(crate) fn run<T>(
    function: &str,
    body: impl FnOnce() -> Result<T>,
) -> std::result::Result<T, c_int> {
    // The engine's locks do not poison and its guards undo themselves when they unwind, so what a
    // handle names stays usable; the caller learns that something is wrong.
    let answer =
        catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| Err(internal(&*panic)));
    // The slot is settled last: a callback of the body's may have called libqed, too.
    match answer {
        Ok(value) => {
            status::clear();
            Ok(value)
        }
        Err(error) => Err(status::record(function, &error)),
    }
}

fn internal(panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a text");
    Error::new(ErrorKind::Internal, format!("a bug in libqed, please report it: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{QED_ERROR_INTERNAL, QED_ERROR_NONE, qed_error_kind, qed_error_message};
    use std::ffi::CStr;

    #[test]
    fn a_panic_becomes_an_internal_error() {
        let answer = status("qed_test", || panic!("cluster {} is gone", 7));
        assert_eq!((answer, qed_error_kind()), (-libc::EIO, QED_ERROR_INTERNAL));
        // SAFETY: never NULL, and no libqed call of this thread comes in between.
        let text = unsafe { CStr::from_ptr(qed_error_message()) }.to_str().unwrap();
        assert_eq!(text, "qed_test: a bug in libqed, please report it: cluster 7 is gone");
    }

    #[test]
    fn success_empties_the_slot_and_keeps_the_number() {
        assert_eq!(status("qed_test", || Err(Error::invalid("x"))), -libc::EINVAL);
        assert_eq!(code("qed_test", || Ok(3)), 3);
        assert_eq!(qed_error_kind(), QED_ERROR_NONE);
    }

    #[test]
    fn a_count_past_63_bits_stays_a_count() {
        assert_eq!(count("qed_test", || Ok(u64::MAX)), i64::MAX);
        assert_eq!(count("qed_test", || Err(Error::invalid("x"))), i64::from(-libc::EINVAL));
    }
}
