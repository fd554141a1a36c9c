//! Checking an image (F6): what is broken, what is wasted, how it lies; and repairing it.
//!
//! Works on whatever bytes it is given: the header must be one, everything behind it may be damage
//! and is counted, not followed. Backing files are never opened. Without a repair nothing is
//! changed; a repair is tried in memory first where the caller only wants to know.

mod options;
mod report;
mod undo;

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::chain::file::{Access, check_file as check_type, open_path};
use crate::chain::{OpenOptions, Purpose, file_mode, lock_and_wrap};
use crate::error::{Error, ErrorKind, Result};
use crate::image::read_header;
use crate::meta::repair::{self, Extent};
use crate::meta::scan::scan_while;
use crate::ops::work::{Progress, cancelled};
use crate::source::Format;
use crate::storage::{Overlay, Storage};

pub use options::{CheckOptions, Repair};
pub use report::CheckReport;
pub use undo::{undo_repair, undo_repair_file};

use report::{MAX_FINDINGS, make};

/// Checks the image at `path`, read-only. Of `options`, only how the file itself is opened and
/// locked has a meaning here.
///
/// # Errors
/// The file cannot be opened, another process writes to it, or its header is none
/// ([`Error::corruption`] says why). Damage behind the header is no error, it is in the report.
pub fn check(path: impl AsRef<Path>, options: &OpenOptions) -> Result<CheckReport> {
    check_with(path, options, &CheckOptions::default(), &mut |_, _| CONTINUE)
}

/// Checks the image in `file`, as [`check`] does.
///
/// # Errors
/// As [`check`].
pub fn check_file(file: File, options: &OpenOptions) -> Result<CheckReport> {
    check_file_with(file, options, &CheckOptions::default(), &mut |_, _| CONTINUE)
}

/// Checks the image at `path` and repairs it as `how` says; `progress` hears of the bytes of tables
/// that were walked, in each pass anew.
///
/// # Errors
/// As [`check`]; [`ErrorKind::Cancelled`] where `progress` breaks off; what opening the file for
/// writing, reading, writing and syncing it report; [`ErrorKind::Refused`] where the repair would
/// take more space than [`CheckOptions::max_growth`]. A repair that was broken off, by whatever it
/// was, can be made again.
pub fn check_with(
    path: impl AsRef<Path>,
    options: &OpenOptions,
    how: &CheckOptions,
    progress: &mut Progress<'_>,
) -> Result<CheckReport> {
    let path = path.as_ref();
    let access = Access {
        no_follow: options.no_follow,
        writable: how.changes(),
        block_devices: options.block_devices,
    };
    let opened = open_path(path, access, "the image");
    let checked = opened.and_then(|file| check_file_with(file, options, how, progress));
    checked.map_err(|error| error.in_file(path))
}

/// Checks the image in `file`, which a repair needs open for writing, as [`check_with`] does.
///
/// # Errors
/// As [`check_with`].
pub fn check_file_with(
    file: File,
    options: &OpenOptions,
    how: &CheckOptions,
    progress: &mut Progress<'_>,
) -> Result<CheckReport> {
    if options.format != Format::Qed {
        let text = format!("the format {} does not support checks", options.format);
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    let access = Access { block_devices: options.block_devices, ..Access::default() };
    check_type(&file, access, "the image")?;
    let purpose = if how.changes() { Purpose::Write } else { Purpose::Look };
    let mode = file_mode(options.image.cache, how.changes());
    check_storage_with(lock_and_wrap(file, mode, purpose, options.lock)?, how, progress)
}

/// Checks the image in `storage`, in memory proportional to what it references.
///
/// # Errors
/// The header cannot be read or is none: then nothing can be checked.
pub fn check_storage(storage: &dyn Storage) -> Result<CheckReport> {
    look(storage, &mut |_, _| CONTINUE)
}

/// Checks the image in `storage` and repairs it as `how` says.
///
/// # Errors
/// As [`check_with`].
pub fn check_storage_with(
    storage: Arc<dyn Storage>,
    how: &CheckOptions,
    progress: &mut Progress<'_>,
) -> Result<CheckReport> {
    how.check()?;
    let found = look(&*storage, progress)?;
    let Some(what) = how.repair else { return Ok(found) };
    let storage: Arc<dyn Storage> = if how.dry_run {
        let copy = Overlay::new(storage);
        Arc::new(copy.map_err(|cause| Error::io("asking the file's length", cause))?)
    } else {
        storage
    };
    let max_growth = match how.max_growth {
        Some(bytes) => bytes,
        None => used(&*storage)?.saturating_add(SLACK),
    };
    let extent = Extent { entries: what == Repair::All, max_growth, rules: how.rules };
    let leaks_fixed = match how.undo.as_deref() {
        None => repair::repair(&*storage, extent, &mut |_| Ok(()), &mut go_on(progress))?,
        Some(path) => {
            let kept = undo::begin(Arc::clone(&storage), path)?;
            let announce = &mut |ranges: &[Range<u64>]| {
                kept.announce(ranges).map_err(|error| undo::writing(error).in_file(path))
            };
            let leaks = repair::repair(&*kept, extent, announce, &mut go_on(progress))?;
            undo::end(&kept, path)?;
            leaks
        }
    };
    // What is there now is looked at, not concluded.
    let left = look(&*storage, progress)?;
    Ok(left.after_repair(found, leaks_fixed))
}

fn look(storage: &dyn Storage, progress: &mut Progress<'_>) -> Result<CheckReport> {
    let header = read_header(storage)?;
    let length = storage.len().map_err(|cause| Error::io("asking the file's length", cause))?;
    let mut findings = Vec::new();
    let mut visit = |bad: crate::meta::scan::BadEntry| {
        if findings.len() < MAX_FINDINGS {
            findings.push(bad.fault);
        }
        Ok(())
    };
    let found = scan_while(storage, &header, length, &mut go_on(progress), &mut visit)?;
    Ok(make(storage, &header, length, &found, findings))
}

fn used(storage: &dyn Storage) -> Result<u64> {
    storage.disk_usage().map_err(|cause| Error::io("asking about the file", cause))
}

fn go_on<'a>(progress: &'a mut Progress<'_>) -> impl FnMut(u64, u64) -> Result<()> + 'a {
    |done, total| if progress(done, total).is_break() { Err(cancelled()) } else { Ok(()) }
}

const CONTINUE: std::ops::ControlFlow<()> = std::ops::ControlFlow::Continue(());

/// New space that a repair may take by default, beside as much as the file already holds.
const SLACK: u64 = 1 << 30;

#[cfg(test)]
mod tests;
