//! The way past a storage's calls, straight to its file: for whoever hands requests to the kernel
//! and hears of them later.
//!
//! What a call would do around the system call is done here in two halves, before and after, with
//! plain data in between: the blocks that are being written (rule C8), syncs whose error somebody
//! else could take (Y1), the latch (C17). Nothing here waits.

use super::FileStorage;
use super::gate::Sharing;
use crate::storage::Latch;
use crate::sync::atomic::Ordering;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// The way past a storage's calls, where a plain file stands directly behind it.
#[derive(Clone, Copy, Debug)]
pub struct Bypass<'a> {
    storage: &'a FileStorage,
    latch: Option<&'a Latch>,
}

/// How a write becomes stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forcing {
    /// Nothing becomes stable here.
    Needless,
    /// With RWF_DSYNC: the error of such a write is its own.
    ByFlag,
    /// By a sync of the file after it.
    BySync,
}

/// A write on its way past the storage.
#[must_use]
#[derive(Debug)]
pub(crate) struct WritePass {
    offset: u64,
    sharing: Option<Sharing>,
    /// Its number among the syncs, where it is forced.
    forced: Option<u64>,
}

impl WritePass {
    /// Whether nothing has to be done at its end.
    pub(crate) fn is_empty(&self) -> bool {
        self.sharing.is_none() && self.forced.is_none()
    }
}

impl<'a> Bypass<'a> {
    pub(super) fn new(storage: &'a FileStorage) -> Self {
        Self { storage, latch: None }
    }

    /// The same way, which `latch` closes for writes.
    pub(in crate::storage) fn behind(self, latch: &'a Latch) -> Self {
        Self { latch: Some(latch), ..self }
    }

    /// The file.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'a> {
        self.storage.file.as_fd()
    }

    /// Whether the kernel takes bytes at `offset` as they are, from or to memory in `parts`, each
    /// an address and a length.
    pub(crate) fn accepts(
        &self,
        offset: u64,
        parts: impl IntoIterator<Item = (usize, usize)>,
    ) -> bool {
        let Some(direct) = &self.storage.direct else { return true };
        let mut parts = parts.into_iter();
        offset.is_multiple_of(direct.alignment.unit)
            && parts.all(|(address, length)| direct.accepts_at(address as u64, length as u64))
    }

    /// What offsets, lengths and addresses have to be multiples of.
    pub(crate) fn unit(&self) -> u64 {
        let direct = self.storage.direct.as_ref();
        direct.map_or(1, |direct| direct.alignment.unit.max(direct.alignment.memory))
    }

    /// How a forced write becomes stable.
    pub(crate) fn forcing(&self) -> Forcing {
        match self.storage.mode.ignore_sync {
            true => Forcing::Needless,
            false if self.storage.direct.is_none() => Forcing::BySync,
            false if self.storage.forces_writes.load(Ordering::Relaxed) => Forcing::ByFlag,
            false => Forcing::BySync,
        }
    }

    /// Begins a write of whole blocks, forced by the flag where `forced` says so. None where only
    /// the storage's own call can do it or say why not.
    pub(crate) fn begin_write(&self, offset: u64, length: u64, forced: bool) -> Option<WritePass> {
        let storage = self.storage;
        if !storage.mode.writable || self.latch.is_some_and(Latch::is_latched) {
            return None;
        }
        let forced = match forced {
            true => Some(storage.syncs.begin().ok()?),
            false => None,
        };
        let Some(direct) = &storage.direct else {
            return Some(WritePass { offset, sharing: None, forced });
        };
        let sharing = direct.gate.try_share(offset, offset + length);
        if let (None, Some(number)) = (sharing, forced) {
            storage.syncs.end(number, None);
        }
        sharing.map(|sharing| WritePass { offset, sharing: Some(sharing), forced })
    }

    /// Ends a write whose I/O has ended: as `failed` says, if it did. A write that is to be done
    /// again by the storage's own call has not failed.
    ///
    /// # Errors
    /// The write was forced, and the latch has fallen: it is not known to be stable.
    pub(crate) fn end_write(&self, pass: WritePass, failed: Option<&io::Error>) -> io::Result<()> {
        let storage = self.storage;
        if let Some(direct) = &storage.direct {
            pass.sharing.into_iter().for_each(|sharing| direct.gate.leave(sharing));
        }
        let Some(number) = pass.forced else { return Ok(()) };
        storage.syncs.end(number, failed);
        let Some(latch) = self.latch else { return Ok(()) };
        if let Some(error) = failed {
            latch.fall(&format!("forced write at offset {}", pass.offset), error);
        }
        latch.check()
    }
}
