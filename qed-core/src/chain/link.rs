//! One file of a chain: opened, locked, and looked at, but not yet built upon.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::disk::{Disk, LayerName};
use super::file::{Access, FileId, check_file, open_path};
use super::options::{LockMode, OpenOptions};
use super::probe::probe_storage;
use super::qcow2::{self, Qcow2Disk};
use super::raw::RawDisk;
use super::resolve::{Found, Whereabouts};
use super::running::{Driver, Running};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{BackingInfo, CacheMode, Image, ImageHeader, ImageSettings};
use crate::source::{Format, Source};
use crate::storage::{FileMode, FileStorage, ImageLock, Storage};

#[derive(Debug)]
pub(super) struct Link {
    pub(super) whereabouts: Whereabouts,
    /// Which file it is, where that is known.
    pub(super) id: Option<FileId>,
    /// What it names as its own backing file.
    pub(super) backing: Option<BackingInfo>,
    format: Format,
    /// The header of a QED image, as long as nobody else can have changed it.
    header: Option<ImageHeader>,
    storage: Arc<dyn Storage>,
}

/// What a file is opened for, as other processes need to know it (F7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Write,
    Read,
    Look,
}

impl Link {
    /// The disk itself.
    ///
    /// # Errors
    /// Another process holds it, its header is broken, it cannot be read.
    pub(super) fn top(
        file: File,
        whereabouts: Whereabouts,
        purpose: Purpose,
        options: &OpenOptions,
    ) -> Result<Self> {
        let access = Access { block_devices: options.block_devices, ..Access::default() };
        let id = FileId::of(&check_file(&file, access, "the image")?);
        let mode = file_mode(options.image.cache, purpose == Purpose::Write);
        let mut storage = lock_and_wrap(file, mode, purpose, options.lock)?;
        if let Some(observer) = &options.observer {
            storage = observer.storage(storage)?;
        }
        Self::new(whereabouts, Some(id), options.format, storage)
    }

    /// A backing file, which the image above calls `said`. Without a word on its format the magic
    /// decides among the formats that have one.
    ///
    /// # Errors
    /// As [`top`](Self::top); [`ErrorKind::Refused`] where the format cannot be told.
    pub(super) fn below(
        found: Found,
        id: FileId,
        said: &BackingInfo,
        options: &OpenOptions,
    ) -> Result<Self> {
        let mode = file_mode(options.image.cache, false);
        let storage = lock_and_wrap(found.file, mode, Purpose::Read, options.lock)?;
        let format = match found.format.or(said.format) {
            Some(format) => format,
            None => recognised(&*storage)?,
        };
        Self::new(found.whereabouts, Some(id), format, storage)
    }

    /// The disk itself, in `storage`.
    ///
    /// # Errors
    /// Its header is broken, it cannot be read.
    pub(super) fn new(
        whereabouts: Whereabouts,
        id: Option<FileId>,
        format: Format,
        storage: Arc<dyn Storage>,
    ) -> Result<Self> {
        let header = match format {
            Format::Qed => Some(ImageHeader::read(&*storage)?),
            Format::Raw | Format::Qcow2 => None,
        };
        let backing = match (format, &header) {
            (Format::Qcow2, _) => qcow2::read_backing_info(&*storage)?,
            (_, header) => header.as_ref().and_then(|header| header.backing().cloned()),
        };
        Ok(Self { whereabouts, id, backing, format, header, storage })
    }

    /// The same file, opened and locked for writing.
    ///
    /// # Errors
    /// It was given by descriptor, is another file by now, or is held by another process; what the
    /// operating system reports.
    pub(super) fn for_writing(self, options: &OpenOptions) -> Result<Self> {
        let Self { whereabouts, id, backing, format, storage, .. } = self;
        let Some(path) = &whereabouts.path else {
            let text = "a backing file given by descriptor is open for reading alone";
            return Err(Error::invalid(text));
        };
        // Its lock would stand against the writer's.
        drop(storage);
        let access =
            Access { writable: true, no_follow: false, block_devices: options.block_devices };
        let file = open_path(path, access, "the backing file")?;
        let found = FileId::of(&check_file(&file, access, "the backing file")?);
        if id != Some(found) {
            let text = "the backing file has been replaced meanwhile";
            return Err(Error::new(ErrorKind::Refused, text));
        }
        let mode = file_mode(options.image.cache, true);
        let storage = lock_and_wrap(file, mode, Purpose::Write, options.lock)?;
        Ok(Self { whereabouts, id, backing, format, header: None, storage })
    }

    /// What the file is called.
    fn name(&self) -> LayerName {
        LayerName { path: self.whereabouts.path.clone(), format: self.format }
    }

