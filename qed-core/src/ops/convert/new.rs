//! A target that does not exist yet: built under a name of its own, without a flush on the way.
//!
//! Nobody else can see the file until it is renamed, so what a crash would leave of it matters to
//! nobody; one sync at the end makes all of it stable. Over a backing file every byte of the feed
//! is written: what the backing file holds is not asked, and it is not opened. A feed that leaves
//! out what the image keeps in its backing file leaves out whole clusters. A stream that does not
//! say how long it is fills the largest disk there can be, which is cut to size at the end.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use super::super::create::{CreateOptions, create_filled, geometry_of};
use super::super::work::{Job, Progress};
use super::feed::{DiskFeed, Feed, StreamFeed};
use super::{ConvertOptions, fill};
use crate::chain::file::{Access, FileId, check_file};
use crate::chain::{Disk, directory_of, open_new};
use crate::error::{Error, Result};
use crate::format::AUTOCLEAR_FREE_MAP;
use crate::image::{CacheMode, ImageSettings, read_header};
use crate::source::{Extent, ExtentKind, Format, Source, Target};
use crate::storage::{FileMode, FileStorage, Preallocation, Storage, WriteFlags};
use crate::sync::{Mutex, Rank};

/// What filling a new file takes beside the file.
pub(super) struct Work<'a, 'p> {
    pub(super) options: &'a ConvertOptions,
    pub(super) job: &'a Job,
    pub(super) progress: &'a mut Progress<'p>,
}

/// Creates the disk at `path` and fills it from `feed`, which gives `size` bytes.
///
/// # Errors
/// What creating, reading or writing reports.
pub(super) fn build(
    path: &Path,
    mut create: CreateOptions,
    size: u64,
    feed: &dyn Feed,
    work: &mut Work<'_, '_>,
) -> Result<()> {
    let target_size = *create.size.get_or_insert(size);
    if target_size < size {
        let text = format!("a new disk of {target_size} bytes is smaller than {size} bytes");
        return Err(Error::invalid(text).in_file(path));
    }
    create_filled(path, &create, |file| {
        let storage = storage_of(file, &create, path)?;
        fill_disk(file, storage, path, &create, feed, work)?;
        work.sync(file, path, &create)
    })
}

/// As [`build`], from a stream that nobody knows the length of.
///
/// # Errors
/// As [`build`].
pub(super) fn build_open_ended(
    path: &Path,
    mut create: CreateOptions,
    feed: &StreamFeed<'_>,
    work: &mut Work<'_, '_>,
) -> Result<()> {
    if create.size.is_some() {
        return build(path, create, 0, feed, work);
    }
    if create.preallocation != Preallocation::Off {
        let text = "preallocation needs the disk's size: a stream of unknown length has none";
        return Err(Error::invalid(text).in_file(path));
    }
    create.size = Some(match create.format {
        Format::Qed => geometry_of(&create)?.max_image_size(),
        Format::Raw => 0,
        Format::Qcow2 => return build_spooled(path, create, feed, work),
    });
    create_filled(path, &create, |file| {
        let storage = storage_of(file, &create, path)?;
        if create.format == Format::Raw {
            fill_raw(&storage, path, feed, work)?;
        } else {
            fill_disk(file, Arc::clone(&storage), path, &create, feed, work)?;
            let size = sectors(feed.received());
            set_size(&*storage, size).map_err(|error| error.in_file(path))?;
        }
        work.sync(file, path, &create)
    })
}

/// As [`build_open_ended`], for a format whose disks cannot be cut to size: what comes is kept in a
/// raw file without a name until all of it is there.
fn build_spooled(
    path: &Path,
    create: CreateOptions,
    feed: &StreamFeed<'_>,
    work: &mut Work<'_, '_>,
) -> Result<()> {
    let failed = |error| Error::io("making room for the stream", error).in_file(path);
    let file = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .open(directory_of(path))
        .map_err(failed)?;
    let id = FileId::of(&check_file(&file, Access::default(), "the stream")?);
    let mode = FileMode { direct: false, writable: true, ignore_sync: true };
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::new(file, mode).map_err(failed)?);
    fill_raw(&storage, path, feed, work)?;
    let settings = ImageSettings { read_only: true, ..ImageSettings::default() };
    let spool = open_new(storage, id, Format::Raw, path, None, settings)?;
    build(path, create, Target::size(&spool), &DiskFeed::new(&spool, false), work)
}

/// Fills the empty raw file in `storage` with all that comes.
fn fill_raw(
    storage: &Arc<dyn Storage>,
    path: &Path,
    feed: &StreamFeed<'_>,
    work: &mut Work<'_, '_>,
) -> Result<()> {
    let growing = Growing::new(Arc::clone(storage), path);
    let manner = work.options.manner(true);
    fill(feed, &growing, manner, work.options.workers, work.job, work.progress)?;
    let set = storage.set_len(sectors(feed.received()));
    set.map_err(|error| Error::io("setting the disk's size", error).in_file(path))
}

