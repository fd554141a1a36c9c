//! The native class `Extents`: an iterator over the runs of an image, a chain or a layer.
//!
//! The engine's iterator borrows the image; a Python iterator cannot. So runs are fetched in
//! batches, each under the owner's lock, and an image may be closed or written to between two of
//! them: every batch tells what holds when it is fetched.

use crate::arguments::Bytes;
use crate::image::Image;
use crate::layer::Layer;
use crate::results;
use parking_lot::Mutex;
use pyo3::prelude::*;
use qed_core::{Disk, Error, Extent, Result};
use std::collections::VecDeque;

/// What the runs are of.
pub(crate) enum Owner {
    /// An image, without what it leaves to its backing files.
    Image(Py<Image>),
    /// An image and its backing files.
    Chain(Py<Image>),
    Layer(Py<Layer>),
}

/// An iterator over extents.
#[pyclass(frozen, module = "qed._qed")]
pub(crate) struct Extents {
    owner: Owner,
    state: Mutex<State>,
}

struct State {
    next: u64,
    end: u64,
    ready: VecDeque<Extent>,
    failure: Option<Error>,
}

/// What has runs, inside the engine.
pub(crate) trait Runs {
    fn size(&self) -> u64;
    fn runs(&self, offset: u64, length: u64) -> Result<qed_core::Extents<'_>>;
}

struct Chain<'a>(&'a Disk);

impl Extents {
    /// The runs of `length` bytes at `offset`, to the end where no length is given.
    pub(crate) fn new(
        py: Python<'_>,
        owner: Owner,
        offset: Bytes,
        length: Option<Bytes>,
    ) -> PyResult<Self> {
        let (Bytes(offset), length) = (offset, length.map(|Bytes(length)| length));
        let end = owner.with(py, |runs| {
            let length = length.unwrap_or_else(|| runs.size().saturating_sub(offset));
            runs.runs(offset, length).map(|_| offset + length)
        })?;
        let state = State { next: offset, end, ready: VecDeque::new(), failure: None };
        Ok(Self { owner, state: Mutex::new(state) })
    }
}

#[pymethods]
impl Extents {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        // The state's lock is taken inside: never while attached, never kept while attaching.
        let found = self.owner.with(py, |runs| self.state.lock().advance(runs))?;
        found.map(|extent| results::extent(py, &extent)).transpose()
    }
}

impl Owner {
    /// Runs `work` on what the engine has, detached from the interpreter.
    pub(crate) fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&dyn Runs) -> Result<T> + Send,
    ) -> PyResult<T> {
        match self {
            Self::Image(image) => image.get().with(py, |disk| work(disk)),
            Self::Chain(image) => image.get().with(py, |disk| work(&Chain(disk))),
            Self::Layer(layer) => layer.get().with(py, |layer| work(layer)),
        }
    }
}

impl State {
    /// The next run, of a new batch where the last one is used up.
    fn advance(&mut self, runs: &dyn Runs) -> Result<Option<Extent>> {
        if self.ready.is_empty() && self.failure.is_none() && self.next < self.end {
            for found in runs.runs(self.next, self.end - self.next)?.take(BATCH) {
                match found {
                    Ok(extent) => {
                        self.next = extent.offset + extent.length;
                        self.ready.push_back(extent);
                    }
                    Err(error) => {
                        // What was found before the damage is told first; then this ends.
                        self.next = self.end;
                        self.failure = Some(error);
                        break;
                    }
                }
            }
        }
        if let Some(extent) = self.ready.pop_front() {
            return Ok(Some(extent));
        }
        self.failure.take().map_or(Ok(None), Err)
    }
}

impl Runs for Disk {
    fn size(&self) -> u64 {
        Disk::size(self)
    }

    fn runs(&self, offset: u64, length: u64) -> Result<qed_core::Extents<'_>> {
        self.extents(offset, length)
    }
}

impl Runs for Chain<'_> {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn runs(&self, offset: u64, length: u64) -> Result<qed_core::Extents<'_>> {
        self.0.map(offset, length)
    }
}

impl Runs for qed_core::Layer {
    fn size(&self) -> u64 {
        qed_core::Layer::size(self)
    }

    fn runs(&self, offset: u64, length: u64) -> Result<qed_core::Extents<'_>> {
        self.extents(offset, length)
    }
}

/// Runs fetched at a time: few enough to answer at once, enough to make locking cheap.
const BATCH: usize = 256;
