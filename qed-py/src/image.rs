//! The native class `Image`: an open image.
//!
//! A frozen class with its state inside. Calls share a lock that only `close` takes alone: closing
//! waits for the I/O of other threads, and later calls find the image closed. The subclass in
//! `qed/_image.py` adds the manners: context manager, leak warning, `raw()`.

use crate::arguments::{self, Bytes, Target};
use crate::backing;
use crate::buffers::{self, SourceList, TargetList};
use crate::call::detached;
use crate::crash::prepared::Prepared;
use crate::errors;
use crate::extents::{Extents, Owner};
use crate::fork::Birth;
use crate::{options, results};
use parking_lot::RwLock;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use qed_core::{Disk, Error, ErrorKind, Flags, ResizeOptions, Result};
use std::cell::RefCell;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An open image.
#[pyclass(frozen, subclass, module = "qed._qed")]
pub(crate) struct Image {
    /// Queues share it.
    engine: RwLock<Option<Arc<Disk>>>,
    closed: AtomicBool,
    read_only: bool,
    birth: Birth,
}

impl Image {
    fn of(engine: Disk) -> Self {
        let (read_only, closed) = (engine.is_read_only(), AtomicBool::new(false));
        let engine = RwLock::new(Some(Arc::new(engine)));
        Self { engine, closed, read_only, birth: Birth::now() }
    }

    /// Runs `work` on the engine, detached from the interpreter.
    pub(crate) fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&Disk) -> Result<T> + Send,
    ) -> PyResult<T> {
        self.with_shared(py, |engine| work(engine))
    }

    /// The same for work that shares the engine with queues, which must be gone when it returns.
    pub(crate) fn with_shared<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&Arc<Disk>) -> Result<T> + Send,
    ) -> PyResult<T> {
        detached(py, || {
            self.birth.check()?;
            // A progress function may use the images of the call that it is called by, also while
            // another thread waits to close them.
            let engine = self.engine.read_recursive();
            work(engine.as_ref().ok_or_else(|| errors::closed("image"))?)
        })
    }

    /// The engine, for a queue.
    pub(crate) fn shared(&self, py: Python<'_>) -> PyResult<Arc<Disk>> {
        self.with_shared(py, |engine| Ok(Arc::clone(engine)))
    }

    /// Runs long `work` on several engines, detached from the interpreter. Until it returns, this
    /// thread cannot close the images.
    pub(crate) fn with_all<T: Send>(
        py: Python<'_>,
        images: &[&Self],
        work: impl FnOnce(&[&Disk]) -> Result<T> + Send,
    ) -> PyResult<T> {
        detached(py, || {
            images.iter().try_for_each(|image| image.birth.check())?;
            let engines: Vec<_> =
                images.iter().map(|image| image.engine.read_recursive()).collect();
            let disks = engines
                .iter()
                .map(|engine| engine.as_deref().ok_or_else(|| errors::closed("image")))
                .collect::<Result<Vec<_>>>()?;
            let _lent = Lent::new(images);
            work(&disks)
        })
    }

    fn is_lent(&self) -> bool {
        LENT.with_borrow(|lent| lent.contains(&ptr::from_ref(self).addr()))
    }
}

