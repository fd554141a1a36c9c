//! What is explored: a log, the guest's calls in it, and what stands below the image.

use super::guest::{Call, Initial};
use super::medium::{Medium, SECTOR};
use super::oracle::{Entry, Shape, Tables};
use super::random::{digest, to_usize};
use crate::image::{ImageSettings, read_backing_info};
use crate::source::{Format, Source};
use crate::storage::{Log, Storage};
use crate::sync::{Mutex, Rank};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Who wrote the image: how much may be asked of its states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Writer {
    /// libqed: NEED_CHECK is never set, nothing ever dangles.
    #[default]
    Libqed,
    /// Another program: NEED_CHECK may be set, and is repaired.
    Foreign,
}

/// A file of the chain that an image can come to name as its backing file.
#[derive(Clone, Debug)]
pub struct Lower {
    /// What the image then calls it.
    pub name: Vec<u8>,
    /// The file.
    pub source: Arc<dyn Source>,
}

/// A run on a disk image, recorded.
#[derive(Clone, Debug)]
pub struct Recording {
    /// What happened to the file.
    pub log: Log,
    /// The guest's calls; the log's payloads are indexes into them.
    pub calls: Vec<Call>,
    /// What the guest sees below the image.
    pub backing: Option<Arc<dyn Source>>,
    /// What a stream may have put in its place.
    pub lower: Option<Lower>,
    /// How the image is opened after a crash.
    pub settings: ImageSettings,
    /// Who wrote it.
    pub writer: Writer,
    /// The format of the image: QED is judged by the oracles of this crate, qcow2 by QEMU's tools.
    pub format: Format,
}

impl Recording {
    /// A run of libqed on a QED image without a backing file.
    #[must_use]
    pub fn new(log: Log, calls: Vec<Call>) -> Self {
        let settings = ImageSettings { background: false, ..ImageSettings::default() };
        Self {
            log,
            calls,
            backing: None,
            lower: None,
            settings,
            writer: Writer::default(),
            format: Format::default(),
        }
    }
}

impl Recording {
    /// What lies below the image in `storage`: what it names, which a stream may have changed. What
    /// is wrong with the name opening tells.
    #[must_use]
    pub fn below(&self, storage: &dyn Storage) -> Option<Arc<dyn Source>> {
        match (read_backing_info(storage), &self.lower) {
            (Ok(None), _) => None,
            (Ok(Some(named)), Some(lower)) if named.name == lower.name => {
                Some(Arc::clone(&lower.source))
            }
            _ => self.backing.clone(),
        }
    }
}

/// What a guest reads of a content, sector by sector.
pub struct GuestDisk {
    /// The file.
    pub medium: Medium,
    /// Its tables; none: the file is the guest's disk.
    pub tables: Option<Tables>,
    below: Arc<Below>,
}

/// What lies below an image, with the digests of what was read of it.
pub struct Below {
    source: Option<Arc<dyn Source>>,
    /// What lies there when the image has come to name it.
    lower: Option<(Vec<u8>, Arc<Self>)>,
    digests: Mutex<HashMap<u64, u64>>,
}

impl Below {
    /// A backing source, or nothing.
    #[must_use]
    pub fn new(source: Option<Arc<dyn Source>>) -> Arc<Self> {
        Arc::new(Self { source, lower: None, digests: Self::none_yet() })
    }

    /// What lies below the image of a recording, whichever file that names.
    #[must_use]
    pub fn of(recording: &Recording) -> Arc<Self> {
        let lower = |lower: &Lower| (lower.name.clone(), Self::new(Some(lower.source.clone())));
        let (source, lower) = (recording.backing.clone(), recording.lower.as_ref().map(lower));
        Arc::new(Self { source, lower, digests: Self::none_yet() })
    }

    /// What lies there under an image that calls it so.
    fn called(this: Arc<Self>, name: &[u8]) -> Arc<Self> {
        match &this.lower {
            Some((known, lower)) if known == name => Arc::clone(lower),
            _ => this,
        }
    }

