//! External snapshots: a new image over a running disk, which goes on in it.

use std::fs;
use std::path::{Path, PathBuf};

use super::create::{CreateOptions, create};
use crate::chain::file::{Access, open_path};
use crate::chain::{Disk, directory_of};
use crate::error::{Error, Result};
use crate::source::Format;

/// Creates an image at `path` and puts it over `disk`, which runs on as the two of them: the file
/// it ran on so far keeps everything written before this call, complete and stable, and is only
/// read from now on; what is written from now on goes into the new image. Calls of other threads
/// wait meanwhile.
///
/// Of `options`, `size` is that of the disk and cannot be given; `backing` is the name of the
/// disk's file as the new image stores it: where it is not given, the file name alone if both lie
/// in one directory, else the absolute path.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for options that make no
/// overlay, and for a disk without a path where no name is given; what
/// [`create`](super::create()), [`Disk::quiesce`] and [`Disk::resume`] report. The disk then goes
/// on as it was, and the new image is gone.
pub fn add_overlay(disk: &Disk, path: impl AsRef<Path>, options: &CreateOptions) -> Result<()> {
    let path = path.as_ref();
    let options = plan(disk, path, options).map_err(|error| error.in_file(path))?;
    create(path, &options)?;
    let access = Access { writable: true, ..Access::default() };
    let put = open_path(path, access, "the overlay")
        .and_then(|file| disk.put_under(file, path, options.format));
    put.inspect_err(|_| {
        // The first error is the one that counts.
        let _ = fs::remove_file(path);
    })
    .map_err(|error| error.in_file(path))
}

/// The options of the new image.
fn plan(disk: &Disk, path: &Path, options: &CreateOptions) -> Result<CreateOptions> {
    if options.size.is_some() {
        return Err(Error::invalid("an overlay is as large as its disk: it takes no size"));
    }
    if options.format == Format::Raw {
        return Err(Error::invalid("a raw file has no backing file, so it is no overlay"));
    }
    if disk.is_read_only() {
        return Err(Error::invalid("the disk is open read-only: nothing would go into an overlay"));
    }
    let backing = match (&options.backing, disk.path()) {
        (Some(name), _) => name.clone(),
        (None, Some(below)) => name_from(path, &below)?,
        (None, None) => {
            return Err(Error::invalid("the disk has no path: the overlay needs its backing name"));
        }
    };
    Ok(CreateOptions {
        size: Some(disk.size()),
        backing: Some(backing),
        backing_format: Some(disk.format()),
        ..options.clone()
    })
}

/// The name by which an image at `path` finds `below`.
fn name_from(path: &Path, below: &Path) -> Result<PathBuf> {
    let resolved = |path: &Path| {
        fs::canonicalize(path).map_err(|error| Error::io("resolving a path", error).in_file(path))
    };
    let below = resolved(below)?;
    let name = below.file_name().map(PathBuf::from);
    let together = below.parent() == Some(&*resolved(directory_of(path))?);
    Ok(name.filter(|_| together).unwrap_or(below))
}
