//! qcow2: the neighbours' format, read and written as a layer of our chains.
//!
//! The parts: [`header`] reads what the image says of itself; the tables are crate imago's, behind
//! [`engine`]; [`file`] lets both at the same bytes, in an order that a crash cannot hurt; this
//! module and [`write`] move the guest's data. imago sees neither a path nor a backing file, and
//! never guest data but to decompress it. What is unallocated is told apart from zeroes by the
//! mapping, and read from any [`Source`] below. A cluster that is written in part for the first
//! time is filled here, from that source. (imago could copy by itself only from a layer of its own
//! kind, which would hold its tables' locks while the layers below are read.)
//!
//! Requests share the tables; what may free clusters (a discard, a write to what a snapshot shares
//! or what is compressed) has them alone, so that nobody reads space that has just changed hands.

#[allow(unsafe_code)] // imago declares the methods of its trait so.
mod adapter;
mod create;
mod engine;
mod fields;
mod file;
mod fill;
mod header;
mod info;
mod places;
mod read;
mod support;
mod write;
mod zero;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use create::{Qcow2CreateSpec, format_qcow2};
use engine::Engine;
use file::ImageFile;
use header::Qcow2Header;
pub use info::{Qcow2Backing, Qcow2Compression, Qcow2Encryption, Qcow2Info};

use super::disk::DiskInfo;
use crate::error::{Error, ErrorKind, LatchedMark, Result};
use crate::image::{BackingInfo, ImageSettings};
use crate::source::{Format, Source};
use crate::storage::{Latch, Storage};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, Rank, ReadGuard, RwLock};

/// An open qcow2 image. Every method may be called from any number of threads at once.
///
/// A write that has returned is seen by every later read; it is stable when a later
/// [`flush`](Self::flush) has returned. Dropping it closes it as [`close`](Self::close) does, but
/// nobody hears what failed.
#[derive(Debug)]
pub struct Qcow2Disk {
    file: Arc<ImageFile>,
    engine: RwLock<Engine>,
    header: Qcow2Header,
    below: Option<Arc<dyn Source>>,
    settings: ImageSettings,
    path: Option<PathBuf>,
    /// Whether the header says that the image is being written (Q3); the lock is for the change.
    session: Mutex<()>,
    marked: AtomicBool,
    /// Clusters were freed, and the tables on the disk may still name them.
    freed: AtomicBool,
}

impl Qcow2Disk {
    /// Opens the image in `storage` over `below`, which the caller has found by the image's backing
    /// name. Nothing is changed before the first change of the guest's.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for features that are not built in, by name;
    /// [`ErrorKind::Corrupt`] for what breaks the format; what the storage reports.
    pub fn from_storage(
        storage: Arc<dyn Storage>,
        below: Option<Arc<dyn Source>>,
        settings: ImageSettings,
    ) -> Result<Self> {
        settings.check()?;
        let writable = !settings.read_only;
        let header = Qcow2Header::load(&*storage)?;
        header.check_supported(writable)?;
        let storage = if writable { Arc::new(Latch::new(storage)) } else { storage };
        let file = Arc::new(ImageFile::new(storage, &header, writable)?);
        let engine = open_engine(&file, writable)?;
        Ok(Self {
            file,
            engine: RwLock::new(Rank::Qcow2Tables, engine),
            header,
            below,
            settings,
            path: None,
            session: Mutex::new(Rank::Qcow2Session, ()),
            marked: AtomicBool::new(false),
            freed: AtomicBool::new(false),
        })
    }

    /// The same image, whose errors name `path`.
    #[must_use]
    pub fn named(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The path it was opened by, where it was opened by one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Guest bytes of the disk.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.header.info.virtual_size
    }

    /// Bytes in a cluster.
    #[must_use]
    pub fn cluster_size(&self) -> u64 {
        self.header.info.cluster_size
    }

