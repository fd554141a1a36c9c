//! Writing: data moves by the segments of a plan, then the plan is published.

use std::io::IoSlice;

use super::buffers::{Stream, total};
use super::{DetectZeroes, Flags, Image};
use crate::addr::FileOffset;
use crate::error::{Error, Result};
use crate::meta::Rule;
use crate::meta::plan::write::WriteSegment;
use crate::source::all_zero;
use crate::storage::WriteFlags;

impl Image {
    /// Writes `buffer` at `offset`; any offset and length. `flags`: [`Flags::FUA`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) where the range passes the
    /// end of the disk (nothing is written then), a failed read or write. After a failure any part
    /// of the range may read as new, the rest as before.
    pub fn pwrite(&self, buffer: &[u8], offset: u64, flags: Flags) -> Result<()> {
        self.pwritev(&[IoSlice::new(buffer)], offset, flags)
    }

    /// As [`pwrite`](Self::pwrite), from several buffers one after the other.
    ///
    /// # Errors
    /// As [`pwrite`](Self::pwrite).
    pub fn pwritev(&self, buffers: &[IoSlice<'_>], offset: u64, flags: Flags) -> Result<()> {
        self.write_request(buffers, offset, flags).map_err(|error| self.named_error(error))
    }

    fn write_request(&self, buffers: &[IoSlice<'_>], offset: u64, flags: Flags) -> Result<()> {
        flags.check(Flags::FUA, "a write")?;
        let length = total(buffers.iter().map(|buffer| buffer.len()));
        self.check_range(offset, length)?;
        self.meta.begin_write()?;
        let detect = self.settings.detect_zeroes;
        if detect != DetectZeroes::Off && buffers.iter().all(|buffer| all_zero(buffer)) {
            let unmap = if detect == DetectZeroes::Unmap { Flags::MAY_UNMAP } else { Flags::NONE };
            return self.zero_request(offset, length, flags | unmap);
        }
        let forced = self.is_forced(flags);
        if self.write_data(buffers, offset, length, forced)? {
            return Ok(());
        }
        if forced { self.meta.pay(self.meta.debt_of(offset, length)) } else { Ok(()) }
    }

    /// Whether a request with `flags` must be stable when it returns.
    pub(super) fn is_forced(&self, flags: Flags) -> bool {
        flags.contains(Flags::FUA) || self.settings.cache.writes_through()
    }

    /// Moves the data and publishes it. Answers whether it is stable already: a forced write in
    /// place, where no mapping waits for a flush, needs none.
    pub(super) fn write_data(
        &self,
        buffers: &[IoSlice<'_>],
        offset: u64,
        length: u64,
        forced: bool,
    ) -> Result<bool> {
        let mut stream = None;
        let end = offset + length;
        let mut at = offset;
        let mut stable = true;
        while at < end {
            let mut plan = self.meta.plan_write(at, end - at)?;
            plan.begin_moving();
            let fua = forced && plan.is_stable_in_place();
            stable &= fua;
            // Most writes go to one place, as they are.
            let moved = match plan.segments.only().filter(|segment| segment.is_all(length)) {
                Some(segment) => self.write_parts(buffers, segment, segment.file, fua),
                None => {
                    let stream = stream.get_or_insert_with(|| Stream::new(buffers));
                    let mut segments = plan.segments.iter();
                    segments.try_for_each(|segment| self.write_segment(segment, stream, fua))
                }
            };
            let publishes = self.settings.rules.breaks(Rule::FailedDataDropsPlan);
            at += plan.length;
            // Unpublished, a plan takes back what it took (C17).
            if moved.is_ok() || publishes {
                plan.publish();
            }
            moved?;
        }
        Ok(stable)
    }

    /// One write of the file: what fills the first cluster, the caller's bytes, what fills the
    /// last.
    pub(super) fn write_segment(
        &self,
        segment: &WriteSegment,
        stream: &mut Stream<'_>,
        fua: bool,
    ) -> Result<()> {
        let around = self.around(segment)?;
        let (head, tail) = (around.head(), around.tail());
        let mut parts = Vec::with_capacity(3);
        if !head.is_empty() {
            parts.push(IoSlice::new(head));
        }
        stream.next_into(segment.length, &mut parts);
        if !tail.is_empty() {
            parts.push(IoSlice::new(tail));
        }
        self.write_parts(&parts, segment, FileOffset(segment.file.get() - head.len() as u64), fua)
    }

    fn write_parts(
        &self,
        parts: &[IoSlice<'_>],
        segment: &WriteSegment,
        file: FileOffset,
        fua: bool,
    ) -> Result<()> {
        let flags = WriteFlags { fua, metadata: false };
        let written = self.meta.storage.write(parts, file.get(), flags);
        written.map_err(|error| Error::io("writing data", error).at(segment.offset))
    }
}
