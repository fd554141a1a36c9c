//! What a disk offers to whoever reads it, whatever its format: an image above it, a copy, a
//! comparison.
//!
//! An image receives its backing file as a `dyn Source` and knows nothing of how chains are built.

mod below;
mod extent;
mod format;
mod known;
mod plain;
mod target;
mod zeroes;

pub(crate) use below::{extent_below, read_below, zero_below};
pub use extent::{Extent, ExtentKind, Extents};
pub use format::Format;
pub(crate) use known::Known;
pub use plain::PlainFile;
pub use target::Target;
pub(crate) use zeroes::all_zero;

use crate::error::{Error, Result};
use std::fmt;
use std::path::Path;

/// A readable disk of constant size. A backing layer's content is constant, too.
pub trait Source: Send + Sync + fmt::Debug {
    /// Bytes of the disk. Reads past them are the caller's to fill with zeroes.
    fn size(&self) -> u64;

    /// Fills `buffer` from `offset`; the range lies inside [`size`](Self::size).
    ///
    /// # Errors
    /// What the layer's file or its format reports.
    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()>;

    /// The run that begins at `offset` (inside the size), at most `length` bytes long, and the
    /// layer that it comes from: this one or one below it.
    ///
    /// # Errors
    /// What the layer's file or its format reports.
    fn extent(&self, offset: u64, length: u64) -> Result<Extent>;

    /// The plain file that it is, where its bytes may be read past this trait for as long as it
    /// lives.
    fn plain_file(&self) -> Option<PlainFile> {
        None
    }

    /// Which of its layers is that file, read in that format (found by its magic if not given): 0
    /// is the disk's own. None where it is none of them, or the source cannot tell.
    fn depth_of(&self, file: &Path, format: Option<Format>) -> Option<u32> {
        let _ = (file, format);
        None
    }
}

/// Fails where `length` bytes at `offset` do not lie on a disk of `size` bytes.
pub(crate) fn check_range(size: u64, offset: u64, length: u64) -> Result<()> {
    if offset.checked_add(length).is_some_and(|end| end <= size) {
        return Ok(());
    }
    let message = format!("{length} bytes pass the end of the disk of {size} bytes");
    Err(Error::invalid(message).at(offset))
}
