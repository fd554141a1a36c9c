//! What a disk runs on at the moment: the driver of its format, over its backing files, and what is
//! known of it also while it is closed.

use std::path::PathBuf;
use std::sync::Arc;

use super::disk::{Disk, LayerName};
use super::file::FileId;
use super::qcow2::Qcow2Disk;
use super::raw::RawDisk;
use crate::error::{Error, ErrorKind, Result};
use crate::image::Image;
use crate::source::Format;
use crate::storage::Storage;
use crate::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// A driver with its file.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) driver: Driver,
    pub(super) facts: Facts,
    /// The driver's file; none where there is no driver.
    pub(super) storage: Option<Arc<dyn Storage>>,
    /// Which file it is, where that is known.
    pub(super) id: Option<FileId>,
    /// The disks of the chain below, from the backing file to the base, where they were opened with
    /// this one.
    below: Vec<Arc<Disk>>,
    /// How many of them a stream has made needless, from the backing file down.
    dropped: AtomicUsize,
}

/// The formats behind a [`Disk`](super::Disk).
#[derive(Debug)]
pub(super) enum Driver {
    Qed(Image),
    Qcow2(Qcow2Disk),
    Raw(RawDisk),
    /// The disk is not open, for this reason.
    Closed(String),
}

/// What a disk is known by.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// The files of the chain, from the disk's own to the base, as they were opened.
    layers: Vec<LayerName>,
    pub(super) read_only: bool,
    /// Bytes in which the disk is best changed.
    pub(super) granule: u64,
    /// Guest bytes when it was opened or closed.
    size: u64,
}

impl Running {
    pub(super) fn new(driver: Driver, own: LayerName, storage: Arc<dyn Storage>) -> Self {
        let (read_only, granule, size) = match &driver {
            Driver::Qed(image) => (image.is_read_only(), image.cluster_size(), image.size()),
            Driver::Qcow2(disk) => (disk.is_read_only(), disk.cluster_size(), disk.size()),
            Driver::Raw(disk) => (disk.is_read_only(), RAW_GRANULE, disk.size()),
            Driver::Closed(_) => (true, RAW_GRANULE, 0),
        };
        let facts = Facts { layers: vec![own], read_only, granule, size };
        let (below, dropped) = (Vec::new(), AtomicUsize::new(0));
        Self { driver, facts, storage: Some(storage), id: None, below, dropped }
    }

    /// The same, in the file `id` and over these disks, from the backing file to the base.
    pub(super) fn of_chain(mut self, id: Option<FileId>, below: Vec<Arc<Disk>>) -> Self {
        let named = below.iter().flat_map(|disk| disk.layers().into_iter().next());
        self.facts.layers.extend(named);
        Self { id, below, ..self }
    }

    /// The files of the chain that are needed, from the disk's own to the base.
    pub(super) fn layers(&self) -> Vec<LayerName> {
        let mut layers = self.facts.layers.clone();
        let needless = self.dropped().min(layers.len().saturating_sub(1));
        layers.drain(1..=needless);
        layers
    }

    /// The disks below that are needed, from the backing file to the base.
    pub(super) fn disks_below(&self) -> &[Arc<Disk>] {
        self.below.get(self.dropped()..).unwrap_or_default()
    }

    /// How many layers below are needless by now; [`usize::MAX`] where all are.
    pub(super) fn dropped(&self) -> usize {
        self.dropped.load(SeqCst)
    }

    /// Notes that `count` more of the layers below are needless, or all of them.
    pub(super) fn drop_layers(&self, count: Option<usize>) {
        let dropped = count.map_or(usize::MAX, |count| self.dropped().saturating_add(count));
        self.dropped.store(dropped, SeqCst);
    }

    /// What is left of `self` when its driver is gone, for the reason `why`.
    pub(super) fn closed(&self, why: impl Into<String>) -> Self {
        let facts = Facts { size: self.size(), layers: self.layers(), ..self.facts.clone() };
        let (below, dropped) = (Vec::new(), AtomicUsize::new(0));
        let driver = Driver::Closed(why.into());
        Self { driver, facts, storage: None, id: self.id, below, dropped }
    }

    pub(super) fn size(&self) -> u64 {
        match &self.driver {
            Driver::Qed(image) => image.size(),
            Driver::Qcow2(disk) => disk.size(),
            Driver::Raw(disk) => disk.size(),
            Driver::Closed(_) => self.facts.size,
        }
    }

    pub(super) fn format(&self) -> Format {
        self.facts.layers.first().map(|layer| layer.format).unwrap_or_default()
    }

    pub(super) fn path(&self) -> Option<PathBuf> {
        self.facts.layers.first().and_then(|layer| layer.path.clone())
    }

    pub(super) fn flush(&self) -> Result<()> {
        match &self.driver {
            Driver::Qed(image) => image.flush(),
            Driver::Qcow2(disk) => disk.flush(),
            Driver::Raw(disk) => disk.flush(),
            Driver::Closed(why) => Err(closed(why)),
        }
    }

    pub(super) fn close(self) -> Result<()> {
        match self.driver {
            Driver::Qed(image) => image.close(),
            Driver::Qcow2(disk) => disk.close(),
            Driver::Raw(disk) => disk.close(),
            Driver::Closed(_) => Ok(()),
        }
    }
}

/// The error of a call that finds no driver.
pub(super) fn closed(why: &str) -> Error {
    Error::new(ErrorKind::Busy, format!("the disk is not open: {why}"))
}

/// The blocks in which most file systems keep a raw file.
const RAW_GRANULE: u64 = 4096;
