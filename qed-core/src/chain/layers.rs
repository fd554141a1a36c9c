//! The files of a running chain: what they are called, which of them a path means, and what is left
//! of them when a stream has made some needless.

use crate::sync::atomic::Ordering::SeqCst;
use std::path::Path;
use std::sync::Arc;

use super::disk::{Disk, LayerName};
use super::file::FileId;
use super::running::Running;
use crate::error::{Error, ErrorKind, Result};
use crate::source::Source;

impl Disk {
    /// The files of the chain, from the disk's own to the base.
    #[must_use]
    pub fn layers(&self) -> Vec<LayerName> {
        self.running.load().layers()
    }

    /// Which of the [`layers`](Self::layers) the file at `path` is, by whatever name.
    pub(crate) fn place_of(&self, path: &Path) -> Option<usize> {
        let wanted = id_of(path)?;
        let running = self.running.load();
        if running.file_id() == Some(wanted) {
            return Some(0);
        }
        let below = running.disks_below().iter();
        below
            .map(|disk| disk.running.load().file_id())
            .position(|id| id == Some(wanted))
            .map(|place| place + 1)
    }

    /// What lies below the disk from its layer `place` on, 1 being its backing file.
    pub(crate) fn source_below(&self, place: usize) -> Option<Arc<dyn Source>> {
        let running = self.running.load();
        let disk = running.disks_below().get(place.checked_sub(1)?)?;
        Some(Arc::clone(disk) as Arc<dyn Source>)
    }

    /// Notes that a stream has made so many of the layers below needless, from the backing file
    /// down, or all of them.
    pub(crate) fn forget_layers(&self, count: Option<u32>) {
        let count = count.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        self.running.load().drop_layers(count);
    }

    /// Keeps other streams away until what it returns is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where one runs.
    pub(crate) fn begin_streaming(&self) -> Result<Streaming<'_>> {
        if self.streaming.swap(true, SeqCst) {
            let error = Error::new(ErrorKind::Busy, "the disk is being streamed already");
            return Err(self.named(error));
        }
        Ok(Streaming(self))
    }
}

/// The one stream that a disk may have.
#[derive(Debug)]
#[must_use]
pub(crate) struct Streaming<'a>(&'a Disk);

impl Drop for Streaming<'_> {
    fn drop(&mut self) {
        self.0.streaming.store(false, SeqCst);
    }
}

impl Running {
    /// Which file the disk's own is; by its path where that is all that is known.
    fn file_id(&self) -> Option<FileId> {
        self.id.or_else(|| id_of(&self.path()?))
    }
}

fn id_of(path: &Path) -> Option<FileId> {
    std::fs::metadata(path).ok().map(|found| FileId::of(&found))
}
