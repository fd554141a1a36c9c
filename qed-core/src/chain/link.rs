//! One file of a chain: opened, locked, and looked at, but not yet built upon.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::file::{Access, FileId, check_file};
use super::options::{LockMode, OpenOptions};
use super::probe::{BackingFormat, Format, probe_storage};
use super::raw::RawSource;
use super::resolve::{Found, Whereabouts};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{BackingInfo, CacheMode, Image, ImageSettings, read_backing_info};
use crate::source::Source;
use crate::storage::{FileMode, FileStorage, ImageLock, Storage};

#[derive(Debug)]
pub(super) struct Link {
    pub(super) whereabouts: Whereabouts,
    pub(super) id: FileId,
    /// What it names as its own backing file.
    pub(super) backing: Option<BackingInfo>,
    format: BackingFormat,
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
    /// The image itself.
    ///
    /// # Errors
    /// Another process holds it, its header is broken, it cannot be read.
    pub(super) fn image(
        file: File,
        whereabouts: Whereabouts,
        purpose: Purpose,
        options: &OpenOptions,
    ) -> Result<Self> {
        let access = Access { block_devices: options.block_devices, ..Access::default() };
        let id = FileId::of(&check_file(&file, access, "the image")?);
        let mode = file_mode(options.image.cache, purpose == Purpose::Write);
        let storage = lock_and_wrap(file, mode, purpose, options.lock)?;
        let backing = read_backing_info(&*storage)?;
        Ok(Self { whereabouts, id, backing, format: BackingFormat::Qed, storage })
    }

    /// A backing file, which the image above calls `said`. Without a word on its format the magic
    /// decides among the formats that have one.
    ///
    /// # Errors
    /// As [`image`](Self::image); [`ErrorKind::Refused`] where the format cannot be told.
    pub(super) fn below(
        found: Found,
        id: FileId,
        said: &BackingInfo,
        options: &OpenOptions,
    ) -> Result<Self> {
        let Found { file, whereabouts, format } = found;
        let mode = file_mode(options.image.cache, false);
        let storage = lock_and_wrap(file, mode, Purpose::Read, options.lock)?;
        let format = match format {
            Some(format) => format,
            None if said.raw => BackingFormat::Raw,
            None => recognised(&*storage)?,
        };
        let backing = match format {
            BackingFormat::Raw => None,
            BackingFormat::Qed => read_backing_info(&*storage)?,
        };
        Ok(Self { whereabouts, id, backing, format, storage })
    }

    /// The layer that this file is, over what lies below it.
    ///
    /// # Errors
    /// What building it finds.
    pub(super) fn into_source(
        self,
        below: Option<Arc<dyn Source>>,
        settings: &ImageSettings,
    ) -> Result<Arc<dyn Source>> {
        if self.format == BackingFormat::Raw {
            let path = self.whereabouts.path.as_deref();
            return Ok(Arc::new(RawSource::new(self.storage, path)?));
        }
        Ok(Arc::new(self.into_image(below, settings.clone())?))
    }

    /// The image that this file is, over what lies below it.
    ///
    /// # Errors
    /// What building it finds.
    pub(super) fn into_image(
        self,
        below: Option<Arc<dyn Source>>,
        settings: ImageSettings,
    ) -> Result<Image> {
        let image = Image::from_storage(self.storage, below, settings)?;
        Ok(match self.whereabouts.path {
            Some(path) => image.named(path),
            None => image,
        })
    }
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

fn recognised(storage: &dyn Storage) -> Result<BackingFormat> {
    match probe_storage(storage)? {
        Format::Qed => Ok(BackingFormat::Qed),
        Format::Qcow2 => Err(qcow2_backing()),
        Format::Unknown => Err(Error::new(
            ErrorKind::Refused,
            "the backing file has the magic of no known format, and the image does not say that it \
             is raw; an explicit chain with backing_format=raw would allow it",
        )),
    }
}

/// The answer to a qcow2 backing file.
pub(crate) fn qcow2_backing() -> Error {
    Error::new(ErrorKind::Unsupported, "qcow2 backing files are not built in yet")
}
