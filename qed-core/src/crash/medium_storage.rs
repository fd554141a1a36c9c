//! A [`Medium`] as the engine's storage: what a crash state is opened through. Counts what changes
//! it, so that an open which must change nothing can be told from one that does.

use super::medium::Medium;
use crate::storage::{Limits, Storage, StoredExtent, WriteFlags};
use crate::sync::{Mutex, Rank};
use std::io::{self, IoSlice, IoSliceMut};
use std::sync::atomic::{AtomicU64, Ordering};

/// A crash state behind the engine's storage trait.
#[derive(Debug)]
pub struct MediumStorage {
    medium: Mutex<Medium>,
    limits: Limits,
    changes: AtomicU64,
}

impl MediumStorage {
    /// `medium` as a file of a disk with these limits.
    #[must_use]
    pub fn new(medium: Medium, limits: Limits) -> Self {
        Self { medium: Mutex::new(Rank::Storage, medium), limits, changes: AtomicU64::new(0) }
    }

    /// `medium` on a disk that writes `unit` bytes as a whole, clears new space and can punch.
    #[must_use]
    pub fn with_unit(medium: Medium, unit: u64) -> Self {
        let limits = Limits { atomic_unit: unit, zeroes_new_space: true, can_punch: true };
        Self::new(medium, limits)
    }

    /// The content as it is now.
    #[must_use]
    pub fn medium(&self) -> Medium {
        self.medium.lock().clone()
    }

    /// Calls that could have changed a byte or the length.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    fn change(&self, change: impl FnOnce(&mut Medium)) -> io::Result<()> {
        self.changes.fetch_add(1, Ordering::Relaxed);
        change(&mut self.medium.lock());
        Ok(())
    }
}

impl Storage for MediumStorage {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.medium.lock().length())
    }

    fn read(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        let medium = self.medium.lock();
        let mut offset = offset;
        for buffer in buffers {
            medium.read(offset, buffer);
            offset += buffer.len() as u64;
        }
        Ok(())
    }

    fn write(&self, buffers: &[IoSlice<'_>], offset: u64, _: WriteFlags) -> io::Result<()> {
        self.change(|medium| {
            let mut offset = offset;
            for buffer in buffers {
                medium.write(offset, buffer);
                offset += buffer.len() as u64;
            }
            medium.set_length(medium.length().max(offset));
        })
    }

    fn zero_range(&self, offset: u64, length: u64) -> io::Result<()> {
        self.change(|medium| medium.zero(offset, length))
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        if !self.limits.can_punch {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.change(|medium| medium.zero(offset, length))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(|medium| {
            medium.set_length(length);
            medium.cut();
        })
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn stored_extent(&self, offset: u64, length: u64) -> io::Result<StoredExtent> {
        Ok(self.medium.lock().run(offset, length))
    }

    fn disk_usage(&self) -> io::Result<u64> {
        Ok(self.medium.lock().usage())
    }
}
