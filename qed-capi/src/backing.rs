//! Backing files that the caller has opened or named itself, for images that may not choose their
//! own.

use crate::arguments;
use crate::guard::status;
use crate::handle;
use crate::options::qed_options;
use qed_core::{BackingSource, Error, Format, Result};
use std::ffi::{c_char, c_int};
use std::sync::Arc;

/// The functions qed_options_add_backing_path, qed_options_add_backing_fd and
/// qed_options_set_backing_directory_fd are there.
pub const LIBQED_HAVE_BACKING: c_int = 1;

/// Adds a backing file to be opened: the first is that of the image, the next that of the first,
/// and so on; the names in the images are then not looked at, and there must be as many as the
/// images need. format is "raw", "qed" or "qcow2"; NULL leaves it to what the image above says,
/// then to the magic.
///
/// Ownership: path and format are copied. Threads: any.
/// Errors: -EINVAL: an unknown format. The file is opened, and may fail, when an image is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_options_add_backing_path(
    options: *mut qed_options,
    path: *const c_char,
    format: *const c_char,
) -> c_int {
    status("qed_options_add_backing_path", || {
        // SAFETY: the header's contract: a handle that nobody frees meanwhile.
        let options = unsafe { handle::get(options.cast_const()) }?;
        // SAFETY: the header's contract: NULL or a C string.
        let source = BackingSource::path(unsafe { arguments::path(path) }?);
        // SAFETY: the header's contract: NULL or a C string.
        let source = unsafe { with_format(source, format) }?;
        options.lock().chain.push(source);
        Ok(())
    })
}

/// qed_options_add_backing_path for a file that is open for reading.
///
/// Ownership: the library takes a duplicate, which it closes with the options and the images opened
/// with them; the descriptor stays the caller's. Threads: any.
/// Errors: -EINVAL: an unknown format; -EBADF: not an open descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_options_add_backing_fd(
    options: *mut qed_options,
    fd: c_int,
    format: *const c_char,
) -> c_int {
    status("qed_options_add_backing_fd", || {
        // SAFETY: the header's contract: a handle that nobody frees meanwhile.
        let options = unsafe { handle::get(options.cast_const()) }?;
        let source = BackingSource::file(arguments::descriptor(fd)?);
        // SAFETY: the header's contract: NULL or a C string.
        let source = unsafe { with_format(source, format) }?;
        options.lock().chain.push(source);
        Ok(())
    })
}

/// Backing files are opened below this directory and nowhere else: the names in the images are
/// relative to it. This is how an image that is opened by descriptor finds them.
///
/// Ownership: the library takes a duplicate; the descriptor stays the caller's. Threads: any.
/// Errors: -EBADF: not an open descriptor. That it is no directory shows when an image is opened.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_options_set_backing_directory_fd(
    options: *mut qed_options,
    fd: c_int,
) -> c_int {
    status("qed_options_set_backing_directory_fd", || {
        // SAFETY: the header's contract: a handle that nobody frees meanwhile.
        let options = unsafe { handle::get(options.cast_const()) }?;
        let directory = arguments::descriptor(fd)?;
        options.lock().directory = Some(Arc::new(directory.into()));
        Ok(())
    })
}

/// # Safety
/// `format` is NULL or a C string.
unsafe fn with_format(source: BackingSource, format: *const c_char) -> Result<BackingSource> {
    if format.is_null() {
        return Ok(source);
    }
    // SAFETY: the caller's promise.
    let format = unsafe { arguments::text(format, "format") }?;
    let known = Format::from_name(format);
    let known = known.ok_or_else(|| {
        let names = Format::ALL.map(Format::name).join(", ");
        Error::invalid(format!("unknown format {format:?}; known are {names}"))
    })?;
    Ok(source.with_format(known))
}
