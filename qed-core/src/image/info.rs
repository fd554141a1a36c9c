//! Facts about an open image.

use std::io::{self, IoSliceMut};

use super::Image;
use crate::error::{Corruption, Error, Result};
use crate::format::{HEADER_BYTES, Header};
use crate::meta::HeaderBlock;
use crate::source::Format;
use crate::storage::Storage;

/// What an image is, as its header and its file say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// Guest bytes of the disk.
    pub virtual_size: u64,
    /// Bytes in a cluster.
    pub cluster_size: u64,
    /// Clusters in a table.
    pub table_size: u64,
    /// Clusters reserved for the header.
    pub header_size: u64,
    /// Incompatible feature bits (F1.1).
    pub features: u64,
    /// Compatible feature bits.
    pub compat_features: u64,
    /// Autoclear feature bits (F1.5).
    pub autoclear_features: u64,
    /// Bytes from the start of the file to the L1 table.
    pub l1_table_offset: u64,
    /// Another writer left the image unchecked (F5).
    pub needs_check: bool,
    /// The backing file, as the header names it.
    pub backing: Option<BackingInfo>,
    /// Bytes of the image file.
    pub file_length: u64,
    /// Bytes of disk that the image file occupies.
    pub disk_usage: u64,
    /// The image was opened read-only.
    pub read_only: bool,
}

/// A backing file, as the header of the image above names it (F1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackingInfo {
    /// The bytes of its path.
    pub name: Vec<u8>,
    /// Its format, where the image names it; a raw file is never to be probed.
    pub format: Option<Format>,
}

impl Image {
    /// What the image is, as it stands now.
    ///
    /// # Errors
    /// The operating system could not tell about the file.
    pub fn info(&self) -> Result<Info> {
        let header = self.meta.header();
        let storage = &self.meta.storage;
        let failed = |error| self.named_error(Error::io("asking about the file", error));
        Ok(Info {
            virtual_size: header.image_size,
            cluster_size: header.geometry.cluster_size(),
            table_size: header.geometry.table_clusters(),
            header_size: header.header_clusters.into(),
            features: header.features,
            compat_features: header.compat_features,
            autoclear_features: header.autoclear_features,
            l1_table_offset: header.l1_table_offset.get(),
            needs_check: header.needs_check(),
            backing: self.backing_info.lock().clone(),
            file_length: storage.len().map_err(failed)?,
            disk_usage: storage.disk_usage().map_err(failed)?,
            read_only: self.settings.read_only,
        })
    }
}

/// The header of an image, read once, and what it names as its backing file.
#[derive(Debug)]
pub(crate) struct ImageHeader {
    pub(super) block: HeaderBlock,
    pub(super) backing: Option<BackingInfo>,
}

impl ImageHeader {
    /// Reads and validates the header of `storage` (F1, F2) and the backing file's name (F1.3).
    ///
    /// # Errors
    /// A broken clause of the header, a NUL in the name, a failed read.
    pub(crate) fn read(storage: &dyn Storage) -> Result<Self> {
        let block = HeaderBlock::read(storage)?;
        let mut read = |bytes: &mut [u8], offset| block.read_at(storage, bytes, offset);
        let backing = named(&block.get(), storage, &mut read)?;
        Ok(Self { block, backing })
    }

    /// What it names as its backing file.
    pub(crate) fn backing(&self) -> Option<&BackingInfo> {
        self.backing.as_ref()
    }
}

/// Reads and validates the header of an image (F1, F2).
///
/// # Errors
/// A broken clause of the header, a failed read.
pub(crate) fn read_header(storage: &dyn Storage) -> Result<Header> {
    let length = storage.len().map_err(reading)?;
    let mut bytes = [0; HEADER_BYTES];
    storage.read(&mut [IoSliceMut::new(&mut bytes)], 0).map_err(reading)?;
    let present = usize::try_from(length).unwrap_or(HEADER_BYTES).min(HEADER_BYTES);
    Ok(Header::decode(&bytes[..present])?)
}

/// Reads the backing file's name from an image (F1.3).
///
/// # Errors
/// A broken clause of the header, a NUL in the name, a failed read.
pub(crate) fn read_backing_info(storage: &dyn Storage) -> Result<Option<BackingInfo>> {
    let mut read = |bytes: &mut [u8], offset| {
        storage.read(&mut [IoSliceMut::new(bytes)], offset).map_err(reading)
    };
    named(&read_header(storage)?, storage, &mut read)
}

/// What `header` names as the backing file; `read` fills bytes from a place of its file.
fn named(
    header: &Header,
    storage: &dyn Storage,
    read: &mut dyn FnMut(&mut [u8], u64) -> Result<()>,
) -> Result<Option<BackingInfo>> {
    let Some(place) = header.backing_name() else { return Ok(None) };
    let end = u64::from(place.offset) + u64::from(place.size);
    if end > storage.len().map_err(reading)? {
        return Err(Corruption::BackingName { offset: place.offset, size: place.size }.into());
    }
    let mut name = vec![0; usize::try_from(place.size).unwrap_or(0)];
    read(&mut name, place.offset.into())?;
    match name.iter().position(|byte| *byte == 0) {
        Some(at) => Err(Corruption::BackingNameNul { at }.into()),
        None => {
            let format = header.backing_is_raw().then_some(Format::Raw);
            Ok(Some(BackingInfo { name, format }))
        }
    }
}

fn reading(error: io::Error) -> Error {
    Error::io("reading the header", error)
}
