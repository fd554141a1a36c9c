//! Watching a disk: the calls of its guest on one side, what reaches its file on the other.
//!
//! An [`Observer`] stands around the disk that is opened with it, not around its backing files. The
//! crash explorer's recorder is one.

use crate::error::Result;
use crate::image::Flags;
use crate::storage::Storage;
use std::fmt;
use std::io::IoSlice;
use std::sync::Arc;

/// A guest's call that may change its disk, or makes changes stable.
#[derive(Clone, Copy, Debug)]
pub enum GuestCall<'a> {
    /// See [`Disk::pwritev`](super::Disk::pwritev).
    Write {
        /// The first byte.
        offset: u64,
        /// All bytes, one buffer after the other.
        buffers: &'a [IoSlice<'a>],
        /// As the caller gave them.
        flags: Flags,
    },
    /// See [`Disk::write_zeroes`](super::Disk::write_zeroes).
    Zeroes {
        /// The first byte.
        offset: u64,
        /// How many bytes.
        length: u64,
        /// As the caller gave them.
        flags: Flags,
    },
    /// See [`Disk::discard`](super::Disk::discard).
    Discard {
        /// The first byte.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
    /// See [`Disk::resize`](super::Disk::resize).
    Resize {
        /// Bytes that the disk is to have.
        size: u64,
    },
    /// A flush, or the close that ends with one.
    Flush,
}

/// Sees what a disk is asked for, and may put itself between the disk and its file.
pub trait Observer: Send + Sync + fmt::Debug {
    /// The storage that the disk uses instead of that of its file.
    ///
    /// # Errors
    /// Observing cannot begin; the disk is not opened.
    fn storage(&self, file: Arc<dyn Storage>) -> Result<Arc<dyn Storage>>;

    /// A call is about to be made; the number comes back when it has returned.
    fn begin(&self, call: GuestCall<'_>) -> u64;

    /// The call of this number has returned, without an error where it is `done`.
    fn end(&self, number: u64, done: bool);
}

/// Makes a call of the guest's, watched where anybody watches.
pub(super) fn observe(
    observer: Option<&dyn Observer>,
    call: GuestCall<'_>,
    make: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let Some(observer) = observer else { return make() };
    let number = observer.begin(call);
    let made = make();
    observer.end(number, made.is_ok());
    made
}
