//! The bytes of a fresh image (F4), written so that a crash leaves none of it or all of it.
//!
//! Length and what stands past the first sector come first and are made stable; then the header's
//! sector makes an image of them. Before that sector is written the file has no magic.

use std::io::IoSlice;

use super::preallocate;
use crate::addr::FileOffset;
use crate::error::{Error, Result};
use crate::format::{
    AUTOCLEAR_TABLES_VOUCHED, FEATURE_BACKING_FILE, FEATURE_RAW_BACKING, Geometry, HEADER_BYTES,
    Header, MAX_BACKING_NAME,
};
use crate::storage::{Preallocation, Storage, WriteFlags, write_zeroes};

/// What a fresh image is to be; every value of this type is legal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateSpec {
    header: Header,
    name: Vec<u8>,
    preallocation: Preallocation,
}

impl CreateSpec {
    /// An image of `size` guest bytes, rounded up to 512.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) where the size passes what
    /// the geometry can address (F2).
    pub fn new(geometry: Geometry, size: u64) -> Result<Self> {
        let header = Header {
            geometry,
            header_clusters: 1,
            features: 0,
            compat_features: 0,
            autoclear_features: AUTOCLEAR_TABLES_VOUCHED,
            l1_table_offset: FileOffset(geometry.cluster_size()),
            image_size: size.checked_next_multiple_of(512).unwrap_or(u64::MAX),
            backing_words: (0, 0),
        };
        Self { header, name: Vec::new(), preallocation: Preallocation::Off }.validated()
    }

    /// The same image with space of its own from the start.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument): no file is so long.
    pub fn with_preallocation(mut self, preallocation: Preallocation) -> Result<Self> {
        self.preallocation = preallocation;
        preallocate::length(&self.header, preallocation).map(|_| self)
    }

    /// The same image over the backing file `name`, which is stored as it is.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for a name that is empty,
    /// too long for the header cluster (F1.4) or for any reader, or holds a NUL (F1.3).
    pub fn with_backing(mut self, name: &[u8], raw: bool) -> Result<Self> {
        let room = self.header.header_bytes() - u64::from(NAME_OFFSET);
        let most = room.min(MAX_BACKING_NAME.into());
        let size = name.len() as u64;
        if size > most {
            let cluster = self.header.geometry.cluster_size();
            return Err(Error::invalid(format!(
                "a backing name of {size} bytes is too long: {most} fit in a header cluster of \
                 {cluster} bytes"
            )));
        }
        if let Some(at) = name.iter().position(|byte| *byte == 0) {
            return Err(Error::invalid(format!("the backing name holds a NUL byte at {at}")));
        }
        // At most 4095, as just seen; the validator refuses the empty name.
        let words = (NAME_OFFSET, u32::try_from(size).unwrap_or(0));
        self.header.features = FEATURE_BACKING_FILE | if raw { FEATURE_RAW_BACKING } else { 0 };
        self.header.backing_words = words;
        self.name = name.to_vec();
        self.validated()
    }

    /// Bytes of the file of the fresh image.
    ///
    /// # Errors
    /// No file is so long.
    pub(in crate::ops) fn length(&self) -> Result<u64> {
        preallocate::length(&self.header, self.preallocation)
    }

    /// Bytes of the file once every cluster has been written.
    ///
    /// # Errors
    /// No file is so long.
    pub(in crate::ops) fn length_when_full(&self) -> Result<u64> {
        preallocate::length(&self.header, Preallocation::Full)
    }

    /// The one validator of headers judges what is created, too.
    fn validated(self) -> Result<Self> {
        match self.header.validate() {
            Ok(()) => Ok(self),
            Err(broken) => Err(Error::invalid(broken.to_string())),
        }
    }
}

/// Makes a fresh image of `storage`, whatever it held, and makes it stable.
///
/// A crash on the way leaves what was there before the call, a file without a header, or the whole
/// image, never a part of it that reads as an image.
///
/// # Errors
/// What the storage reports.
pub fn format_storage(storage: &dyn Storage, spec: &CreateSpec) -> Result<()> {
    cut_off(storage)?;
    let length = spec.length()?;
    storage.set_len(length).map_err(|error| Error::io("setting the file's length", error))?;
    let unit = storage.limits().atomic_unit;
    if !storage.limits().zeroes_new_space {
        let flags = WriteFlags { metadata: true, fua: false };
        write_zeroes(storage, unit, length.saturating_sub(unit), flags)
            .map_err(|error| Error::io("zeroing the tables", error).at(unit))?;
    }
    preallocate::fill(storage, &spec.header, spec.preallocation)?;
    let mut bytes = spec.header.encode().to_vec();
    bytes.extend(&spec.name);
    let unit = usize::try_from(unit).unwrap_or(HEADER_BYTES);
    bytes.resize(bytes.len().next_multiple_of(unit), 0);
    let (sector, behind) = bytes.split_at(unit);
    if !behind.is_empty() {
        write(storage, behind, unit as u64)?;
    }
    sync(storage)?;
    write(storage, sector, 0)?;
    sync(storage)
}

/// Forgets what `storage` held. A cut that is not stable may be undone after a later extension, and
/// old bytes would then stand in the new image's tables.
pub(super) fn cut_off(storage: &dyn Storage) -> Result<()> {
    let length = storage.len().map_err(|error| Error::io("asking the file's length", error))?;
    if length == 0 {
        return Ok(());
    }
    storage.set_len(0).map_err(|error| Error::io("cutting the file off", error))?;
    sync(storage)
}

fn write(storage: &dyn Storage, bytes: &[u8], offset: u64) -> Result<()> {
    let flags = WriteFlags { metadata: true, fua: false };
    storage
        .write(&[IoSlice::new(bytes)], offset, flags)
        .map_err(|error| Error::io("writing the header", error).at(offset))
}

fn sync(storage: &dyn Storage) -> Result<()> {
    storage.sync().map_err(|error| Error::io("syncing the new image", error))
}

/// Where creators put the backing name: right behind the header (F1.3).
const NAME_OFFSET: u32 = 64;
