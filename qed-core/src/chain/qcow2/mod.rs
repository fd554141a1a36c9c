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
mod header;
mod info;
mod places;
mod source;
mod write;

use std::io::{self, IoSliceMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use create::{Qcow2CreateSpec, format_qcow2};
use engine::{Engine, Run};
use file::ImageFile;
use header::Qcow2Header;
pub use info::{Qcow2Backing, Qcow2Compression, Qcow2Encryption, Qcow2Info};

use crate::error::{Error, ErrorKind, LatchedMark, Result};
use crate::source::Source;
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
    path: Option<PathBuf>,
    writable: bool,
    /// Whether the header says that the image is being written (Q3); the lock is for the change.
    session: Mutex<()>,
    marked: AtomicBool,
    /// Clusters were freed, and the tables on the disk may still name them.
    freed: AtomicBool,
}

/// How a run of the disk is stored in this layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Qcow2Extent {
    /// Bytes of the run, at least 1.
    pub length: u64,
    /// What it is.
    pub kind: Qcow2ExtentKind,
}

/// What a run of the disk is in this layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qcow2ExtentKind {
    /// Data at this offset of the file.
    Data(u64),
    /// Compressed data, which has no offset of its own.
    Compressed,
    /// Zeroes that hide what lies below.
    Zero,
    /// Nothing: what lies below is seen, or zeroes.
    Absent,
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
        read_only: bool,
    ) -> Result<Self> {
        let writable = !read_only;
        let header = Qcow2Header::load(&*storage)?;
        header.check_supported(writable)?;
        let storage = if writable { Arc::new(Latch::new(storage)) } else { storage };
        let file = Arc::new(ImageFile::new(storage, &header, writable)?);
        let engine = Engine::open(&file, writable)
            .map_err(|error| failure("reading the qcow2 tables", error))?;
        Ok(Self {
            file,
            engine: RwLock::new(Rank::Qcow2Tables, engine),
            header,
            below,
            path: None,
            writable,
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

    /// Whether it was opened read-only.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        !self.writable
    }

    /// What the image said of itself when it was opened.
    #[must_use]
    pub fn info(&self) -> &Qcow2Info {
        &self.header.info
    }

    /// The file that holds it.
    #[must_use]
    pub fn storage(&self) -> &dyn Storage {
        self.file.storage()
    }

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] past the end of the disk; broken tables; what the files
    /// report.
    pub fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.read_range(buffer, offset).map_err(|error| self.named_error(error))
    }

    fn read_range(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.check_range(offset, buffer.len() as u64)?;
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let count = self.read_run(rest, at)?;
            rest = &mut rest[count..];
            at += count as u64;
        }
        Ok(())
    }

    /// Fills the start of `buffer`; how many bytes.
    fn read_run(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let failed = |error| failure("reading", error).at(offset);
        let engine = self.engine()?;
        let (run, found) = engine.lookup(offset, buffer.len() as u64).map_err(failed)?;
        let count = usize::try_from(found).unwrap_or(usize::MAX).min(buffer.len());
        let part = &mut buffer[..count];
        match run {
            Run::Data { offset: at, .. } => {
                let storage = self.file.storage();
                storage.read(&mut [IoSliceMut::new(part)], at).map_err(failed)?;
            }
            Run::Compressed => engine.read(part, offset).map_err(failed)?,
            Run::Zero => part.fill(0),
            Run::Absent => {
                // The layers below have locks of their own, and perhaps far to go.
                drop(engine);
                self.read_below(part, offset)?;
            }
        }
        Ok(count)
    }

    /// What lies below `offset`: zeroes past its end.
    fn read_below(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let size = self.below.as_ref().map_or(0, |below| below.size());
        let inside = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let (inside, outside) = buffer.split_at_mut(inside.min(buffer.len()));
        outside.fill(0);
        match &self.below {
            Some(below) if !inside.is_empty() => below.read(inside, offset),
            _ => Ok(()),
        }
    }

    /// The run that begins at `offset`, at most `length` bytes long, of this layer only.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn extent(&self, offset: u64, length: u64) -> Result<Qcow2Extent> {
        self.find_extent(offset, length).map_err(|error| self.named_error(error))
    }

    fn find_extent(&self, offset: u64, length: u64) -> Result<Qcow2Extent> {
        self.check_range(offset, length)?;
        let found = self.engine()?.lookup(offset, length);
        let (run, length) = found.map_err(|error| failure("looking up", error).at(offset))?;
        let kind = match run {
            Run::Data { offset, .. } => Qcow2ExtentKind::Data(offset),
            Run::Compressed => Qcow2ExtentKind::Compressed,
            Run::Zero => Qcow2ExtentKind::Zero,
            Run::Absent => Qcow2ExtentKind::Absent,
        };
        Ok(Qcow2Extent { length, kind })
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
        if self.file.loaded(false) > TABLE_MEMORY {
            let mut engine = self.engine.write();
            if self.file.loaded(false) > TABLE_MEMORY {
                if self.marked.load(Ordering::Acquire) {
                    self.settle(&engine)?;
                }
                let anew = Engine::open(&self.file, self.writable);
                *engine = anew.map_err(|error| failure("reading the qcow2 tables", error))?;
                self.file.loaded(true);
            }
        }
        Ok(self.engine.read())
    }

    /// Fails where `length` bytes at `offset` do not lie on the disk.
    fn check_range(&self, offset: u64, length: u64) -> Result<()> {
        let size = self.size();
        if offset.checked_add(length).is_some_and(|end| end <= size) {
            return Ok(());
        }
        let message = format!("{length} bytes pass the end of the disk of {size} bytes");
        Err(Error::invalid(message).at(offset))
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

/// What the engine and the storage report: an error without a number is the image's own fault.
fn failure(operation: &str, error: io::Error) -> Error {
    let latched = error.get_ref().is_some_and(|inner| inner.is::<LatchedMark>());
    let kinds = [io::ErrorKind::InvalidData, io::ErrorKind::Other];
    if error.raw_os_error().is_none() && !latched && kinds.contains(&error.kind()) {
        return Error::new(ErrorKind::Corrupt, format!("{operation}: {error}"));
    }
    Error::io(operation, error)
}

/// Bytes of tables that may be held: 8 TiB of disk at clusters of 1 MiB.
const TABLE_MEMORY: u64 = 64 << 20;
