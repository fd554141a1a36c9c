//! A disk in any format: what the faces hold.
//!
//! Every format offers the same calls under the same names; this passes them on. The QED image
//! behind a disk is the engine itself, and what only the engine has is reached through
//! [`Disk::image`].

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::observe::{GuestCall, Observer, observe};
use super::open::open_chain;
use super::options::OpenOptions;
use super::qcow2::{Qcow2Disk, Qcow2Info};
use super::raw::RawDisk;
use crate::error::{Error, Result};
use crate::image::{BackingInfo, Flags, Image, ImageSettings, Info};
use crate::source::{Extent, Extents, Format, Source, Target, check_range};
use crate::storage::Storage;

/// An open disk. Every method may be called from any number of threads at once.
#[derive(Debug)]
pub struct Disk {
    pub(super) driver: Driver,
    layers: Vec<LayerName>,
    observer: Option<Arc<dyn Observer>>,
}

/// The formats behind a [`Disk`].
#[derive(Debug)]
pub(super) enum Driver {
    Qed(Image),
    Qcow2(Qcow2Disk),
    Raw(RawDisk),
}

/// Passes a call on to whatever format it is.
macro_rules! pass {
    ($disk:expr, $inner:ident => $call:expr) => {
        match &$disk.driver {
            Driver::Qed($inner) => $call,
            Driver::Qcow2($inner) => $call,
            Driver::Raw($inner) => $call,
        }
    };
}

/// One file of an open chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerName {
    /// Its path; None where it was given by descriptor.
    pub path: Option<PathBuf>,
    /// Its format.
    pub format: Format,
}

/// What a disk is, whatever its format.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskInfo {
    /// The format of the disk's own file.
    pub format: Format,
    /// Guest bytes of the disk.
    pub virtual_size: u64,
    /// Bytes in a cluster, where the format has clusters.
    pub cluster_size: Option<u64>,
    /// Another writer left the image unchecked.
    pub needs_check: bool,
    /// The backing file, as the header names it.
    pub backing: Option<BackingInfo>,
    /// Bytes of the file.
    pub file_length: u64,
    /// Bytes of disk that the file occupies.
    pub disk_usage: u64,
    /// The disk was opened read-only.
    pub read_only: bool,
    /// What only a QED image has.
    pub qed: Option<Info>,
    /// What only a qcow2 image has.
    pub qcow2: Option<Qcow2Info>,
}

impl Disk {
    /// Opens the disk at `path`, whose format [`OpenOptions::format`] says, and its backing files.
    ///
    /// # Errors
    /// As [`open`](super::open()).
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self> {
        super::open::open_path_as_disk(path.as_ref(), options)
    }

    /// Opens the disk in `file`, as [`open_file`](super::open_file) does.
    ///
    /// # Errors
    /// As [`open`](super::open()).
    pub fn open_file(file: File, options: &OpenOptions) -> Result<Self> {
        open_chain(file, None, options)
    }

    /// A disk of this format in `storage`, over `below`, which it has no word about.
    ///
    /// # Errors
    /// What building it finds; [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for a
    /// format that is not built in.
    pub fn from_storage(
        storage: Arc<dyn Storage>,
        format: Format,
        below: Option<Arc<dyn Source>>,
        settings: ImageSettings,
    ) -> Result<Self> {
        let driver = super::link::driver(storage, format, below, settings, None)?;
        Ok(Self::new(driver, vec![LayerName { path: None, format }]))
    }

    pub(super) fn new(driver: Driver, layers: Vec<LayerName>) -> Self {
        Self { driver, layers, observer: None }
    }

    pub(super) fn observed_by(self, observer: Option<Arc<dyn Observer>>) -> Self {
        Self { observer, ..self }
    }

    pub(super) fn is_observed(&self) -> bool {
        self.observer.is_some()
    }

    /// Guest bytes of the disk.
    #[must_use]
    pub fn size(&self) -> u64 {
        pass!(self, disk => disk.size())
    }

    /// The format of the disk's own file.
    #[must_use]
    pub fn format(&self) -> Format {
        match &self.driver {
            Driver::Qed(_) => Format::Qed,
            Driver::Qcow2(_) => Format::Qcow2,
            Driver::Raw(_) => Format::Raw,
        }
    }

