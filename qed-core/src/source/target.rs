//! What a disk offers to whoever fills it.

use std::fmt;

use crate::error::Result;

/// A writable disk of a fixed length. All calls may run at once from any thread.
pub trait Target: Send + Sync + fmt::Debug {
    /// Bytes of the disk.
    fn size(&self) -> u64;

    /// Bytes of the disk's units of allocation: zeroes that fill aligned ones cost no space.
    fn granule(&self) -> u64;

    /// Writes `buffer` at `offset`; the range lies inside [`size`](Self::size).
    ///
    /// # Errors
    /// What the disk's file or its format reports; any part may then have been written.
    fn write(&self, buffer: &[u8], offset: u64) -> Result<()>;

    /// Makes `length` bytes at `offset` read as zeroes, without their space where that can be.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn write_zeroes(&self, offset: u64, length: u64) -> Result<()>;

    /// Makes everything that was written stable.
    ///
    /// # Errors
    /// What the disk's file reports: nothing may then be believed stable.
    fn flush(&self) -> Result<()>;
}
