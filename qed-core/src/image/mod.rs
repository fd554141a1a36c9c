//! The data plane: an [`Image`] executes plans. It moves bytes between the caller's buffers, the
//! image file and the backing source, and holds no lock while it does. Knows nothing of how tables
//! look.

mod around;
mod buffers;
mod copied;
mod ending;
mod extents;
mod fill;
mod flags;
mod info;
mod options;
mod read;
mod relocate;
mod resize;
mod straight;
mod write;
mod zero;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use copied::Copied;
pub use flags::Flags;
pub use info::{BackingInfo, Info};
pub(crate) use info::{ImageHeader, read_backing_info, read_header};
pub use options::{
    CacheMode, DEFAULT_L2_CACHE_SIZE, DEFAULT_SCAN_LIMIT, DetectZeroes, DiscardMode, ImageSettings,
};
pub use resize::ResizeOptions;
pub(crate) use straight::{Begun, Copying, Debt, EarlyEntries, Forced, Piece};

use crate::error::{Error, Result};
use crate::meta::Meta;
use crate::source::{Source, check_range};
use crate::storage::{AlignedBuffer, Spare, Storage};
use crate::sync::{Mutex, Rank};

/// An open QED image. Every method may be called from any number of threads at once.
///
/// Writes to different clusters run in parallel. A write that has returned is seen by every later
/// read; it is stable when a later [`flush`](Self::flush) has returned. Dropping an image closes it
/// as [`close`](Self::close) does, but nobody hears what failed.
#[derive(Debug)]
pub struct Image {
    meta: Arc<Meta>,
    settings: ImageSettings,
    backing_info: Mutex<Option<BackingInfo>>,
    path: Option<PathBuf>,
    /// For what fills new clusters.
    spare: Spare,
    closed: bool,
}

impl Image {
    /// Opens the image in `storage` over `backing`, which the caller has found by the image's
    /// backing name; without one, unallocated clusters read as zeroes.
    ///
    /// A writable open repairs what NEED_CHECK announces (F5) and clears autoclear bits that it
    /// does not know (F1); a read-only one changes nothing.
    ///
    /// # Errors
    /// A clause of the format that is broken, a failed read, write or sync;
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where NEED_CHECK stands for damage that
    /// opening cannot repair.
    pub fn from_storage(
        storage: Arc<dyn Storage>,
        backing: Option<Arc<dyn Source>>,
        settings: ImageSettings,
    ) -> Result<Self> {
        let header = ImageHeader::read(&*storage)?;
        Self::from_header(storage, header, backing, settings)
    }

    /// The same, where the header has been read already.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn from_header(
        storage: Arc<dyn Storage>,
        header: ImageHeader,
        backing: Option<Arc<dyn Source>>,
        settings: ImageSettings,
    ) -> Result<Self> {
        let ImageHeader { block, backing: named } = header;
        if !settings.read_only {
            block.get().check_writable()?;
        }
        settings.check()?;
        let meta = Meta::open(storage, block, backing, settings.for_meta())?;
        let backing_info = Mutex::new(Rank::Header, named);
        let spare = Spare::new(AlignedBuffer::ALIGNMENT, FILLS_KEPT);
        Ok(Self { meta, settings, backing_info, path: None, spare, closed: false })
    }

    /// The same image, whose errors name `path`.
    #[must_use]
    pub fn named(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The path the image was opened by, where it was opened by one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Guest bytes of the disk.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.meta.image_size()
    }

    /// Bytes in a cluster.
    pub(crate) fn cluster_size(&self) -> u64 {
        self.meta.geometry.cluster_size()
    }

    /// Whether the image was opened read-only.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.settings.read_only
    }

    /// Makes every write, zeroing and discard that has returned stable: it survives any later
    /// crash.
    ///
    /// # Errors
    /// A write or sync failed. The image is then latched: nothing claims to be stable any more, and
    /// every later change fails with [`ErrorKind::Latched`](crate::ErrorKind::Latched).
    pub fn flush(&self) -> Result<()> {
        if self.settings.read_only {
            return Ok(());
        }
        self.meta.flush().map_err(|error| self.named_error(error))
    }

    /// Flushes, cuts the file back to what is in use, and ends the session.
    ///
    /// # Errors
    /// What failed at it, a latch that fell earlier included. The image is closed all the same.
    pub fn close(mut self) -> Result<()> {
        self.closed = true;
        self.meta.close().map_err(|error| self.named_error(error))
    }

    /// Whether all free space of the file is known: the scan of a session that allocates is done.
    #[cfg(feature = "rule-switches")]
    #[must_use]
    pub fn has_scanned(&self) -> bool {
        self.meta.has_scanned()
    }

    /// Fails where `length` bytes at `offset` do not lie on the disk.
    fn check_range(&self, offset: u64, length: u64) -> Result<()> {
        check_range(self.size(), offset, length)
    }

    pub(crate) fn named_error(&self, error: Error) -> Error {
        match &self.path {
            Some(path) => error.in_file(path),
            None => error,
        }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if !self.closed {
            let _ = self.meta.close();
        }
    }
}

/// Bytes of memory that is kept for writes that copy from below: 32 of them at 64 KiB clusters.
const FILLS_KEPT: usize = 2 << 20;
