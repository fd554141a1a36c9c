//! A disk in any format: what the faces hold.
//!
//! Every format offers the same calls under the same names; this passes them on. A call passes the
//! disk's turnstile first, so that the disk can be closed and opened again, or put under an
//! overlay, while others use it.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::observe::{GuestCall, Observer, observe};
use super::open::open_chain;
use super::options::OpenOptions;
use super::probe::probe;
use super::qcow2::Qcow2Info;
use super::quiesce::Rest;
use super::recipe::{Kept, Recipe};
use super::running::{Driver, Running, closed};
use crate::error::{Error, Result};
use crate::image::{BackingInfo, Flags, Image, ImageSettings, Info};
use crate::source::{Extent, Extents, Format, PlainFile, Source, Target, check_range};
use crate::storage::Storage;
use crate::sync::Turnstile;
use crate::sync::atomic::AtomicBool;
use arc_swap::ArcSwap;

/// An open disk. Every method may be called from any number of threads at once.
#[derive(Debug)]
pub struct Disk {
    pub(super) running: ArcSwap<Running>,
    /// What every call passes that needs the driver.
    pub(super) turnstile: Turnstile,
    pub(super) rest: Rest,
    /// Whether a stream is at work.
    pub(super) streaming: AtomicBool,
    observer: Option<Arc<dyn Observer>>,
}

/// Passes a call on to whatever format it is.
macro_rules! pass {
    ($disk:expr, $inner:ident => $call:expr) => {{
        let _inside = $disk.enter()?;
        match &$disk.running.load().driver {
            Driver::Qed($inner) => $call,
            Driver::Qcow2($inner) => $call,
            Driver::Raw($inner) => $call,
            Driver::Closed(why) => Err($disk.named(closed(why))),
        }
    }};
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
        let recipe = Recipe::Storage { format, below, settings };
        Ok(Self::new(recipe.open(&Kept::Storage(storage))?).reopened_by(recipe))
    }

    pub(super) fn new(running: Running) -> Self {
        Self {
            running: ArcSwap::from_pointee(running),
            turnstile: Turnstile::new(),
            rest: Rest::new(),
            streaming: AtomicBool::new(false),
            observer: None,
        }
    }

    pub(super) fn reopened_by(self, recipe: Recipe) -> Self {
        Self { rest: self.rest.with(recipe), ..self }
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
        self.running.load().size()
    }

    /// The format of the disk's own file.
    #[must_use]
    pub fn format(&self) -> Format {
        self.running.load().format()
    }

    /// The path the disk was opened by, where it was opened by one.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        self.running.load().path()
    }

    /// Whether the disk was opened read-only.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.running.load().facts.read_only
    }

    pub(super) fn into_image(self) -> Option<Image> {
        match Arc::into_inner(self.running.into_inner())?.driver {
            Driver::Qed(image) => Some(image),
            _ => None,
        }
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
        let Self { running, observer, .. } = self;
        // Nobody else holds it: a call borrows the disk.
        let Some(running) = Arc::into_inner(running.into_inner()) else { return Ok(()) };
        observe(observer.as_deref(), GuestCall::Flush, || running.close())
    }

    /// The driver alone, without what watches it.
    ///
    /// # Errors
    /// The disk is in use.
    pub(super) fn into_driver(self) -> Result<Driver> {
        let running = Arc::into_inner(self.running.into_inner());
        let busy = || Error::new(crate::error::ErrorKind::Busy, "the disk is in use");
        running.map(|running| running.driver).ok_or_else(busy)
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

    /// The run that begins at `offset` in the disk's own file alone, or the first part of it.
    ///
    /// # Errors
    /// As [`extents`](Self::extents).
    pub(crate) fn own_extent(&self, offset: u64, length: u64) -> Result<Extent> {
        pass!(self, disk => disk.own_extent(offset, length))
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
        let _inside = self.enter()?;
        match &self.running.load().driver {
            Driver::Qed(image) => Ok(image.info()?.into()),
            Driver::Qcow2(disk) => disk.info(),
            Driver::Raw(disk) => disk.info(),
            Driver::Closed(why) => Err(self.named(closed(why))),
        }
    }

    /// Makes a call of the guest's, watched.
    pub(super) fn observe(
        &self,
        call: GuestCall<'_>,
        make: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        observe(self.observer.as_deref(), call, make)
    }

    fn check_range(&self, offset: u64, length: u64) -> Result<()> {
        check_range(self.size(), offset, length).map_err(|error| self.named(error))
    }

    pub(super) fn named(&self, error: Error) -> Error {
        match self.path() {
            Some(path) => error.in_file(&path),
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

    fn plain_file(&self) -> Option<PlainFile> {
        // Another one may have closed its file at any moment.
        if self.is_observed() || self.rest.may_come() {
            return None;
        }
        match &self.running.load().driver {
            Driver::Raw(disk) => disk.plain_file(),
            _ => None,
        }
    }

    fn depth_of(&self, file: &Path, format: Option<Format>) -> Option<u32> {
        let format = format.or_else(|| probe(file).ok().flatten())?;
        let place = self.place_of(file)?;
        let same = self.layers().get(place).is_some_and(|layer| layer.format == format);
        same.then(|| u32::try_from(place).ok()).flatten()
    }
}

impl Target for Disk {
    fn size(&self) -> u64 {
        Disk::size(self)
    }

    fn granule(&self) -> u64 {
        self.running.load().facts.granule
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