thread_local! {
    /// Where the images are that long calls of this thread work on.
    static LENT: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Notes what a long call works on, for what is called back by it.
struct Lent(usize);

impl Lent {
    fn new(images: &[&Image]) -> Self {
        LENT.with_borrow_mut(|lent| {
            let before = lent.len();
            lent.extend(images.iter().map(|image| ptr::from_ref(*image).addr()));
            Self(before)
        })
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        LENT.with_borrow_mut(|lent| lent.truncate(self.0));
    }
}

#[pymethods]
impl Image {
    #[new]
    #[pyo3(signature = (
        path, mode = "r", *, backing_chain = None, backing_directory = None, **options
    ))]
    fn new(
        py: Python<'_>,
        path: &Bound<'_, PyAny>,
        mode: &str,
        backing_chain: Option<&Bound<'_, PyAny>>,
        backing_directory: Option<Target>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        if let Ok(prepared) = path.cast::<Prepared>() {
            return Ok(Self::of(prepared.get().take(py)?));
        }
        let path: Target = path.extract()?;
        let read_only = is_read_only(mode, options).map_err(|text| errors::invalid(py, text))?;
        let mut options = options::open(py, options)?;
        options.image.read_only = read_only;
        backing::apply(py, backing_chain, backing_directory, &mut options)?;
        let engine = detached(py, || match path {
            Target::Path(path) => Disk::open(path, &options),
            Target::File(file) => Disk::open_file(file, &options),
        })?;
        Ok(Self::of(engine))
    }

    /// Bytes of the disk the guest sees.
    #[getter]
    fn size(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |engine| Ok(engine.size()))
    }

    /// The format of the image's file: "qed", "qcow2" or "raw".
    #[getter]
    fn format(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.with(py, |engine| Ok(engine.format().name()))
    }

    /// The files of the chain, from the image's own to the base.
    fn layers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let layers = self.with(py, |engine| Ok(engine.layers().to_vec()))?;
        results::layers(py, &layers)
    }

    /// Whether the image was opened with mode "r".
    #[getter]
    fn read_only(&self) -> bool {
        self.read_only
    }

    /// Whether the image is closed.
    #[getter]
    fn closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether this process opened the image, and not its parent before a fork.
    #[getter]
    fn _is_ours(&self) -> bool {
        self.birth.is_here()
    }

    /// Reads `length` bytes at `offset`; all of them lie inside the image.
    #[pyo3(signature = (length, offset))]
    fn pread<'py>(
        &self,
        py: Python<'py>,
        length: Bytes,
        offset: Bytes,
    ) -> PyResult<Bound<'py, PyBytes>> {
        judge_large(self, py, length, offset)?;
        let (length, Bytes(offset)) = (usize::try_from(length.0)?, offset);
        PyBytes::new_with(py, length, |buffer| self.with(py, |engine| engine.pread(buffer, offset)))
    }

    /// Fills `buffer` from `offset`.
    #[pyo3(signature = (buffer, offset))]
    fn pread_into(&self, buffer: &Bound<'_, PyAny>, offset: Bytes) -> PyResult<()> {
        let mut target = buffers::Target::of(buffer)?;
        self.with(buffer.py(), |engine| engine.pread(target.as_mut_slice(), offset.0))
    }

    /// Fills `buffers`, one after the other, from `offset`.
    #[pyo3(signature = (buffers, offset))]
    fn preadv(&self, buffers: &Bound<'_, PyAny>, offset: Bytes) -> PyResult<()> {
        let mut targets = TargetList::of(buffers)?;
        self.with(buffers.py(), |engine| engine.preadv(&mut targets.as_slices(), offset.0))
    }

    /// Writes all of `buffer` at `offset`.
    #[pyo3(signature = (buffer, offset, *, fua = false))]
    fn pwrite(&self, buffer: &Bound<'_, PyAny>, offset: Bytes, fua: bool) -> PyResult<()> {
        let source = buffers::Source::of(buffer)?;
        let flags = flag(Flags::FUA, fua);
        self.with(buffer.py(), |engine| engine.pwrite(source.as_slice(), offset.0, flags))
    }

    /// Writes all of `buffers`, one after the other, at `offset`.
    #[pyo3(signature = (buffers, offset, *, fua = false))]
    fn pwritev(&self, buffers: &Bound<'_, PyAny>, offset: Bytes, fua: bool) -> PyResult<()> {
        let sources = SourceList::of(buffers)?;
        let flags = flag(Flags::FUA, fua);
        self.with(buffers.py(), |engine| engine.pwritev(&sources.as_slices(), offset.0, flags))
    }

    /// Makes `length` bytes at `offset` read as zeroes.
    #[pyo3(signature = (offset, length, *, may_unmap = false, fua = false, no_fallback = false))]
    fn write_zeroes(
        &self,
        py: Python<'_>,
        offset: Bytes,
        length: Bytes,
        may_unmap: bool,
        fua: bool,
        no_fallback: bool,
    ) -> PyResult<()> {
        let flags = zeroing(may_unmap, fua, no_fallback);
        self.with(py, |engine| engine.write_zeroes(offset.0, length.0, flags))
    }

    /// Gives the space of whole clusters inside the range back.
    #[pyo3(signature = (offset, length))]
    fn discard(&self, py: Python<'_>, offset: Bytes, length: Bytes) -> PyResult<()> {
        self.with(py, |engine| engine.discard(offset.0, length.0))
    }

    /// Makes the disk larger, or smaller where that is allowed.
    #[pyo3(signature = (size, *, shrink = false, preallocation = "off"))]
    fn resize(
        &self,
        py: Python<'_>,
        size: Bytes,
        shrink: bool,
        preallocation: &str,
    ) -> PyResult<()> {
        self.with(py, |engine| {
            let mut options = ResizeOptions::default();
            options.shrink = shrink;
            options.preallocation = preallocation.parse()?;
            engine.resize(size.0, options)
        })
    }

    /// Makes everything written before this call stable.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, Disk::flush)
    }

    /// What the image says about itself.
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let info = self.with(py, Disk::info)?;
        results::info(py, &info)
    }

    /// How the guest's space lies in the file: this layer only, in runs.
    #[pyo3(
        signature = (offset = Bytes(0), length = None),
        text_signature = "($self, offset=0, length=None)"
    )]
    fn extents(slf: &Bound<'_, Self>, offset: Bytes, length: Option<Bytes>) -> PyResult<Extents> {
        Extents::new(slf.py(), Owner::Image(slf.clone().unbind()), offset, length)
    }

    /// How the guest's space lies in the files of the whole chain, in runs.
    #[pyo3(
        signature = (offset = Bytes(0), length = None),
        text_signature = "($self, offset=0, length=None)"
    )]
    fn map(slf: &Bound<'_, Self>, offset: Bytes, length: Option<Bytes>) -> PyResult<Extents> {
        Extents::new(slf.py(), Owner::Chain(slf.clone().unbind()), offset, length)
    }

    /// Brings the disk to rest: its file is complete, closed and unlocked.
    fn quiesce(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, Disk::quiesce)
    }

    /// Opens a quiesced disk again, and lets calls go on.
    fn resume(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, Disk::resume)
    }

    /// Puts a new image over the disk's file, in which the disk goes on.
    #[pyo3(signature = (path, *, backing = None, **options))]
    fn add_overlay(
        &self,
        py: Python<'_>,
        path: &Bound<'_, PyAny>,
        backing: Option<&Bound<'_, PyAny>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let path = arguments::path(path)?;
        let mut options = options::create(py, options)?;
        options.backing = backing.map(arguments::path).transpose()?;
        self.with(py, |engine| qed_core::add_overlay(engine, path, &options))
    }

    /// Flushes and closes; waits for calls of other threads. Twice is harmless.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.is_lent() {
            let text = "the image cannot be closed by the progress function of a call that uses it";
            return Err(errors::invalid(py, text));
        }
        if !self.birth.is_here() {
            self.closed.store(true, Ordering::Release);
            return Ok(());
        }
        detached(py, || {
            let engine = {
                let mut engine = self.engine.write();
                if engine.as_ref().is_some_and(|engine| Arc::strong_count(engine) > 1) {
                    let text = "the image has a queue that is not closed";
                    return Err(Error::new(ErrorKind::Busy, text));
                }
                self.closed.store(true, Ordering::Release);
                engine.take()
            };
            engine.and_then(Arc::into_inner).map_or(Ok(()), Disk::close)
        })
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // In a child after fork, closing would write to a file that the parent is writing to.
        if !self.birth.is_here() {
            std::mem::forget(self.engine.get_mut().take());
        }
    }
}

