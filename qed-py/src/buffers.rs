//! Buffers of Python objects as slices, without a copy.
//!
//! The buffer protocol pins the memory: while a view is held, a `bytearray` cannot be resized and
//! an `mmap` cannot be closed. It does not stop other threads from reading or writing the bytes
//! while the interpreter is detached; as with every file of Python's own, what they then see or
//! cause to be written is unspecified, and nothing in the engine decides anything twice by the
//! content of a caller's buffer.

use crate::errors;
use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use qed_core::{Buffers, RawPart};
use std::io::{IoSlice, IoSliceMut};
use std::slice;
use std::sync::Arc;

/// The bytes of an object, to be written to an image. Any item type, C-contiguous.
pub(crate) struct Source(PyUntypedBuffer);

/// The bytes of an object, to be filled from an image. Writable, any item type, C-contiguous.
pub(crate) struct Target(PyUntypedBuffer);

impl Source {
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        contiguous(object).map(Self)
    }

    fn part(&self) -> RawPart {
        part(&self.0)
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        let length = self.0.len_bytes();
        if length == 0 {
            return &[];
        }
        // SAFETY: the view is C-contiguous, so its bytes lie at `buf_ptr` one after the other, and
        // they stay there until the view is dropped, which the borrow of `self` outlives.
        unsafe { slice::from_raw_parts(self.0.buf_ptr().cast(), length) }
    }
}

impl Target {
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let view = contiguous(object)?;
        if view.readonly() {
            let kind = object.get_type();
            let text = format!("a read-write bytes-like object is required, not {}", kind.name()?);
            return Err(PyTypeError::new_err(text));
        }
        Ok(Self(view))
    }

    fn part(&self) -> RawPart {
        part(&self.0)
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        let length = self.0.len_bytes();
        if length == 0 {
            return &mut [];
        }
        // SAFETY: as in `Source::as_slice`; the view is writable, and within this call no other
        // slice overlaps it: `self` is borrowed mutably and `TargetList` refuses overlaps.
        unsafe { slice::from_raw_parts_mut(self.0.buf_ptr().cast(), length) }
    }
}

/// The buffers of a gathering write.
pub(crate) struct SourceList(Vec<Source>);

impl SourceList {
    pub(crate) fn of(objects: &Bound<'_, PyAny>) -> PyResult<Self> {
        objects.try_iter()?.map(|object| Source::of(&object?)).collect::<PyResult<_>>().map(Self)
    }

    pub(crate) fn as_slices(&self) -> Vec<IoSlice<'_>> {
        self.0.iter().map(|source| IoSlice::new(source.as_slice())).collect()
    }
}

/// The buffers of a scattering read; no two share a byte.
pub(crate) struct TargetList(Vec<Target>);

impl TargetList {
    pub(crate) fn of(objects: &Bound<'_, PyAny>) -> PyResult<Self> {
        let targets =
            objects.try_iter()?.map(|object| Target::of(&object?)).collect::<PyResult<Vec<_>>>()?;
        let mut ranges: Vec<_> = targets
            .iter()
            .filter(|target| target.0.len_bytes() > 0)
            .map(|target| (target.0.buf_ptr().addr(), target.0.len_bytes()))
            .collect();
        ranges.sort_unstable();
        if ranges.windows(2).any(|pair| pair[1].0 - pair[0].0 < pair[0].1) {
            return Err(errors::invalid(objects.py(), "the buffers of one read overlap"));
        }
        Ok(Self(targets))
    }

    pub(crate) fn as_slices(&mut self) -> Vec<IoSliceMut<'_>> {
        self.0.iter_mut().map(|target| IoSliceMut::new(target.as_mut_slice())).collect()
    }
}

/// A `bytes` object that is being made: nobody else sees it before it is complete.
pub(crate) struct Fresh {
    bytes: Py<PyBytes>,
    part: RawPart,
}

impl Fresh {
    pub(crate) fn new(py: Python<'_>, length: usize) -> PyResult<Self> {
        let mut part = RawPart { start: std::ptr::null_mut(), length };
        let bytes = PyBytes::new_with(py, length, |bytes| {
            part.start = bytes.as_mut_ptr();
            Ok(())
        })?;
        Ok(Self { bytes: bytes.unbind(), part })
    }
}

/// The memory of a request while an engine has it.
pub(crate) enum Memory {
    None,
    Fresh(Fresh),
    Target(Target),
    Targets(TargetList),
    Source(Source),
    Sources(SourceList),
}

impl Memory {
    /// The memory for a request of the engine, which keeps it.
    pub(crate) fn lend(memory: &Arc<Self>) -> Buffers {
        let parts = match &**memory {
            Self::None => Vec::new(),
            Self::Fresh(fresh) => vec![fresh.part],
            Self::Target(target) => vec![target.part()],
            Self::Targets(targets) => targets.0.iter().map(Target::part).collect(),
            Self::Source(source) => vec![source.part()],
            Self::Sources(sources) => sources.0.iter().map(Source::part).collect(),
        };
        // SAFETY: the views, which the keeper holds, keep the bytes in their place. Targets are
        // writable and do not overlap; a fresh object is nobody else's yet. That Python code does
        // not touch the bytes meanwhile is its promise, as with every file of Python's own.
        unsafe { Buffers::from_raw_parts(parts, Box::new(Arc::clone(memory))) }
    }

    /// The object that was made for the request, now that it is filled.
    pub(crate) fn bytes(&self, py: Python<'_>) -> Option<Py<PyBytes>> {
        match self {
            Self::Fresh(fresh) => Some(fresh.bytes.clone_ref(py)),
            _ => None,
        }
    }
}

fn part(view: &PyUntypedBuffer) -> RawPart {
    RawPart { start: view.buf_ptr().cast(), length: view.len_bytes() }
}

fn contiguous(object: &Bound<'_, PyAny>) -> PyResult<PyUntypedBuffer> {
    let view = PyUntypedBuffer::get(object)?;
    if !view.is_c_contiguous() {
        return Err(PyBufferError::new_err("the buffer is not C-contiguous"));
    }
    Ok(view)
}
