//! Arithmetic on byte ranges and on scattered buffers, shared by the storages of this folder.

use std::io::{self, IoSlice, IoSliceMut};

/// The end of `length` bytes at `offset`, refused where the operating system would refuse it.
pub(super) fn end_of(offset: u64, length: u64) -> io::Result<u64> {
    let end = offset.checked_add(length).filter(|end| i64::try_from(*end).is_ok());
    end.ok_or_else(|| {
        let text = format!("{length} bytes at offset {offset} pass the largest file offset");
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })
}

/// Bytes of all of `buffers`.
pub(super) fn total(buffers: &[IoSlice<'_>]) -> u64 {
    buffers.iter().map(|buffer| buffer.len() as u64).sum()
}

/// Bytes of all of `buffers`.
pub(super) fn total_mut(buffers: &[IoSliceMut<'_>]) -> u64 {
    buffers.iter().map(|buffer| buffer.len() as u64).sum()
}

/// A length that is known to fit in memory.
pub(super) fn to_usize(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
