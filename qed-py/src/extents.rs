//! The native class `Extents`: an iterator over the runs of an image or a layer.
//!
//! The engine's iterator borrows the image; a Python iterator cannot. So runs are fetched in
//! batches, each under the owner's lock, and an image may be closed or written to between two of
//! them: every batch tells what holds when it is fetched.

use crate::image::Image;
use crate::layer::Layer;
use crate::results;
use parking_lot::Mutex;
use pyo3::prelude::*;
use qed_core::{Error, Extent, Result};
use std::collections::VecDeque;

/// What the runs are of.
pub(crate) enum Owner {
    Image(Py<Image>),
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

impl Extents {
    /// The runs from `offset` to `end`, a range that the engine has found good.
    pub(crate) fn new(owner: Owner, offset: u64, end: u64) -> Self {
        let state = State { next: offset, end, ready: VecDeque::new(), failure: None };
        Self { owner, state: Mutex::new(state) }
    }
}

#[pymethods]
impl Extents {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        // The state's lock is taken inside: never while attached, never kept while attaching.
        let found = match &self.owner {
            Owner::Image(image) => image.get().with(py, |engine| {
                self.state.lock().advance(|offset, length| engine.extents(offset, length))
            }),
            Owner::Layer(layer) => layer.get().with(py, |engine| {
                self.state.lock().advance(|offset, length| engine.extents(offset, length))
            }),
        }?;
        found.map(|extent| results::extent(py, &extent)).transpose()
    }
}

impl State {
    /// The next run, of a new batch where the last one is used up.
    fn advance<I>(&mut self, fetch: impl FnOnce(u64, u64) -> Result<I>) -> Result<Option<Extent>>
    where
        I: Iterator<Item = Result<Extent>>,
    {
        if self.ready.is_empty() && self.failure.is_none() && self.next < self.end {
            for found in fetch(self.next, self.end - self.next)?.take(BATCH) {
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

/// Runs fetched at a time: few enough to answer at once, enough to make locking cheap.
const BATCH: usize = 256;