    /// Whether it was opened read-only.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.settings.read_only
    }

    /// What the image is: its file as it stands now, its header as it was when it was opened.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn info(&self) -> Result<DiskInfo> {
        let failed = |error| self.named_error(Error::io("asking about the file", error));
        let header = &self.header.info;
        Ok(DiskInfo {
            format: Format::Qcow2,
            virtual_size: header.virtual_size,
            cluster_size: Some(header.cluster_size),
            needs_check: header.is_dirty() || header.is_corrupt(),
            backing: self.header.backing()?,
            file_length: self.file.storage().len().map_err(failed)?,
            disk_usage: self.file.storage().disk_usage().map_err(failed)?,
            read_only: self.settings.read_only,
            qed: None,
            qcow2: Some(header.clone()),
        })
    }

    /// Makes every write, zeroing and discard that has returned stable.
    ///
    /// # Errors
    /// A write or sync failed. Nothing claims to be stable any more then, and every later change
    /// fails with [`ErrorKind::Latched`].
    pub fn flush(&self) -> Result<()> {
        self.flush_all().map_err(|error| self.named_error(error))
    }

    fn flush_all(&self) -> Result<()> {
        if !self.marked.load(Ordering::Acquire) {
            return Ok(());
        }
        let engine = self.engine()?;
        self.settle(&engine)
    }

    fn settle(&self, engine: &Engine) -> Result<()> {
        engine.flush().and_then(|()| self.file.sync()).map_err(|error| failure("flushing", error))
    }

    /// Flushes, and takes the mark of a running writer off the header.
    ///
    /// # Errors
    /// What failed at it. The image is closed all the same, and stays marked then.
    pub fn close(self) -> Result<()> {
        self.end_session()
    }

    fn end_session(&self) -> Result<()> {
        let _session = self.session.lock();
        self.flush()?;
        if self.marked.load(Ordering::Acquire) {
            let cleared = self.file.mark(false);
            cleared.map_err(|error| self.named_error(failure("closing", error)))?;
            self.marked.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// The tables, for a request that frees nothing. The memory they take has a limit, which imago
    /// counts in tables and not in bytes: past it they are let go and begun anew.
    fn engine(&self) -> Result<ReadGuard<'_, Engine>> {
        let most = self.settings.l2_cache_size.max(LEAST_TABLES * self.header.info.cluster_size);
        if self.file.loaded() > most {
            let mut engine = self.engine.write();
            if self.file.loaded() > most {
                if self.marked.load(Ordering::Acquire) {
                    self.settle(&engine)?;
                }
                *engine = open_engine(&self.file, !self.settings.read_only)?;
            }
        }
        Ok(self.engine.read())
    }

    fn named_error(&self, error: Error) -> Error {
        match &self.path {
            Some(path) => error.in_file(path),
            None => error,
        }
    }
}

impl Drop for Qcow2Disk {
    fn drop(&mut self) {
        let _ = self.end_session();
    }
}

fn open_engine(file: &Arc<ImageFile>, writable: bool) -> Result<Engine> {
    let opened = Engine::open(file, writable);
    // The two tables that name the others are kept in any case.
    file.forget_loaded();
    opened.map_err(|error| failure("reading the qcow2 tables", error))
}

/// What the format's backing file is called, for the chain to find it.
///
/// # Errors
/// A broken header, a failed read; [`ErrorKind::Unsupported`] for a format that is not built in.
pub(super) fn read_backing_info(storage: &dyn Storage) -> Result<Option<BackingInfo>> {
    Qcow2Header::load(storage)?.backing()
}

/// Guest bytes of the disk that an image holds.
///
/// # Errors
/// A broken header, a failed read.
pub(crate) fn read_virtual_size(storage: &dyn Storage) -> Result<u64> {
    Ok(Qcow2Header::load(storage)?.info.virtual_size)
}

/// What the engine and the storage report: an error without a number is the image's own fault.
fn failure(operation: &str, error: io::Error) -> Error {
    let latched = error.get_ref().is_some_and(|inner| inner.is::<LatchedMark>());
    let kinds = [io::ErrorKind::InvalidData, io::ErrorKind::Other];
    if error.raw_os_error().is_none() && !latched && kinds.contains(&error.kind()) {
        return Error::new(ErrorKind::Corrupt, format!("{operation}: {error}"));
    }
    Error::io(operation, error)
}

/// Tables that are held whatever the size of the cache: a smaller cache would only reload them.
const LEAST_TABLES: u64 = 32;
