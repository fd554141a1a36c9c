//! Checking the image that a path or a descriptor names.

use std::fs::File;
use std::path::Path;

use super::{CheckReport, check_storage};
use crate::chain::file::{Access, check_file as check_kind, open_path};
use crate::chain::{OpenOptions, Purpose, file_mode, lock_and_wrap};
use crate::error::Result;

/// Checks the image at `path` without changing it. Of `options`, `backing` and `max_depth` have no
/// meaning here: no backing file is opened.
///
/// # Errors
/// The file cannot be opened, another process writes to it, or its header is none
/// ([`Error::corruption`](crate::Error::corruption) says why). Damage behind the header is no error, it
/// is in the report.
pub fn check(path: impl AsRef<Path>, options: &OpenOptions) -> Result<CheckReport> {
    let path = path.as_ref();
    let (no_follow, block_devices) = (options.no_follow, options.block_devices);
    let access = Access { writable: false, no_follow, block_devices };
    let opened = open_path(path, access, "the image");
    opened.and_then(|file| check_file(file, options)).map_err(|error| error.in_file(path))
}

/// Checks the image in `file`, as [`check`] does.
///
/// # Errors
/// As [`check`].
pub fn check_file(file: File, options: &OpenOptions) -> Result<CheckReport> {
    let access = Access { block_devices: options.block_devices, ..Access::default() };
    check_kind(&file, access, "the image")?;
    let mode = file_mode(options.image.cache, false);
    let storage = lock_and_wrap(file, mode, Purpose::Read, options.lock)?;
    check_storage(&*storage)
}
