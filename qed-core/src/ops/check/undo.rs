//! Undo files: what a repair overwrites, and how it is put back.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use crate::chain::file::{Access, check_file as check_type, open_path};
use crate::chain::{OpenOptions, Purpose, directory_of, file_mode, lock_and_wrap};
use crate::error::{Error, ErrorKind, Result};
use crate::ops::create::sync_directory;
use crate::source::Format;
use crate::storage::{FileMode, FileStorage, Storage, Undo, restore};

/// Makes the image at `path` what it was before the repair that left the undo file at `undo`, bit
/// by bit and with the length it had. Stable when this returns; broken off, it can be made again.
///
/// # Errors
/// [`ErrorKind::Refused`] where the image is not as the repair left it, or the repair was taken
/// back already; [`ErrorKind::Corrupt`] where `undo` is no undo file; what opening the files
/// and the operating system report.
pub fn undo_repair(
    path: impl AsRef<Path>,
    undo: impl AsRef<Path>,
    options: &OpenOptions,
) -> Result<()> {
    let path = path.as_ref();
    let access = Access {
        writable: true,
        no_follow: options.no_follow,
        block_devices: options.block_devices,
    };
    let opened = open_path(path, access, "the image");
    let done = opened.and_then(|file| undo_repair_file(file, undo, options));
    done.map_err(|error| error.in_file(path))
}

/// As [`undo_repair`], for an image that is open for reading and writing.
///
/// # Errors
/// As there.
pub fn undo_repair_file(file: File, undo: impl AsRef<Path>, options: &OpenOptions) -> Result<()> {
    if options.format != Format::Qed {
        let text = format!("the format {} has no repair to undo", options.format);
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    let access = Access { block_devices: options.block_devices, ..Access::default() };
    check_type(&file, access, "the image")?;
    let undo = undo.as_ref();
    let access = Access { writable: true, ..Access::default() };
    let journal = open_path(undo, access, "the undo file").and_then(journal_in);
    let journal = journal.map_err(|error| error.in_file(undo))?;
    let mode = file_mode(options.image.cache, true);
    let storage = lock_and_wrap(file, mode, Purpose::Write, options.lock)?;
    restore(&*storage, journal).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::InvalidData => refused(ErrorKind::Corrupt, &cause).in_file(undo),
        std::io::ErrorKind::InvalidInput => refused(ErrorKind::Refused, &cause),
        _ => Error::io("undoing the repair", cause),
    })
}

fn refused(kind: ErrorKind, cause: &std::io::Error) -> Error {
    Error::new(kind, format!("the repair is not undone: {cause}"))
}

/// `storage`, whose changes are kept in a new undo file at `path`.
///
/// # Errors
/// The file is there already ([`ErrorKind::AlreadyExists`]), or cannot be written.
pub(super) fn begin(storage: Arc<dyn Storage>, path: &Path) -> Result<Arc<Undo>> {
    let created =
        fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
    let begun =
        created.map_err(|error| Error::io("creating the undo file", error)).and_then(|file| {
            let undo = Undo::new(storage, journal_in(file)?).map_err(writing)?;
            // The name has to last as well.
            sync_directory(directory_of(path))?;
            Ok(Arc::new(undo))
        });
    begun.map_err(|error| error.in_file(path))
}

/// Ends the journal of a repair; one that kept nothing is removed.
///
/// # Errors
/// The file cannot be written or removed.
pub(super) fn end(undo: &Undo, path: &Path) -> Result<()> {
    let ended = if undo.is_empty() { fs::remove_file(path) } else { undo.finish() };
    ended.map_err(|error| writing(error).in_file(path))
}

pub(super) fn writing(error: std::io::Error) -> Error {
    Error::io("writing the undo file", error)
}

fn journal_in(file: File) -> Result<Arc<dyn Storage>> {
    let mode = FileMode { writable: true, ..FileMode::default() };
    let storage = FileStorage::new(file, mode).map_err(writing)?;
    Ok(Arc::new(storage))
}
