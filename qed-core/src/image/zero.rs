//! Zeroing and discarding: whole clusters by their entries, the rest as data.

use std::io::{ErrorKind as IoErrorKind, IoSlice};

use super::{DiscardMode, Flags, Image};
use crate::addr::GuestCluster;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::plan::lookup::{Place, Segment};
use crate::meta::plan::zero::Allocated;
use crate::source::Source;
use crate::storage::{WriteFlags, write_zeroes};

/// Zeroes written as data at once.
const PIECE: u64 = 1 << 20;

impl Image {
    /// Makes `length` bytes at `offset` read as zeroes; any offset and length.
    ///
    /// Without [`Flags::MAY_UNMAP`] allocated clusters stay allocated and are zeroed in place; with
    /// it whole clusters are freed. [`Flags::NO_FALLBACK`] fails where zeroes would have to be
    /// written as data. [`Flags::FUA`] makes the zeroes stable.
    ///
    /// # Errors
    /// As [`pwrite`](Self::pwrite);
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for [`Flags::NO_FALLBACK`].
    pub fn write_zeroes(&self, offset: u64, length: u64, flags: Flags) -> Result<()> {
        self.zero_request(offset, length, flags).map_err(|error| self.named_error(error))
    }

    /// Frees the whole clusters inside `length` bytes at `offset`; they read as zeroes. What lies
    /// in clusters covered in part stays. Does nothing with [`DiscardMode::Ignore`].
    ///
    /// # Errors
    /// As [`pwrite`](Self::pwrite).
    pub fn discard(&self, offset: u64, length: u64) -> Result<()> {
        self.discard_request(offset, length).map_err(|error| self.named_error(error))
    }

    fn discard_request(&self, offset: u64, length: u64) -> Result<()> {
        self.check_range(offset, length)?;
        self.meta.begin_write()?;
        if self.settings.discard == DiscardMode::Ignore {
            return Ok(());
        }
        let end = offset + length;
        let (first, count) = self.whole_clusters(offset, end);
        self.zero_clusters(first, count, end, Flags::MAY_UNMAP).map(|_| ())
    }

    pub(super) fn zero_request(&self, offset: u64, length: u64, flags: Flags) -> Result<()> {
        let allowed = Flags::FUA | Flags::MAY_UNMAP | Flags::NO_FALLBACK;
        flags.check(allowed, "a write of zeroes")?;
        self.check_range(offset, length)?;
        self.meta.begin_write()?;
        let end = offset + length;
        let (first, count) = self.whole_clusters(offset, end);
        if count == 0 {
            self.zero_part(offset, end, flags)?;
        } else {
            let start = self.meta.geometry.guest_offset(first).get();
            let size = self.meta.geometry.cluster_size();
            self.zero_part(offset, start, flags)?;
            let done = self.zero_clusters(first, count, end, flags)?;
            self.zero_part((start + done * size).min(end), end, flags)?;
        }
        if self.is_forced(flags) { self.meta.flush() } else { Ok(()) }
    }

    /// The clusters that `offset..end` covers whole; the last one of the disk counts as whole where
    /// its part of the disk is covered.
    pub(super) fn whole_clusters(&self, offset: u64, end: u64) -> (GuestCluster, u64) {
        let size = self.meta.geometry.cluster_size();
        let first = offset.div_ceil(size);
        let last = if end == self.size() { end.div_ceil(size) } else { end / size };
        (GuestCluster(first), last.saturating_sub(first))
    }

    /// Zeroes the clusters of a request that ends at `end`. Gives how many of them: not the last
    /// one, where the disk grows past it meanwhile.
    fn zero_clusters(
        &self,
        first: GuestCluster,
        count: u64,
        end: u64,
        flags: Flags,
    ) -> Result<u64> {
        let unmap = flags.contains(Flags::MAY_UNMAP);
        let allocated = if unmap { Allocated::Free } else { Allocated::Keep };
        let mut done = 0;
        while done < count {
            let next = GuestCluster(first.get() + done);
            let plan = self.meta.plan_zeroes(next, count - done, end, allocated)?;
            if plan.clusters == 0 {
                break;
            }
            for segment in plan.segments.iter() {
                self.zero_in_place(*segment, flags)?;
            }
            if !plan.segments.is_empty() {
                self.meta.note_data();
            }
            done += plan.clusters;
        }
        Ok(done)
    }

    /// Zeroes bytes that cover no whole cluster.
    fn zero_part(&self, offset: u64, end: u64, flags: Flags) -> Result<()> {
        let mut at = offset;
        while at < end {
            let segment = self.meta.segment(at, (end - at).min(PIECE))?;
            if !self.reads_zero(segment)? {
                if flags.contains(Flags::NO_FALLBACK) {
                    return Err(no_fallback(at));
                }
                let zeroes = vec![0; usize::try_from(segment.length).unwrap_or(0)];
                self.write_data(&[IoSlice::new(&zeroes)], at, segment.length, false)?;
            }
            at += segment.length;
        }
        Ok(())
    }

    fn reads_zero(&self, segment: Segment) -> Result<bool> {
        match segment.place {
            Place::Zero => Ok(true),
            Place::File(_) => Ok(false),
            Place::Backing => {
                let extent = Source::extent(self, segment.offset, segment.length)?;
                Ok(extent.reads_zero() && extent.length >= segment.length)
            }
        }
    }

    fn zero_in_place(&self, segment: Segment, flags: Flags) -> Result<()> {
        let Place::File(file) = segment.place else { return Ok(()) };
        let failed = |error| Error::io("zeroing data", error).at(segment.offset);
        match self.meta.storage.zero_range(file.get(), segment.length) {
            Err(error) if error.kind() == IoErrorKind::Unsupported => {}
            result => return result.map_err(failed),
        }
        if flags.contains(Flags::NO_FALLBACK) {
            return Err(no_fallback(segment.offset));
        }
        write_zeroes(&*self.meta.storage, file.get(), segment.length, WriteFlags::default())
            .map_err(failed)
    }
}

fn no_fallback(offset: u64) -> Error {
    let message = "zeroes would have to be written as data, which the request forbids";
    Error::new(ErrorKind::Unsupported, message).at(offset)
}
