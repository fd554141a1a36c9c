//! A storage in memory, for tests and tools.
//!
//! Sparse: only pages that were written hold memory. Behaves as a regular file does, but that every
//! call is atomic and a sync has nothing to do. It can pretend to be a device that adds or frees
//! space without clearing it; what was never written there then reads as [`STALE`].

use super::pages::Pages;
use super::span::{end_of, to_usize, total, total_mut};
use super::{Limits, Storage, StoredExtent, WriteFlags};
use crate::sync::{Rank, RwLock};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};

/// What unwritten space reads as where it does not read as zeroes.
pub const STALE: u8 = 0xa5;

/// A file that lives in memory.
pub struct MemoryStorage {
    limits: Limits,
    writes_directly: bool,
    content: RwLock<Content>,
}

struct Content {
    pages: Pages,
    /// Bytes past it in a present page are those of an absent one.
    length: u64,
}

impl MemoryStorage {
    /// An empty file on a disk with sectors of 512 bytes.
    #[must_use]
    pub fn new() -> Self {
        let limits = Limits { atomic_unit: 512, zeroes_new_space: true, can_punch: true };
        let content = Content { pages: Pages::default(), length: 0 };
        let content = RwLock::new(Rank::Storage, content);
        Self { limits, writes_directly: false, content }
    }

    /// A file that holds `bytes`. Pages of nothing but zeroes become holes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let storage = Self::new();
        {
            let mut content = storage.content.write();
            content.length = bytes.len() as u64;
            for (index, page) in bytes.chunks(4096).enumerate() {
                if page.iter().any(|byte| *byte != 0) {
                    content.store(page, index as u64 * 4096, 0);
                }
            }
        }
        storage
    }

    /// The same file on a disk with atomic units of `unit` bytes (512 or 4096).
    #[must_use]
    pub fn with_atomic_unit(mut self, unit: u64) -> Self {
        self.limits.atomic_unit = unit;
        self
    }

    /// The same file on a disk that does not clear new space: it reads as [`STALE`] until written.
    /// Meant for an empty file or one without holes.
    #[must_use]
    pub fn with_stale_space(mut self) -> Self {
        self.limits.zeroes_new_space = false;
        self
    }

    /// The same file on a disk that cannot give space back: [`Storage::punch`] is `Unsupported`.
    #[must_use]
    pub fn without_punch(mut self) -> Self {
        self.limits.can_punch = false;
        self
    }

    /// The same file on a disk to which each write goes by itself.
    #[must_use]
    pub fn with_direct_writes(mut self) -> Self {
        self.writes_directly = true;
        self
    }

    /// All bytes of the file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let content = self.content.read();
        let mut bytes = vec![0; to_usize(content.length)];
        content.load(&mut bytes, 0, self.unwritten());
        bytes
    }

    /// What a byte that was never written reads as.
    fn unwritten(&self) -> u8 {
        if self.limits.zeroes_new_space { 0 } else { STALE }
    }
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = self.content.read();
        f.debug_struct("MemoryStorage")
            .field("limits", &self.limits)
            .field("length", &content.length)
            .field("pages", &content.pages.count())
            .finish()
    }
}

impl Content {
    fn load(&self, buffer: &mut [u8], offset: u64, unwritten: u8) {
        let inside = to_usize(self.length.saturating_sub(offset)).min(buffer.len());
        let (inside, outside) = buffer.split_at_mut(inside);
        self.pages.read(inside, offset, |part, _| part.fill(unwritten));
        outside.fill(0);
    }

    fn store(&mut self, bytes: &[u8], offset: u64, unwritten: u8) {
        self.pages.write(bytes, offset, |page, _| page.fill(unwritten));
        self.length = self.length.max(offset + bytes.len() as u64);
    }
}

impl Storage for MemoryStorage {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn writes_directly(&self) -> bool {
        self.writes_directly
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.content.read().length)
    }

    fn read(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        end_of(offset, total_mut(buffers))?;
        let content = self.content.read();
        let mut at = offset;
        for buffer in buffers {
            content.load(buffer, at, self.unwritten());
            at += buffer.len() as u64;
        }
        Ok(())
    }

    fn write(&self, buffers: &[IoSlice<'_>], offset: u64, _flags: WriteFlags) -> io::Result<()> {
        end_of(offset, total(buffers))?;
        let mut content = self.content.write();
        let mut at = offset;
        for buffer in buffers.iter().filter(|buffer| !buffer.is_empty()) {
            content.store(buffer, at, self.unwritten());
            at += buffer.len() as u64;
        }
        Ok(())
    }

    fn zero_range(&self, offset: u64, length: u64) -> io::Result<()> {
        let end = end_of(offset, length)?;
        let mut content = self.content.write();
        content.pages.fill(offset, length, 0, false);
        if self.unwritten() != 0 {
            // Absent pages do not read as zeroes: make the whole range present, up to the end.
            let mut at = offset;
            let end = end.min(content.length);
            while at < end {
                let (_, run) = content.pages.run(at, end - at);
                let step = run.min(1 << 16);
                content.store(&vec![0; to_usize(step)], at, STALE);
                at += step;
            }
        }
        Ok(())
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        end_of(offset, length)?;
        if !self.limits.can_punch {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let unwritten = self.unwritten();
        self.content.write().pages.fill(offset, length, unwritten, true);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        end_of(length, 0)?;
        let unwritten = self.unwritten();
        let mut content = self.content.write();
        content.pages.fill(length, u64::MAX - length, unwritten, true);
        content.length = length;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn stored_extent(&self, offset: u64, length: u64) -> io::Result<StoredExtent> {
        end_of(offset, length)?;
        let content = self.content.read();
        let (present, run) = content.pages.run(offset, length);
        if self.unwritten() != 0 {
            return Ok(StoredExtent { length, hole: false });
        }
        Ok(StoredExtent { length: run, hole: !present })
    }

    fn disk_usage(&self) -> io::Result<u64> {
        Ok(self.content.read().pages.count() * 4096)
    }
}

#[cfg(test)]
mod tests;
