//! Reading: each segment of a plan is one read of the file, a fill, or a read of the backing
//! source.

use std::io::IoSliceMut;

use super::Image;
use super::buffers::{Sink, total};
use crate::error::{Error, Result};
use crate::meta::plan::lookup::{Place, Segment};
use crate::source::read_below;

impl Image {
    /// Fills `buffer` with the disk's bytes from `offset` on.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) where the range passes the
    /// end of the disk (nothing is read then), a failed read, a table entry that cannot be right.
    pub fn pread(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.preadv(&mut [IoSliceMut::new(buffer)], offset)
    }

    /// As [`pread`](Self::pread), into several buffers one after the other.
    ///
    /// # Errors
    /// As [`pread`](Self::pread).
    pub fn preadv(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> Result<()> {
        self.read_segments(buffers, offset).map_err(|error| self.named_error(error))
    }

    fn read_segments(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> Result<()> {
        let length = total(buffers.iter().map(|buffer| buffer.len()));
        self.check_range(offset, length)?;
        let mut plan = self.meta.plan_read(offset, length)?;
        let is_below = |segment: &Segment| segment.place == Place::Backing;
        if self.settings.copy_on_read && plan.segments.iter().any(is_below) {
            drop(plan);
            self.copy_for_read(offset, length);
            plan = self.meta.plan_read(offset, length)?;
        }
        // Most reads lie in one place: their buffers need not be cut.
        if let Some(segment) = plan.segments.only() {
            return self.read_segment(*segment, buffers);
        }
        let mut sink = Sink::new(buffers);
        let mut segments = plan.segments.iter();
        segments.try_for_each(|segment| self.read_segment(*segment, &mut sink.next(segment.length)))
    }

    pub(super) fn read_segment(
        &self,
        segment: Segment,
        parts: &mut [IoSliceMut<'_>],
    ) -> Result<()> {
        match segment.place {
            Place::Zero => parts.iter_mut().for_each(|part| part.fill(0)),
            Place::File(file) => {
                let read = self.meta.storage.read(parts, file.get());
                read.map_err(|error| Error::io("reading data", error).at(segment.offset))?;
            }
            Place::Backing => {
                let mut at = segment.offset;
                for part in parts {
                    self.read_backing(part, at)?;
                    at += part.len() as u64;
                }
            }
        }
        Ok(())
    }

    /// Fills `part` from the backing source, with zeroes past its end and without one (F3.3).
    pub(super) fn read_backing(&self, part: &mut [u8], offset: u64) -> Result<()> {
        read_below(self.meta.backing(), part, offset)
    }
}
