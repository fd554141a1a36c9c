//! What format a file has, by its magic and without opening anything else.

use crate::arguments;
use crate::guard::code;
use qed_core::{Format, probe, probe_file};
use std::ffi::{c_char, c_int};

/// The qed_probe* functions are there.
pub const LIBQED_HAVE_PROBE: c_int = 1;

/// No format that is known by its magic. A raw disk is never recognised.
pub const QED_FORMAT_UNKNOWN: c_int = 0;
/// A QED image.
pub const QED_FORMAT_QED: c_int = 1;
/// A qcow2 image.
pub const QED_FORMAT_QCOW2: c_int = 2;
/// A raw disk, which probing never answers.
pub const QED_FORMAT_RAW: c_int = 3;

/// Reads the first bytes of a file and answers its format, one of QED_FORMAT_*. Nothing else is
/// read or opened; the answer says nothing about the rest of the file.
///
/// Ownership: nothing is kept. Threads: any.
/// Errors: a negative errno: what opening or reading the file reports.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_probe(path: *const c_char) -> c_int {
    code("qed_probe", || {
        // SAFETY: the header's contract: NULL or a C string.
        probe(unsafe { arguments::path(path) }?).map(number)
    })
}

/// qed_probe for a descriptor that is open for reading.
///
/// Ownership: the descriptor stays the caller's. Threads: any.
/// Errors: -EBADF: not an open descriptor; what reading the file reports.
#[unsafe(no_mangle)]
pub extern "C" fn qed_probe_fd(fd: c_int) -> c_int {
    code("qed_probe_fd", || probe_file(&arguments::descriptor(fd)?).map(number))
}

/// The number of a format; no format has QED_FORMAT_UNKNOWN.
pub(crate) fn number(format: Option<Format>) -> c_int {
    let Some(format) = format else { return QED_FORMAT_UNKNOWN };
    match format {
        Format::Qed => QED_FORMAT_QED,
        Format::Qcow2 => QED_FORMAT_QCOW2,
        Format::Raw => QED_FORMAT_RAW,
        _ => QED_FORMAT_UNKNOWN,
    }
}
