//! What is judged: a recording, understood once for all its states.

use super::tables::Shape;
use crate::crash::guest::{AFTERWARDS, GuestModel, pattern};
use crate::crash::medium::{Medium, SECTOR};
use crate::crash::recording::{Below, GuestDisk, Recording};
use crate::error::{Error, Result};
use crate::source::Format;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

/// A recording and what its guest may read.
#[derive(Debug)]
pub struct Subject {
    /// What was recorded.
    pub recording: Recording,
    /// The guest's disk before the first call.
    pub initial: GuestDisk,
    /// The versions of the guest's sectors.
    pub model: GuestModel,
    /// What the guest writes after a crash: clusters that nobody touched, whole and in part.
    pub spare: Vec<(u64, Vec<u8>)>,
    /// Bytes of a cluster; of a sector where there are none.
    pub cluster: u64,
    /// The digest of the backing file, once it was read.
    pub(super) backing_before: OnceLock<u64>,
}

/// Guest bytes written whole after a crash, at either end of the free space.
const LIFE: u64 = 32 << 10;

impl Subject {
    /// Understands a recording of a QED image or a raw one.
    ///
    /// # Errors
    /// The log does not begin with an image that can be read, or its format is none that is read
    /// here: see [`with_initial`](Self::with_initial).
    pub fn new(recording: Recording) -> Result<Self> {
        let medium = Medium::new(&recording.log.base);
        let initial = match recording.format {
            Format::Raw => GuestDisk::raw(medium),
            Format::Qed => GuestDisk::qed(medium, Below::of(&recording))
                .map_err(|what| Error::invalid(format!("the log begins with no image: {what}")))?,
            Format::Qcow2 => {
                let message = "a qcow2 image is read by QEMU's tools alone";
                return Err(Error::new(crate::error::ErrorKind::Unsupported, message));
            }
        };
        Ok(Self::with_initial(recording, initial))
    }

    /// Understands a recording whose guest's disk read as `initial` before the first call.
    #[must_use]
    pub fn with_initial(recording: Recording, initial: GuestDisk) -> Self {
        let shape = initial.shape().cloned();
        let cluster = shape.as_ref().map_or(1 << 16, |shape| shape.cluster);
        let Recording { log, calls, .. } = &recording;
        let size = shape.map_or(initial.medium.length(), |shape| shape.size);
        let model = GuestModel::new(cluster, size, &initial, calls, log);
        let spare = spare(size, cluster, &initial, &model);
        let backing_before = OnceLock::new();
        Self { recording, initial, model, spare, cluster, backing_before }
    }

    /// The shape of the image, where the oracles of this crate can read it.
    #[must_use]
    pub fn shape(&self) -> Option<&Shape> {
        self.initial.shape()
    }

    /// The events behind which less is legal.
    #[must_use]
    pub fn boundaries(&self) -> Vec<usize> {
        self.model.boundaries()
    }

    /// Guest clusters that any call touched, ascending.
    #[must_use]
    pub fn touched_clusters(&self) -> Vec<u64> {
        let mut clusters: Vec<u64> =
            self.model.touched().map(|sector| sector * SECTOR / self.cluster).collect();
        clusters.dedup();
        clusters
    }

    /// What lies below the image.
    #[must_use]
    pub fn below(&self) -> Arc<Below> {
        self.initial.below()
    }
}

/// Writes into clusters that nobody touched: whole ones at either end of the free ones, then
/// single sectors of others.
fn spare(size: u64, cluster: u64, initial: &GuestDisk, model: &GuestModel) -> Vec<(u64, Vec<u8>)> {
    let sectors = cluster / SECTOR;
    let is_free = |index: &u64| {
        let mapped = initial.tables.as_ref().is_some_and(|tables| tables.entry(*index).is_some());
        !mapped && !model.touches(index * sectors..(index + 1) * sectors)
    };
    let count = size / cluster;
    let whole = (LIFE / cluster).clamp(1, 8);
    let wanted = super::super::random::to_usize(2 * whole);
    let near: BTreeSet<u64> = (0..count).filter(is_free).take(wanted).collect();
    let far: BTreeSet<u64> = (0..count).rev().filter(is_free).take(wanted).collect();
    let mut writes = Vec::new();
    for end in [near.clone(), far.difference(&near).copied().collect()] {
        for (place, index) in (0..).zip(end) {
            let offset = index * cluster;
            let (offset, length) = match place {
                0 if cluster > LIFE => (offset, LIFE),
                _ if place < whole => (offset, cluster.min(LIFE)),
                _ => (offset + (1 + place % (sectors - 1)) * SECTOR, SECTOR),
            };
            writes.push((offset, pattern(AFTERWARDS, offset, length)));
        }
    }
    writes
}