    fn none_yet() -> Mutex<HashMap<u64, u64>> {
        Mutex::new(Rank::Storage, HashMap::new())
    }

    /// Fills a sector; what cannot be read is full of [`UNREADABLE`].
    pub fn read(&self, sector: u64, buffer: &mut [u8; 512]) {
        buffer.fill(0);
        let Some(source) = &self.source else { return };
        let inside = to_usize(source.size().saturating_sub(sector * SECTOR).min(SECTOR));
        if inside > 0 && source.read(&mut buffer[..inside], sector * SECTOR).is_err() {
            buffer.fill(UNREADABLE);
        }
    }

    /// The digest of a sector.
    #[must_use]
    pub fn digest(&self, sector: u64) -> u64 {
        if self.source.as_ref().is_none_or(|source| source.size() <= sector * SECTOR) {
            return 0;
        }
        let known = self.digests.lock().get(&sector).copied();
        if let Some(known) = known {
            return known;
        }
        let mut buffer = [0; 512];
        self.read(sector, &mut buffer);
        let found = digest(&buffer);
        self.digests.lock().insert(sector, found);
        found
    }
}

/// What a sector that cannot be read is filled with.
pub const UNREADABLE: u8 = 0xee;

impl GuestDisk {
    /// A QED image over what lies below it.
    ///
    /// # Errors
    /// What is wrong with its structure.
    pub fn qed(medium: Medium, below: Arc<Below>) -> Result<Self, String> {
        let tables = Tables::read(&medium)?;
        // What is no longer named does not show.
        let below = match tables.shape.backing_name(&medium) {
            Some(name) => Below::called(below, &name),
            None => Below::new(None),
        };
        Ok(Self { medium, tables: Some(tables), below })
    }

    /// A file that is the guest's disk.
    #[must_use]
    pub fn raw(medium: Medium) -> Self {
        Self { medium, tables: None, below: Below::new(None) }
    }

    /// Fills a buffer with a guest cluster's bytes, or the first part of them.
    pub fn read_cluster(&self, cluster: u64, buffer: &mut [u8]) {
        let size = self.shape().map_or(SECTOR, |shape| shape.cluster);
        match self.tables.as_ref().map(|tables| tables.entry(cluster)) {
            Some(Some(Entry::Zero)) => buffer.fill(0),
            Some(Some(Entry::Data(offset))) => self.medium.read(offset, buffer),
            None => self.medium.read(cluster * size, buffer),
            Some(None) if self.below.source.is_none() => buffer.fill(0),
            Some(None) => {
                for (sector, part) in (cluster * size / SECTOR..).zip(buffer.chunks_mut(512)) {
                    let mut bytes = [0; 512];
                    self.below.read(sector, &mut bytes);
                    part.copy_from_slice(&bytes[..part.len()]);
                }
            }
        }
    }

    /// What lies below.
    #[must_use]
    pub fn below(&self) -> Arc<Below> {
        Arc::clone(&self.below)
    }

    /// The shape of the image, where it is one.
    #[must_use]
    pub fn shape(&self) -> Option<&Shape> {
        self.tables.as_ref().map(|tables| &tables.shape)
    }
}

impl Initial for GuestDisk {
    fn read(&self, sector: u64, buffer: &mut [u8; 512]) {
        match self.tables.as_ref().map(|tables| tables.place(sector)) {
            None => self.medium.read(sector * SECTOR, buffer),
            Some(None) => self.below.read(sector, buffer),
            Some(Some(None)) => buffer.fill(0),
            Some(Some(Some(place))) => self.medium.read(place * SECTOR, buffer),
        }
    }

    fn digest(&self, sector: u64) -> u64 {
        match self.tables.as_ref().map(|tables| tables.place(sector)) {
            None => self.medium.sector_digest(sector),
            Some(None) => self.below.digest(sector),
            Some(Some(None)) => 0,
            Some(Some(Some(place))) => self.medium.sector_digest(place),
        }
    }
}

impl fmt::Debug for GuestDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestDisk").field("shape", &self.shape()).finish_non_exhaustive()
    }
}
