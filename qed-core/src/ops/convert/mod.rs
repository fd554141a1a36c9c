//! Copying a disk into another one, whatever the formats and wherever the bytes come from.
//!
//! ```text
//! disks, a window of them | a stream  -->  feed --pieces--> workers  -->  a disk | a stream
//! ```
//!
//! Only what the source's extents call data is read, and of that runs of zeroes are left out. A
//! new image is built under a name of its own and appears when it is complete and stable: until
//! then nobody can see it, so nothing on the way has to be flushed, and a copy that fails or is
//! cancelled leaves nothing. A disk that was there before is left half written then.

mod copy;
mod feed;
mod layout;
mod new;
mod parts;
mod pipe;
mod zeroes;

use std::fs::File;
use std::path::Path;

use super::create::{CreateOptions, check_raw, geometry_of};
use super::work::{DEFAULT_WORKERS, Job, Progress, check_workers};
use crate::chain::directory_of;
use crate::error::{Error, ErrorKind, Result};
use crate::format::{DEFAULT_CLUSTER_SIZE, Geometry};
use crate::source::{Format, Source, Target};
use copy::{Copy, Manner};
use feed::{DiskFeed, Feed, Keep, Piece, StreamFeed};
use layout::{Guest, Layout};
use new::Work;
use parts::Parts;
use pipe::{PipeReader, PipeWriter};

/// What is copied.
#[derive(Debug)]
pub enum ConvertSource<'a> {
    /// Disks, put one behind the other.
    Disks(Vec<&'a dyn Source>),
    /// The raw bytes of a disk, read from where the file stands to its end.
    Stream(File),
}

/// Where it goes.
#[derive(Debug)]
pub enum ConvertTarget<'a> {
    /// A new image at a path; its size is the source's unless the options name another one. Where
    /// its backing file is a layer of the one source, which is copied from its beginning, only what
    /// the layers above that hold is copied; else everything is, and hides the backing file.
    New(&'a Path, CreateOptions),
    /// A disk that is there, at least as large as the source. What lies behind stays.
    Disk(&'a dyn Target),
    /// A file that is written front to back: the bytes of the disk, or a QED image of them.
    Stream(File, CreateOptions),
}

/// How a disk is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConvertOptions {
    /// Where in the source to begin.
    pub offset: u64,
    /// Bytes to copy; all that follow where it is not given. Of a stream, exactly so many.
    pub length: Option<u64>,
    /// Threads that read and write, 1 to [`MAX_WORKERS`](crate::MAX_WORKERS).
    pub workers: usize,
    /// Writes follow one another in ascending order.
    pub in_order: bool,
    /// Runs of so many zeroes take no space in the target; 0: everything is written.
    pub sparse_size: u64,
    /// The target disk that is there reads as zeroes: zeroes need not be written.
    pub target_is_zero: bool,
    /// What cannot be read becomes zeroes.
    pub salvage: bool,
}

impl Default for ConvertOptions {
    fn default() -> Self {
        Self {
            offset: 0,
            length: None,
            workers: DEFAULT_WORKERS,
            in_order: true,
            sparse_size: DEFAULT_SPARSE_SIZE,
            target_is_zero: false,
            salvage: false,
        }
    }
}

/// Copies `source` to `target`. Gives the bytes that could not be read, 0 unless
/// [`ConvertOptions::salvage`] made them zeroes.
///
/// `progress` is called on the calling thread with the bytes done and the bytes in all (0 for a
/// stream of unknown length), at least every 100 milliseconds; where it breaks off, the copy ends.
///
/// # Errors
/// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) where `progress` breaks off,
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for options that make no
/// sense here or a target too small; what reading, writing or creating reports.
pub fn convert(
    source: ConvertSource<'_>,
    target: ConvertTarget<'_>,
    options: &ConvertOptions,
    progress: &mut Progress<'_>,
) -> Result<u64> {
    check_workers(options.workers)?;
    match source {
        ConvertSource::Disks(disks) => {
            let keep = kept(&disks, &target, options);
            let parts = Parts::new(&disks, options.offset, options.length)?;
            let feed = DiskFeed::new(&parts, options.salvage).keeping(keep);
            from_disk(&parts, &feed, target, options, progress)
        }
        ConvertSource::Stream(file) => {
            if options.offset != 0 {
                return Err(Error::invalid("a stream is read from where it stands: offset is 0"));
            }
            from_stream(&PipeReader::new(file), target, options, progress).map(|()| 0)
        }
    }
}

/// What the target need not hold, because its backing file is a layer of the one source.
fn kept(
    disks: &[&dyn Source],
    target: &ConvertTarget<'_>,
    options: &ConvertOptions,
) -> Option<Keep> {
    let ConvertTarget::New(path, create) = target else { return None };
    let (&[disk], Some(backing), 0) = (disks, &create.backing, options.offset) else { return None };
    let depth = disk.depth_of(&directory_of(path).join(backing), create.backing_format)?;
    let granule = create.cluster_size.unwrap_or(DEFAULT_CLUSTER_SIZE);
    granule.is_power_of_two().then_some(Keep { depth, granule })
}

