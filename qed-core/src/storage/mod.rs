//! The only code that touches files: the trait [`Storage`] and everything that is one.
//!
//! Files and memory at the bottom; latch, record, fault and overlay as decorators around any other.
//! Knows nothing of QED.

#[allow(unsafe_code)]
mod aligned;
mod covered;
mod fault;
mod file;
mod latch;
mod locks;
mod memory;
mod overlay;
mod pages;
mod preallocate;
mod record;
mod span;
mod spare;
#[allow(unsafe_code)]
mod sys;
mod undo;
mod zeroing;

pub use aligned::AlignedBuffer;
pub use fault::{Call, CallKind, Fault, Held, Trigger};
pub use file::{Bypass, FileMode, FileStorage};
pub(crate) use file::{Forcing, WritePass};
pub use latch::Latch;
pub use locks::ImageLock;
pub use memory::{MemoryStorage, STALE};
pub use overlay::Overlay;
pub use preallocate::Preallocation;
pub(crate) use preallocate::set_aside;
pub use record::{Base, Event, Log, Operation, Recorder, Tape};
pub(crate) use spare::{Loan, Spare};
pub use undo::{Undo, restore};
pub(crate) use zeroing::write_zeroes;

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};

/// What a write carries, and how long it may take to be safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteFlags {
    /// The write is stable when it returns (forced unit access).
    pub fua: bool,
    /// Tables or header: a failure of such a write latches.
    pub metadata: bool,
}

/// Facts about a storage that never change while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that a power cut leaves whole, old or new: 512 or 4096. Metadata is written in
    /// multiples of it.
    pub atomic_unit: u64,
    /// Space past the end that a `set_len` adds, and space punched, reads as zeroes.
    pub zeroes_new_space: bool,
    /// `punch` gives space back.
    pub can_punch: bool,
}

/// A run of the file as its file system stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredExtent {
    /// Bytes of the run, at least 1.
    pub length: u64,
    /// The run is a hole: it holds no space and reads as zeroes.
    pub hole: bool,
}

/// A file of bytes. All calls may run at once from any thread; none moves a shared position.
#[allow(clippy::len_without_is_empty)] // An empty file is no case of its own.
pub trait Storage: Send + Sync + fmt::Debug {
    /// Facts that never change while the storage is open.
    fn limits(&self) -> Limits;

    /// Bytes of the file.
    ///
    /// # Errors
    /// What the operating system reports.
    fn len(&self) -> io::Result<u64>;

    /// Whether each write goes to the disk by itself, so that one over a small gap costs less than
    /// two around it.
    fn writes_directly(&self) -> bool {
        false
    }

    /// Fills `buffers` from `offset`, with zeroes past the end of the file.
    ///
    /// # Errors
    /// What the operating system reports; the buffers' content is then unspecified.
    fn read(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()>;

    /// Writes all of `buffers` at `offset`. The engine never writes past the end of the file.
    ///
    /// # Errors
    /// What the operating system reports; any part may then have been written.
    fn write(&self, buffers: &[IoSlice<'_>], offset: u64, flags: WriteFlags) -> io::Result<()>;

    /// Makes `length` bytes at `offset` read as zeroes and keeps their space allocated.
    ///
    /// # Errors
    /// `Unsupported` where only writing zeroes would do it: the caller decides.
    fn zero_range(&self, offset: u64, length: u64) -> io::Result<()>;

    /// Gives `length` bytes at `offset`, which read as zeroes, their space on the disk.
    ///
    /// # Errors
    /// `Unsupported` where only writing would do it: the caller decides.
    fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        self.zero_range(offset, length)
    }

    /// Gives the space of `length` bytes at `offset` back; they read as zeroes.
    ///
    /// # Errors
    /// `Unsupported` where the file system cannot; the content is then unchanged.
    fn punch(&self, offset: u64, length: u64) -> io::Result<()>;

    /// Sets the length of the file: new space reads as zeroes.
    ///
    /// # Errors
    /// What the operating system reports; the length is then unchanged.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Makes everything that completed before this call stable, the length included.
    ///
    /// # Errors
    /// What the operating system reports: nothing may then be believed stable.
    fn sync(&self) -> io::Result<()>;

    /// The stored run that begins at `offset` (inside the file), at most `length` bytes long.
    /// A storage that cannot tell answers that all of it is data.
    ///
    /// # Errors
    /// What the operating system reports.
    fn stored_extent(&self, offset: u64, length: u64) -> io::Result<StoredExtent>;

    /// Bytes of disk the file occupies.
    ///
    /// # Errors
    /// What the operating system reports.
    fn disk_usage(&self) -> io::Result<u64>;

    /// The way past these calls, where a plain file stands directly behind this storage.
    fn bypass(&self) -> Option<Bypass<'_>> {
        None
    }
}