    /// The disk that this file is, over `below`.
    ///
    /// # Errors
    /// What building it finds.
    pub(super) fn into_running(
        self,
        below: Option<Arc<dyn Source>>,
        settings: ImageSettings,
    ) -> Result<Running> {
        let (path, name) = (self.whereabouts.path.as_deref(), self.name());
        let storage = Arc::clone(&self.storage);
        let driver = match self.header {
            Some(header) => qed_driver(storage, header, below, settings, path)?,
            None => driver(storage, self.format, below, settings, path)?,
        };
        Ok(Running::new(driver, name, self.storage).of_chain(self.id, Vec::new()))
    }

    /// The same, over the chain `below`, from its backing file to the base.
    ///
    /// # Errors
    /// As there.
    pub(super) fn into_top_of(
        self,
        below: Vec<Arc<Disk>>,
        settings: ImageSettings,
    ) -> Result<Running> {
        let id = self.id;
        let source = below.first().map(|disk| Arc::clone(disk) as Arc<dyn Source>);
        Ok(self.into_running(source, settings)?.of_chain(id, below))
    }
}

/// The driver of a disk of this format in `storage`, whose errors name `path`.
pub(super) fn driver(
    storage: Arc<dyn Storage>,
    format: Format,
    below: Option<Arc<dyn Source>>,
    settings: ImageSettings,
    path: Option<&Path>,
) -> Result<Driver> {
    if settings.copy_on_read && format == Format::Raw {
        let text = "copy_on_read is for images over a backing file: a raw disk has none";
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    Ok(match format {
        Format::Raw => Driver::Raw(RawDisk::new(storage, settings, path)?),
        Format::Qcow2 => {
            let disk = Qcow2Disk::from_storage(storage, below, settings)?;
            Driver::Qcow2(match path {
                Some(path) => disk.named(path.to_path_buf()),
                None => disk,
            })
        }
        Format::Qed => {
            let header = ImageHeader::read(&*storage)?;
            qed_driver(storage, header, below, settings, path)?
        }
    })
}

/// The same for an image of our own, whose header has been read.
fn qed_driver(
    storage: Arc<dyn Storage>,
    header: ImageHeader,
    below: Option<Arc<dyn Source>>,
    settings: ImageSettings,
    path: Option<&Path>,
) -> Result<Driver> {
    let image = Image::from_header(storage, header, below, settings)?;
    Ok(Driver::Qed(match path {
        Some(path) => image.named(path.to_path_buf()),
        None => image,
    }))
}

/// The disk in `storage`, which no other process knows yet, over `below` in the place of whatever
/// it names as its backing file. Its errors name `path`.
///
/// # Errors
/// What building it finds.
pub(crate) fn open_new(
    storage: Arc<dyn Storage>,
    id: FileId,
    format: Format,
    path: &Path,
    below: Option<Arc<dyn Source>>,
    settings: ImageSettings,
) -> Result<Disk> {
    let whereabouts = Whereabouts { path: Some(path.into()), ..Whereabouts::default() };
    let link = Link::new(whereabouts, Some(id), format, storage)?;
    Ok(Disk::new(link.into_running(below, settings)?))
}

/// How a file is used under a cache mode.
pub(crate) fn file_mode(cache: CacheMode, writable: bool) -> FileMode {
    let ignore_sync = cache == CacheMode::Unsafe;
    FileMode { direct: cache.is_direct(), writable, ignore_sync }
}

/// The storage of a file, locked for as long as the storage lives.
///
/// # Errors
/// Another process holds the file; it cannot be used so.
pub(crate) fn lock_and_wrap(
    file: File,
    mode: FileMode,
    purpose: Purpose,
    lock: LockMode,
) -> Result<Arc<dyn Storage>> {
    let locked = match (lock, purpose) {
        (LockMode::Off, _) => None,
        (LockMode::On, Purpose::Write) => Some(ImageLock::writer(&file)?),
        (LockMode::On, Purpose::Read) => Some(ImageLock::reader(&file)?),
        (LockMode::On, Purpose::Look) => Some(ImageLock::look(&file)?),
    };
    let storage = FileStorage::new(file, mode).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => Error::invalid(error.to_string()),
        _ => Error::io("opening the file for this cache mode", error),
    })?;
    Ok(match locked {
        Some(lock) => Arc::new(storage.with_lock(lock)),
        None => Arc::new(storage),
    })
}

fn recognised(storage: &dyn Storage) -> Result<Format> {
    probe_storage(storage)?.ok_or_else(|| {
        Error::new(
            ErrorKind::Refused,
            "the backing file has the magic of no known format, and the image does not say that it \
             is raw; an explicit chain with backing_format=raw would allow it",
        )
    })
}