/// `flag` where it is wanted.
pub(crate) fn flag(flag: Flags, wanted: bool) -> Flags {
    if wanted { flag } else { Flags::NONE }
}

/// The flags of writing zeroes.
pub(crate) fn zeroing(may_unmap: bool, fua: bool, no_fallback: bool) -> Flags {
    flag(Flags::MAY_UNMAP, may_unmap)
        | flag(Flags::FUA, fua)
        | flag(Flags::NO_FALLBACK, no_fallback)
}

/// Has the engine judge the range of a large read before anybody asks for its memory.
pub(crate) fn judge_large(
    image: &Image,
    py: Python<'_>,
    Bytes(length): Bytes,
    Bytes(offset): Bytes,
) -> PyResult<()> {
    if length <= LARGE {
        return Ok(());
    }
    image.with(py, |engine| engine.extents(offset, length).map(drop))
}

fn is_read_only(
    mode: &str,
    options: Option<&Bound<'_, PyDict>>,
) -> std::result::Result<bool, String> {
    if options.is_some_and(|options| options.contains("read_only").unwrap_or(false)) {
        return Err("mode says whether the image is read-only: \"r\" or \"r+\"".into());
    }
    match mode {
        "r" => Ok(true),
        "r+" => Ok(false),
        _ => Err(format!("mode {mode:?} is neither \"r\" nor \"r+\"")),
    }
}

/// Bytes of a read that may be asked for in vain: past them the range is judged first.
const LARGE: u64 = 1 << 20;
