//! What a backing layer offers to the image above it, whatever its format.
//!
//! An image receives its backing file as a `dyn Source` and knows nothing of how chains are built.

mod target;

use crate::error::Result;
use std::fmt;

pub use target::Target;

/// How a run of a source reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceExtent {
    /// Bytes of the run, at least 1.
    pub length: u64,
    /// The whole run is known to read as zeroes.
    pub zero: bool,
}

/// A readable disk: constant length, constant content.
pub trait Source: Send + Sync + fmt::Debug {
    /// Bytes of the disk. Reads past them are the caller's to fill with zeroes.
    fn size(&self) -> u64;

    /// Fills `buffer` from `offset`; the range lies inside [`size`](Self::size).
    ///
    /// # Errors
    /// What the layer's file or its format reports.
    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()>;

    /// The run that begins at `offset` (inside the size), at most `length` bytes long.
    ///
    /// # Errors
    /// What the layer's file or its format reports.
    fn extent(&self, offset: u64, length: u64) -> Result<SourceExtent>;
}
