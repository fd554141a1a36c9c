//! Rebasing: an image goes on over another backing file, or over none, and reads the same.
//!
//! What the guest reads from the old chain and would not read from the new one is first written
//! into the image, where it is hidden from neither; when that is stable the header names the new
//! backing file by one sector (C18). In every state on the way the image reads the same, over
//! whichever file it names. In the unsafe mode the name changes and nothing else.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::rate::Rate;
use super::work::{Job, Progress, run_to_an_end};
use crate::chain::{Disk, OpenOptions, directory_of, probe};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{Flags, ImageSettings};
use crate::source::{ExtentKind, Format, Source, Target, all_zero, read_below, zero_below};
use crate::storage::AlignedBuffer;
use crate::sync::{Mutex, Rank};

/// What an image is rebased to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RebaseOptions {
    /// The new backing file's name, stored as it is; a relative one is relative to the image's
    /// directory. None: no backing file.
    pub backing: Option<PathBuf>,
    /// The new backing file's format; found by its magic where it is not given.
    pub backing_format: Option<Format>,
    /// Only the name changes: for a backing file that was moved or converted. Neither the old one
    /// nor the new one is opened.
    pub name_only: bool,
    /// Bytes a second at most.
    pub rate: Option<u64>,
}

/// Rebases the image at `path`.
///
/// `progress` is called as by [`convert`](super::convert()).
///
/// # Errors
/// As [`Disk::open`], for the image and for its new backing file; [`ErrorKind::Unsupported`] for
/// what is no QED image; [`ErrorKind::InvalidArgument`] for a name that the header has no room for;
/// [`ErrorKind::Cancelled`]: the image then has its old backing file; what reading and writing
/// report.
pub fn rebase(
    path: impl AsRef<Path>,
    options: &OpenOptions,
    rebase: &RebaseOptions,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let path = path.as_ref();
    let named = |error: Error| error.in_file(path);
    if rebase.backing.is_none() && rebase.backing_format.is_some() {
        return Err(named(Error::invalid("a backing format is given, but no backing file")));
    }
    let format = match (&rebase.backing, rebase.backing_format) {
        (None, format) | (Some(_), format @ Some(_)) => format,
        (Some(name), None) => Some(recognised(&directory_of(path).join(name)).map_err(named)?),
    };
    let new = match &rebase.backing {
        Some(name) if !rebase.name_only => Some(open_new(path, name, format, options)?),
        _ => None,
    };
    let name = rebase.backing.as_deref().map(|name| name.as_os_str().as_bytes());
    let name = name.map(|name| (name, format == Some(Format::Raw)));
    if rebase.name_only {
        return open_alone(path, options)?.set_backing(name);
    }
    let top = Disk::open(path, options)?;
    rebase_disk(top, new.as_ref(), name, rebase.rate, progress)
}

/// Makes `top` read over `new` what it reads over its old backing file, names the new one so, raw
/// by declaration or not, and closes the disk.
///
/// # Errors
/// As [`rebase`].
pub fn rebase_disk(
    top: Disk,
    new: Option<&Disk>,
    name: Option<(&[u8], bool)>,
    rate: Option<u64>,
    progress: &mut Progress<'_>,
) -> Result<()> {
    top.check_is_qed("rebasing")?;
    let job = Job::new(top.size());
    let rate = Rate::new(rate);
    let top = Mutex::new(Rank::Work, Some(top));
    run_to_an_end(&job, progress, &|| {
        let taken = top.lock().take();
        let Some(top) = taken else { return Ok(()) };
        let new = new.map(|disk| disk as &dyn Source);
        copy(&top, new, &rate, &job)?;
        // Before the header names the new backing file.
        top.flush()?;
        job.check()?;
        top.set_backing(name)
    })
}

/// Writes into the image what it does not hold itself and would read differently over `new`.
fn copy(top: &Disk, new: Option<&dyn Source>, rate: &Rate, job: &Job) -> Result<()> {
    let size = top.size();
    let cluster = usize::try_from(top.granule()).unwrap_or(PIECE);
    let piece = PIECE.max(cluster);
    let mut old = AlignedBuffer::new(piece);
    let mut other = AlignedBuffer::new(piece);
    let mut at = 0;
    while at < size {
        job.check()?;
        let own = top.own_extent(at, size - at)?;
        let (mut length, end) = (own.length, at + own.length);
        if own.kind == ExtentKind::Unallocated && !both_zero(top, new, at, end)? {
            length = length.min(piece as u64);
            let count = usize::try_from(length).unwrap_or(piece);
            let (old, other) = (&mut old[..count], &mut other[..count]);
            top.pread(old, at)?;
            read_below(new, other, at)?;
            for (start, (ours, theirs)) in
                (at..).step_by(cluster).zip(old.chunks(cluster).zip(other.chunks(cluster)))
            {
                if ours == theirs {
                    continue;
                }
                if all_zero(ours) {
                    top.hide_backing(start, ours.len() as u64)?;
                } else {
                    top.pwrite(ours, start, Flags::NONE)?;
                }
            }
            rate.take(length, job)?;
        }
        at += length;
        job.advance(length);
    }
    Ok(())
}

/// Whether a range is known to read as zeroes over either backing file.
fn both_zero(top: &Disk, new: Option<&dyn Source>, start: u64, end: u64) -> Result<bool> {
    Ok(zero_below(Some(top), start, end)? && zero_below(new, start, end)?)
}

/// The image without what it names as its backing file.
fn open_alone(path: &Path, options: &OpenOptions) -> Result<Disk> {
    let disk = Disk::open_without_backing(path, options)?;
    disk.check_is_qed("rebasing")?;
    Ok(disk)
}

/// The new backing file, as whoever opens the image afterwards will.
fn open_new(
    image: &Path,
    name: &Path,
    format: Option<Format>,
    options: &OpenOptions,
) -> Result<Disk> {
    let path = directory_of(image).join(name);
    let same = |path: &Path| std::fs::canonicalize(path).ok();
    if same(&path).is_some_and(|path| same(image) == Some(path)) {
        let text = format!("the image would be its own backing file {name:?}");
        return Err(Error::invalid(text).in_file(image));
    }
    let mut options = options.clone();
    options.format = format.unwrap_or_default();
    options.observer = None;
    options.image = ImageSettings { read_only: true, background: false, ..options.image };
    Disk::open(&path, &options)
}

fn recognised(path: &Path) -> Result<Format> {
    probe(path)?.ok_or_else(|| {
        let text = "the new backing file has the magic of no known format; backing_format=raw \
                    says that it is raw";
        Error::new(ErrorKind::InvalidArgument, text)
    })
}

/// Bytes that are compared at once, where clusters are not larger.
const PIECE: usize = AlignedBuffer::HUGE;
