//! Committing an overlay: what it holds goes into a backing file, and it is emptied.
//!
//! A crash at any point leaves a chain that reads the same. Until the base is stable nothing of the
//! overlay changes, and it hides what has come into the base half. Then the overlay's entries go,
//! in any order, for what shows in their place is the same (`docs/crash-consistency.md`). A commit
//! that fails or is cancelled is done again from the start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::rate::Rate;
use super::work::{Job, Progress, run_to_an_end};
use crate::chain::{Committing, Disk, OpenOptions, open_committing};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{Flags, ResizeOptions};
use crate::source::Source;
use crate::storage::AlignedBuffer;
use crate::sync::{Mutex, Rank};

/// How an overlay is committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitOptions {
    /// The backing file that takes it, by its path or by a name relative to the image: the image's
    /// own where it is not given. The layers between the two are of no use afterwards, and the
    /// overlay is kept.
    pub base: Option<PathBuf>,
    /// The overlay is not emptied.
    pub keep: bool,
    /// Bytes a second at most.
    pub rate: Option<u64>,
}

/// Commits the image at `path`. The base grows where it is smaller than the image; it never
/// shrinks.
///
/// `progress` is called as by [`convert`](super::convert()).
///
/// # Errors
/// As [`Disk::open`]; [`ErrorKind::InvalidArgument`] without a backing file, or where `base` is
/// none of its chain; [`ErrorKind::Unsupported`] where a qcow2 image would have to be emptied or
/// grown; [`ErrorKind::Cancelled`]; what reading and writing report.
pub fn commit(
    path: impl AsRef<Path>,
    options: &OpenOptions,
    commit: &CommitOptions,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let path = path.as_ref();
    let opened = open_committing(path, options, commit.base.as_deref());
    let Committing { top, base, depth } = opened.map_err(|error| error.in_file(path))?;
    let keep = commit.keep || commit.base.is_some();
    commit_disks(top, base, depth, &CommitOptions { keep, ..commit.clone() }, progress)
}

/// Commits `top` to `base`, which lies `depth` layers below it, and closes both. Of `commit` the
/// base has no meaning here.
///
/// # Errors
/// As [`commit`].
pub fn commit_disks(
    top: Disk,
    base: Arc<Disk>,
    depth: u32,
    commit: &CommitOptions,
    progress: &mut Progress<'_>,
) -> Result<()> {
    if !commit.keep {
        top.check_is_qed("emptying")?;
    }
    let job = Job::new(top.size());
    let rate = Rate::new(commit.rate);
    let disks = Mutex::new(Rank::Work, Some((top, base)));
    run_to_an_end(&job, progress, &|| {
        let taken = disks.lock().take();
        let Some((top, base)) = taken else { return Ok(()) };
        copy(&top, &base, depth, &rate, &job)?;
        // Before anything of the overlay goes.
        base.flush()?;
        job.check()?;
        if commit.keep {
            top.close()?
        } else {
            top.empty()?
        }
        let busy = || Error::new(ErrorKind::Internal, "the base is in use after the commit");
        Arc::into_inner(base).ok_or_else(busy)?.close()
    })
}

/// Gives the base what the layers above it hold.
fn copy(top: &Disk, base: &Disk, depth: u32, rate: &Rate, job: &Job) -> Result<()> {
    let size = top.size();
    if base.size() < size {
        base.resize(size, ResizeOptions::default())?;
    }
    let mut buffer = AlignedBuffer::new(PIECE);
    let mut at = 0;
    while at < size {
        job.check()?;
        let extent = Source::extent(top, at, size - at)?;
        let mut length = extent.length;
        if extent.depth < depth && extent.reads_zero() {
            zero(base, at, length, job)?;
        } else if extent.depth < depth {
            length = length.min(PIECE as u64);
            let part = &mut buffer[..usize::try_from(length).unwrap_or(PIECE)];
            top.pread(part, at)?;
            base.pwrite(part, at, Flags::NONE)?;
            rate.take(length, job)?;
        }
        at += length;
        job.advance(length);
    }
    Ok(())
}

/// Makes a range of the base read as zeroes, where it does not.
fn zero(base: &Disk, offset: u64, length: u64, job: &Job) -> Result<()> {
    let (mut at, end) = (offset, offset + length);
    while at < end {
        job.check()?;
        let extent = Source::extent(base, at, end - at)?;
        if !extent.reads_zero() {
            base.write_zeroes(at, extent.length, Flags::MAY_UNMAP)?;
        }
        at += extent.length;
    }
    Ok(())
}

/// Bytes that are moved at once.
const PIECE: usize = AlignedBuffer::HUGE;
