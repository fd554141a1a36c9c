//! The error slot: what the last call of this thread has to say beside its negative errno.
//!
//! One slot per thread. Every call fills it or empties it when it returns, so that a kind of
//! `QED_ERROR_NONE` means that the thread's last call succeeded. Kinds are numbered in the order of
//! `ErrorKind::ALL`, from 1; a test holds the constants to that.

use qed_core::{Error, ErrorKind};
use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_int};
use std::io::Write;

/// The last call of this thread succeeded.
pub const QED_ERROR_NONE: c_int = 0;
/// The operating system failed a read, a write or a sync.
pub const QED_ERROR_IO: c_int = 1;
/// The image breaks a clause of the format.
pub const QED_ERROR_CORRUPT: c_int = 2;
/// The image, the file or the machine lacks what the call needs.
pub const QED_ERROR_UNSUPPORTED: c_int = 3;
/// An argument makes no sense: NULL, out of range, an unknown name, not a handle.
pub const QED_ERROR_INVALID_ARGUMENT: c_int = 4;
/// A change was asked of something opened or mounted read-only.
pub const QED_ERROR_READ_ONLY: c_int = 5;
/// The disk, a quota or the image's own address space is full.
pub const QED_ERROR_NO_SPACE: c_int = 6;
/// Another process holds the image.
pub const QED_ERROR_LOCKED: c_int = 7;
/// A policy of the caller forbids it: a backing file that may not be opened.
pub const QED_ERROR_REFUSED: c_int = 8;
/// An earlier sync or metadata write failed: nothing may claim to be stable any more.
pub const QED_ERROR_LATCHED: c_int = 9;
/// No such file.
pub const QED_ERROR_NOT_FOUND: c_int = 10;
/// The file exists, and overwriting was not asked for.
pub const QED_ERROR_ALREADY_EXISTS: c_int = 11;
/// The operating system's permissions forbid it.
pub const QED_ERROR_PERMISSION_DENIED: c_int = 12;
/// The bytes are not a QED image at all.
pub const QED_ERROR_NOT_QED: c_int = 13;
/// Damaged beyond what opening may repair: reads go on, allocation stops.
pub const QED_ERROR_DAMAGED: c_int = 14;
/// A callback of the caller asked to stop.
pub const QED_ERROR_CANCELLED: c_int = 15;
/// A bug inside the library, caught at its boundary.
pub const QED_ERROR_INTERNAL: c_int = 16;
/// It cannot be done now: a queue is full, the disk is quiesced, something still uses it.
pub const QED_ERROR_BUSY: c_int = 17;

/// The text of the error that this thread's last libqed call returned: one sentence that begins
/// with the function's name; "" where that call succeeded. Never NULL.
///
/// Ownership: the library's, valid until the next libqed call of this thread (qed_error_message,
/// qed_error_kind, qed_error_kind_name and qed_version leave it alone).
/// Threads: any; each sees its own. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn qed_error_message() -> *const c_char {
    let text = SLOT.try_with(|slot| {
        let text = slot.text.try_borrow().ok()?;
        (slot.kind.get() != QED_ERROR_NONE && !text.is_empty()).then(|| text.as_ptr())
    });
    text.ok().flatten().unwrap_or(c"".as_ptr().cast()).cast()
}

/// The kind of the error that this thread's last libqed call returned: one of QED_ERROR_*;
/// QED_ERROR_NONE where that call succeeded. Kinds are stable: new ones are added at the end.
///
/// Threads: any; each sees its own. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn qed_error_kind() -> c_int {
    SLOT.try_with(|slot| slot.kind.get()).unwrap_or(QED_ERROR_NONE)
}

/// The stable name of a kind, as in "invalid-argument": the same word in Rust, C and Python.
/// "none" for QED_ERROR_NONE, "unknown" for what is no kind.
///
/// Ownership: a constant of the library. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn qed_error_kind_name(kind: c_int) -> *const c_char {
    NAMES.iter().find(|(number, _)| *number == kind).map_or(c"unknown", |(_, name)| name).as_ptr()
}

