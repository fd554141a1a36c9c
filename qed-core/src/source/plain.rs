//! The plain file that a source is, for whoever reads it without asking the source.

use std::os::fd::RawFd;

/// A file whose bytes are a source's, at the same offsets. It stays open as long as the source
/// lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainFile {
    pub(crate) descriptor: RawFd,
    /// What offsets, lengths and addresses are multiples of.
    unit: u64,
}

impl PlainFile {
    pub(crate) fn new(descriptor: RawFd, unit: u64) -> Self {
        Self { descriptor, unit }
    }

    /// Whether the file takes a number as an offset or a length.
    pub(crate) fn takes(&self, number: u64) -> bool {
        number.is_multiple_of(self.unit)
    }
}