    /// The path the disk was opened by, where it was opened by one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        pass!(self, disk => disk.path())
    }

    /// Whether the disk was opened read-only.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        pass!(self, disk => disk.is_read_only())
    }

    /// The engine, where the disk is a QED image.
    #[must_use]
    pub fn image(&self) -> Option<&Image> {
        match &self.driver {
            Driver::Qed(image) => Some(image),
            Driver::Qcow2(_) | Driver::Raw(_) => None,
        }
    }

    pub(super) fn into_image(self) -> Option<Image> {
        match self.driver {
            Driver::Qed(image) => Some(image),
            Driver::Qcow2(_) | Driver::Raw(_) => None,
        }
    }

    /// The files of the chain, from the disk's own to the base.
    #[must_use]
    pub fn layers(&self) -> &[LayerName] {
        &self.layers
    }

    /// As [`Image::pread`].
    ///
    /// # Errors
    /// As there.
    pub fn pread(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.preadv(&mut [IoSliceMut::new(buffer)], offset)
    }

    /// As [`Image::preadv`].
    ///
    /// # Errors
    /// As there.
    pub fn preadv(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> Result<()> {
        pass!(self, disk => disk.preadv(buffers, offset))
    }

    /// As [`Image::pwrite`].
    ///
    /// # Errors
    /// As there.
    pub fn pwrite(&self, buffer: &[u8], offset: u64, flags: Flags) -> Result<()> {
        self.pwritev(&[IoSlice::new(buffer)], offset, flags)
    }

    /// As [`Image::pwritev`].
    ///
    /// # Errors
    /// As there.
    pub fn pwritev(&self, buffers: &[IoSlice<'_>], offset: u64, flags: Flags) -> Result<()> {
        let call = GuestCall::Write { offset, buffers, flags };
        self.observe(call, || pass!(self, disk => disk.pwritev(buffers, offset, flags)))
    }

    /// As [`Image::write_zeroes`].
    ///
    /// # Errors
    /// As there.
    pub fn write_zeroes(&self, offset: u64, length: u64, flags: Flags) -> Result<()> {
        let call = GuestCall::Zeroes { offset, length, flags };
        self.observe(call, || pass!(self, disk => disk.write_zeroes(offset, length, flags)))
    }

    /// As [`Image::discard`].
    ///
    /// # Errors
    /// As there.
    pub fn discard(&self, offset: u64, length: u64) -> Result<()> {
        let call = GuestCall::Discard { offset, length };
        self.observe(call, || pass!(self, disk => disk.discard(offset, length)))
    }

    /// As [`Image::flush`].
    ///
    /// # Errors
    /// As there.
    pub fn flush(&self) -> Result<()> {
        self.observe(GuestCall::Flush, || pass!(self, disk => disk.flush()))
    }

    /// As [`Image::close`].
    ///
    /// # Errors
    /// As there.
    pub fn close(self) -> Result<()> {
        let Self { driver, observer, .. } = self;
        observe(observer.as_deref(), GuestCall::Flush, || match driver {
            Driver::Qed(image) => image.close(),
            Driver::Qcow2(disk) => disk.close(),
            Driver::Raw(disk) => disk.close(),
        })
    }

    /// The extents of `length` bytes at `offset` in the disk's own file alone.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) where the range passes the
    /// end of the disk.
    pub fn extents(&self, offset: u64, length: u64) -> Result<Extents<'_>> {
        self.check_range(offset, length)?;
        Ok(Extents::new(
            offset,
            length,
            move |offset, length| pass!(self, disk => disk.own_extent(offset, length)),
        ))
    }

    /// The extents of `length` bytes at `offset` through the whole chain: each says in which layer
    /// the bytes are found.
    ///
    /// # Errors
    /// As [`extents`](Self::extents).
    pub fn map(&self, offset: u64, length: u64) -> Result<Extents<'_>> {
        self.check_range(offset, length)?;
        Ok(Extents::new(offset, length, move |offset, length| self.extent(offset, length)))
    }

    /// What the disk is, as it stands now.
    ///
    /// # Errors
    /// The operating system could not tell about the file.
    pub fn info(&self) -> Result<DiskInfo> {
        match &self.driver {
            Driver::Qed(image) => Ok(image.info()?.into()),
            Driver::Qcow2(disk) => disk.info(),
            Driver::Raw(disk) => disk.info(),
        }
    }

    /// Makes a call of the guest's, watched.
    fn observe(&self, call: GuestCall<'_>, make: impl FnOnce() -> Result<()>) -> Result<()> {
        observe(self.observer.as_deref(), call, make)
    }

    fn check_range(&self, offset: u64, length: u64) -> Result<()> {
        check_range(self.size(), offset, length).map_err(|error| self.named(error))
    }

    pub(super) fn named(&self, error: Error) -> Error {
        match self.path() {
            Some(path) => error.in_file(path),
            None => error,
        }
    }
}

impl Source for Disk {
    fn size(&self) -> u64 {
        Disk::size(self)
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.pread(buffer, offset)
    }

    fn extent(&self, offset: u64, length: u64) -> Result<Extent> {
        pass!(self, disk => disk.extent(offset, length))
    }
}

impl Target for Disk {
    fn size(&self) -> u64 {
        Disk::size(self)
    }

    fn granule(&self) -> u64 {
        match &self.driver {
            Driver::Qed(image) => image.cluster_size(),
            Driver::Qcow2(disk) => disk.cluster_size(),
            Driver::Raw(_) => RAW_GRANULE,
        }
    }

    fn write(&self, buffer: &[u8], offset: u64) -> Result<()> {
        self.pwrite(buffer, offset, Flags::NONE)
    }

    fn write_zeroes(&self, offset: u64, length: u64) -> Result<()> {
        Disk::write_zeroes(self, offset, length, Flags::MAY_UNMAP)
    }

    fn flush(&self) -> Result<()> {
        Disk::flush(self)
    }
}

/// The blocks in which most file systems keep a raw file.
const RAW_GRANULE: u64 = 4096;

impl From<Info> for DiskInfo {
    fn from(info: Info) -> Self {
        Self {
            format: Format::Qed,
            virtual_size: info.virtual_size,
            cluster_size: Some(info.cluster_size),
            needs_check: info.needs_check,
            backing: info.backing.clone(),
            file_length: info.file_length,
            disk_usage: info.disk_usage,
            read_only: info.read_only,
            qed: Some(info),
            qcow2: None,
        }
    }
}