fn sectors(bytes: u64) -> u64 {
    bytes.next_multiple_of(512)
}

fn storage_of(file: &File, create: &CreateOptions, path: &Path) -> Result<Arc<dyn Storage>> {
    let mode = FileMode { direct: create.cache.is_direct(), writable: true, ignore_sync: true };
    let opened = file.try_clone().and_then(|copy| FileStorage::new(copy, mode));
    match opened {
        Ok(storage) => Ok(Arc::new(storage)),
        Err(error) => Err(Error::io("opening the new image", error).in_file(path)),
    }
}

/// Fills the empty disk in `file` and closes it.
fn fill_disk(
    file: &File,
    storage: Arc<dyn Storage>,
    path: &Path,
    create: &CreateOptions,
    feed: &dyn Feed,
    work: &mut Work<'_, '_>,
) -> Result<()> {
    let id = FileId::of(&check_file(file, Access::default(), "the new image")?);
    let below = create.backing.as_ref().map(|_| Arc::new(Below) as Arc<dyn Source>);
    let manner = work.options.manner(below.is_none());
    let cache = if create.cache.is_direct() { CacheMode::None } else { CacheMode::Unsafe };
    let settings = ImageSettings { cache, ..ImageSettings::default() };
    let disk = open_new(storage, id, create.format, path, below, settings)?;
    fill(feed, &disk, manner, work.options.workers, work.job, work.progress)?;
    let disk = Mutex::new(Rank::Work, Some(disk));
    work.job.run(1, work.progress, &|| {
        let disk = disk.lock().take();
        disk.map_or(Ok(()), Disk::close)
    })
}

impl Work<'_, '_> {
    /// Makes the file stable, unless nobody wants that.
    fn sync(&mut self, file: &File, path: &Path, create: &CreateOptions) -> Result<()> {
        if create.cache == CacheMode::Unsafe {
            return Ok(());
        }
        self.job.run(1, self.progress, &|| {
            let synced = file.sync_all();
            synced.map_err(|error| Error::io("syncing the new image", error).in_file(path))
        })
    }
}

/// Says of a closed image that its disk has `size` bytes.
fn set_size(storage: &dyn Storage, size: u64) -> Result<()> {
    let mut header = read_header(storage)?;
    header.image_size = size;
    // The map of free space is tied to the table as it was.
    header.autoclear_features &= !AUTOCLEAR_FREE_MAP;
    let flags = WriteFlags { metadata: true, fua: false };
    let written = storage.write(&[IoSlice::new(&header.encode())], 0, flags);
    written.map_err(|error| Error::io("writing the header", error).at(0))
}

/// A raw file that becomes longer as it is written.
#[derive(Debug)]
struct Growing<'a> {
    storage: Arc<dyn Storage>,
    path: &'a Path,
    length: Mutex<u64>,
}

impl<'a> Growing<'a> {
    fn new(storage: Arc<dyn Storage>, path: &'a Path) -> Self {
        Self { storage, path, length: Mutex::new(Rank::Work, 0) }
    }

    fn grow(&self, end: u64) -> io::Result<()> {
        let mut length = self.length.lock();
        if end > *length {
            let wanted = end.next_multiple_of(GROWN_AT_ONCE);
            self.storage.set_len(wanted)?;
            *length = wanted;
        }
        Ok(())
    }
}

impl Target for Growing<'_> {
    fn size(&self) -> u64 {
        i64::MAX.unsigned_abs()
    }

    fn granule(&self) -> u64 {
        1
    }

    fn write(&self, buffer: &[u8], offset: u64) -> Result<()> {
        let grown = self.grow(offset + buffer.len() as u64);
        let written = grown.and_then(|()| {
            self.storage.write(&[IoSlice::new(buffer)], offset, WriteFlags::default())
        });
        written.map_err(|error| Error::io("writing data", error).at(offset).in_file(self.path))
    }

    /// New space reads as zeroes.
    fn write_zeroes(&self, _: u64, _: u64) -> Result<()> {
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }
}

/// What stands for the backing file of a new image: something that is not known to be zeroes and
/// that nobody's data comes from, because no cluster above it is written in part.
#[derive(Debug)]
struct Below;

impl Source for Below {
    fn size(&self) -> u64 {
        u64::MAX
    }

    fn read(&self, buffer: &mut [u8], _: u64) -> Result<()> {
        buffer.fill(0);
        Ok(())
    }

    fn extent(&self, offset: u64, length: u64) -> Result<Extent> {
        let kind = ExtentKind::Data { file_offset: None };
        Ok(Extent { offset, length, kind, depth: 0 })
    }
}

/// So that a long stream costs few changes of the file's length.
const GROWN_AT_ONCE: u64 = 64 << 20;
