//! Which libqed this is. `QED_VERSION_*` are written into the header from Cargo's version.

use std::ffi::c_char;

/// The version of the library that is running, as in "0.1.0". QED_VERSION_STRING is the version
/// of the header that the program was compiled with.
///
/// Ownership: a constant of the library. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn qed_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
