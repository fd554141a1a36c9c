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
use std::io::{IoSlice, IoSliceMut};
use std::slice;

/// The bytes of an object, to be written to an image. Any item type, C-contiguous.
pub(crate) struct Source(PyUntypedBuffer);

/// The bytes of an object, to be filled from an image. Writable, any item type, C-contiguous.
pub(crate) struct Target(PyUntypedBuffer);

impl Source {
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        contiguous(object).map(Self)
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

fn contiguous(object: &Bound<'_, PyAny>) -> PyResult<PyUntypedBuffer> {
    let view = PyUntypedBuffer::get(object)?;
    if !view.is_c_contiguous() {
        return Err(PyBufferError::new_err("the buffer is not C-contiguous"));
    }
    Ok(view)
}
