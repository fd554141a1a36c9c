//! Zeroing and discarding: whole clusters by their entries, the rest as data.

use super::engine::Run;
use super::write::zeroes;
use super::{Qcow2Disk, failure};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{DiscardMode, Flags};
use crate::sync::atomic::Ordering;

impl Qcow2Disk {
    /// Makes `length` bytes at `offset` read as zeroes. Allocated clusters stay allocated, unless
    /// [`Flags::MAY_UNMAP`] is set: then whole ones are freed. [`Flags::NO_FALLBACK`] fails where
    /// zeroes would have to be written as data.
    ///
    /// # Errors
    /// As [`pwrite`](Self::pwrite); [`ErrorKind::Unsupported`] for [`Flags::NO_FALLBACK`].
    pub fn write_zeroes(&self, offset: u64, length: u64, flags: Flags) -> Result<()> {
        self.zero_request(offset, length, flags).map_err(|error| self.named_error(error))
    }

    /// Frees the whole clusters inside `length` bytes at `offset`; they read as zeroes. What lies
    /// in clusters covered in part stays. Does nothing with [`DiscardMode::Ignore`].
    ///
    /// # Errors
    /// As [`pwrite`](Self::pwrite).
    pub fn discard(&self, offset: u64, length: u64) -> Result<()> {
        let done = self.check_change(offset, length).and_then(|()| {
            if self.settings.discard == DiscardMode::Ignore {
                return Ok(());
            }
            self.begin(offset, length)?;
            let (start, end) = self.whole_clusters(offset, length);
            self.zero_clusters(start, end, true)
        });
        done.map_err(|error| self.named_error(error))
    }

    pub(super) fn zero_request(&self, offset: u64, length: u64, flags: Flags) -> Result<()> {
        let allowed = Flags::FUA | Flags::MAY_UNMAP | Flags::NO_FALLBACK;
        flags.check(allowed, "a write of zeroes")?;
        self.begin(offset, length)?;
        let unmap = flags.contains(Flags::MAY_UNMAP) && self.settings.discard == DiscardMode::Unmap;
        let (start, end) = self.whole_clusters(offset, length);
        if start < end {
            self.zero_part(offset, start, flags)?;
            self.zero_clusters(start, end, unmap)?;
            self.zero_part(end, offset + length, flags)?;
        } else {
            self.zero_part(offset, offset + length, flags)?;
        }
        self.force(flags)
    }

    /// Zeroes the clusters of `start..end` by their entries. What reads as zeroes stays as it is.
    fn zero_clusters(&self, start: u64, end: u64, unmap: bool) -> Result<()> {
        let below = self.below_size();
        let mut at = start;
        while at < end {
            let failed = |error| failure("zeroing", error).at(at);
            drop(self.engine()?);
            let mut engine = self.engine.write();
            let (run, length) = engine.lookup(at, end - at).map_err(failed)?;
            at += match run {
                Run::Zero => length,
                Run::Absent if at >= below => length,
                Run::Absent => engine.zero(at, length, false).map_err(failed)?,
                Run::Data { .. } | Run::Compressed => {
                    self.freed.store(true, Ordering::Release);
                    engine.zero(at, length, unmap).map_err(failed)?
                }
            };
        }
        Ok(())
    }

    /// Zeroes bytes that cover no whole cluster.
    fn zero_part(&self, offset: u64, end: u64, flags: Flags) -> Result<()> {
        let below = self.below_size();
        let mut at = offset;
        while at < end {
            let looked = self.engine()?.lookup(at, (end - at).min(PIECE));
            let (run, length) = looked.map_err(|error| failure("zeroing", error).at(at))?;
            let is_zero = run == Run::Zero || (run == Run::Absent && at >= below);
            if !is_zero {
                if flags.contains(Flags::NO_FALLBACK) {
                    let message = "zeroes would have to be written as data, which the request \
                                   forbids";
                    return Err(Error::new(ErrorKind::Unsupported, message).at(at));
                }
                self.write_range(&zeroes(length), at)?;
            }
            at += length;
        }
        Ok(())
    }

    /// The clusters that a range covers whole; the last one of the disk counts as whole where its
    /// part of the disk is covered.
    fn whole_clusters(&self, offset: u64, length: u64) -> (u64, u64) {
        let (size, end) = (self.header.info.cluster_size, offset + length);
        let last = if end == self.size() { end } else { end - end % size };
        (offset.next_multiple_of(size), last)
    }
}

/// Zeroes written as data at once.
const PIECE: u64 = 1 << 20;