struct Slot {
    kind: Cell<c_int>,
    /// Ends with a NUL and holds no other; kept between calls for its capacity.
    text: RefCell<Vec<u8>>,
}

thread_local! {
    static SLOT: Slot =
        const { Slot { kind: Cell::new(QED_ERROR_NONE), text: RefCell::new(Vec::new()) } };
}

/// Empties this thread's slot: a call succeeded. A thread that is ending has no slot any more.
pub(crate) fn clear() {
    let _ = SLOT.try_with(|slot| slot.kind.set(QED_ERROR_NONE));
}

/// Fills this thread's slot and gives the call's return value, a negative errno.
pub(crate) fn record(function: &str, error: &Error) -> c_int {
    let _ = SLOT.try_with(|slot| {
        if let Ok(mut text) = slot.text.try_borrow_mut() {
            text.clear();
            let _ = write!(text, "{function}: {error}");
            terminate(&mut text);
        }
        slot.kind.set(number(error.kind()));
    });
    // An operating system's errno is positive; nothing else may turn a failure into a success.
    -error.errno().max(1)
}

/// Makes a C string of `text`: bytes that would end it early become question marks.
pub(crate) fn terminate(text: &mut Vec<u8>) {
    text.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b'?');
    text.push(0);
}

/// The constant that stands for a kind.
pub(crate) fn number(kind: ErrorKind) -> c_int {
    let place = ErrorKind::ALL.iter().zip(1..).find(|(known, _)| **known == kind);
    place.map_or(QED_ERROR_INTERNAL, |(_, number)| number)
}

const NAMES: [(c_int, &std::ffi::CStr); 18] = [
    (QED_ERROR_NONE, c"none"),
    (QED_ERROR_IO, c"io"),
    (QED_ERROR_CORRUPT, c"corrupt"),
    (QED_ERROR_UNSUPPORTED, c"unsupported"),
    (QED_ERROR_INVALID_ARGUMENT, c"invalid-argument"),
    (QED_ERROR_READ_ONLY, c"read-only"),
    (QED_ERROR_NO_SPACE, c"no-space"),
    (QED_ERROR_LOCKED, c"locked"),
    (QED_ERROR_REFUSED, c"refused"),
    (QED_ERROR_LATCHED, c"latched"),
    (QED_ERROR_NOT_FOUND, c"not-found"),
    (QED_ERROR_ALREADY_EXISTS, c"already-exists"),
    (QED_ERROR_PERMISSION_DENIED, c"permission-denied"),
    (QED_ERROR_NOT_QED, c"not-qed"),
    (QED_ERROR_DAMAGED, c"damaged"),
    (QED_ERROR_CANCELLED, c"cancelled"),
    (QED_ERROR_INTERNAL, c"internal"),
    (QED_ERROR_BUSY, c"busy"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn message() -> String {
        // SAFETY: never NULL, and no libqed call of this thread comes in between.
        unsafe { CStr::from_ptr(qed_error_message()) }.to_string_lossy().into_owned()
    }

    #[test]
    fn every_kind_of_the_engine_has_its_constant_and_its_name() {
        assert_eq!(NAMES.len(), ErrorKind::ALL.len() + 1);
        for (kind, (constant, name)) in ErrorKind::ALL.iter().zip(&NAMES[1..]) {
            assert_eq!(number(*kind), *constant);
            assert_eq!(kind.name(), name.to_str().unwrap());
        }
    }

    #[test]
    fn a_text_with_a_nul_is_shown_whole() {
        let code = record("qed_test", &Error::invalid("a\0b"));
        assert_eq!((code, qed_error_kind()), (-libc::EINVAL, QED_ERROR_INVALID_ARGUMENT));
        assert_eq!(message(), "qed_test: a?b");
    }

    #[test]
    fn clearing_empties_kind_and_text() {
        record("qed_test", &Error::invalid("x"));
        assert_eq!(message(), "qed_test: x");
        clear();
        assert_eq!((qed_error_kind(), message().as_str()), (QED_ERROR_NONE, ""));
    }
}