/// Bytes of a QED image's file that holds what `source`'s extents call data, and nothing else.
///
/// # Errors
/// The disk is larger than the geometry can address; what asking for its extents reports.
pub(super) fn qed_length(source: &dyn Source, geometry: Geometry) -> Result<u64> {
    let layout = Layout::plan(Guest::Disk(source), geometry, &Job::new(source.size()))?;
    Ok(layout.length())
}

fn from_disk(
    source: &dyn Source,
    feed: &DiskFeed<'_>,
    target: ConvertTarget<'_>,
    options: &ConvertOptions,
    progress: &mut Progress<'_>,
) -> Result<u64> {
    let job = Job::new(source.size());
    match target {
        ConvertTarget::Disk(target) => {
            into_disk(feed, source.size(), target, options, &job, progress)?;
        }
        ConvertTarget::New(path, create) => {
            let mut work = Work { options, job: &job, progress };
            new::build(path, create, source.size(), feed, &mut work)?;
        }
        ConvertTarget::Stream(file, create) => match stream_geometry(&create)? {
            None => {
                let writer = PipeWriter::new(file, source.size(), &job);
                into_stream(feed, &writer, options, &job, progress)?;
            }
            Some(geometry) => {
                let layout = Layout::plan(Guest::Disk(source), geometry, &job)?;
                let job = Job::new(layout.length());
                let writer = PipeWriter::new(file, layout.length(), &job);
                into_stream(&layout, &writer, options, &job, progress)?;
            }
        },
    }
    Ok(feed.lost())
}

fn from_stream(
    pipe: &PipeReader,
    target: ConvertTarget<'_>,
    options: &ConvertOptions,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let feed = StreamFeed::new(pipe, options.length);
    let job = Job::new(options.length.unwrap_or(0));
    match target {
        ConvertTarget::Disk(target) => {
            into_disk(&feed, options.length.unwrap_or(0), target, options, &job, progress)
        }
        ConvertTarget::New(path, create) => {
            let mut work = Work { options, job: &job, progress };
            match options.length {
                Some(length) => new::build(path, create, length, &feed, &mut work),
                None => new::build_open_ended(path, create, &feed, &mut work),
            }
        }
        ConvertTarget::Stream(file, create) => match (stream_geometry(&create)?, options.length) {
            (None, length) => {
                let writer = PipeWriter::new(file, length.unwrap_or(u64::MAX), &job);
                into_stream(&feed, &writer, options, &job, progress)
            }
            (Some(_), None) => Err(Error::invalid(
                "a QED image goes into a stream only where its size is known: length is missing",
            )),
            (Some(geometry), Some(length)) => {
                let layout = Layout::plan(Guest::Stream(pipe, length), geometry, &job)?;
                let job = Job::new(layout.length());
                let writer = PipeWriter::new(file, layout.length(), &job);
                into_stream(&layout, &writer, options, &job, progress)
            }
        },
    }
}

/// The geometry of a QED image that is streamed; none for a raw disk.
fn stream_geometry(create: &CreateOptions) -> Result<Option<Geometry>> {
    let applies = CreateOptions {
        format: create.format,
        cluster_size: create.cluster_size,
        table_size: create.table_size,
        ..CreateOptions::default()
    };
    if *create != applies {
        let text = "a stream takes format, cluster_size and table_size, and no other option";
        return Err(Error::invalid(text));
    }
    match create.format {
        Format::Qed => geometry_of(create).map(Some),
        Format::Raw => check_raw(create).map(|()| None),
        Format::Qcow2 => {
            let text = "a qcow2 image cannot be written as a stream; raw and qed can";
            Err(Error::new(ErrorKind::Unsupported, text))
        }
    }
}

/// Fills a disk that was there before with `size` bytes (or as many as come).
fn into_disk(
    feed: &dyn Feed,
    size: u64,
    target: &dyn Target,
    options: &ConvertOptions,
    job: &Job,
    progress: &mut Progress<'_>,
) -> Result<()> {
    if size > target.size() {
        let text = format!("the target of {} bytes is smaller than {size} bytes", target.size());
        return Err(Error::invalid(text));
    }
    fill(feed, target, options.manner(options.target_is_zero), options.workers, job, progress)?;
    job.run(1, progress, &|| target.flush())
}

/// Writes a stream: in order, every byte.
fn into_stream(
    feed: &dyn Feed,
    writer: &PipeWriter<'_>,
    options: &ConvertOptions,
    job: &Job,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let manner = Manner { in_order: true, reads_zero: false, sparse_size: 0 };
    fill(feed, writer, manner, options.workers, job, progress)
}

fn fill(
    feed: &dyn Feed,
    target: &dyn Target,
    manner: Manner,
    workers: usize,
    job: &Job,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let copy = Copy::new(feed, target, manner);
    job.run(workers, progress, &|| copy.work(job))
}

impl ConvertOptions {
    fn manner(&self, reads_zero: bool) -> Manner {
        Manner { in_order: self.in_order, reads_zero, sparse_size: self.sparse_size }
    }
}

/// The part of a buffer that holds `piece`.
fn part(buffer: &mut [u8], piece: Piece) -> Option<&mut [u8]> {
    buffer.get_mut(..usize::try_from(piece.length).ok()?)
}

/// The default for [`ConvertOptions::sparse_size`].
pub const DEFAULT_SPARSE_SIZE: u64 = 4096;
