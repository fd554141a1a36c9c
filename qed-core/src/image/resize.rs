//! Changing the disk's size while it is used.

use std::io::IoSlice;

use super::Image;
use super::buffers::Stream;
use crate::error::{Error, Result};
use crate::meta::plan::lookup::Place;
use crate::meta::resize::Resizing;
use crate::storage::Preallocation;

/// How a disk is resized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResizeOptions {
    /// The disk may become smaller; what lies beyond its new end is lost then.
    pub shrink: bool,
    /// The space that the new part of a growing disk gets: its own only, and in a QED image over a
    /// backing file tables at most.
    pub preallocation: Preallocation,
}

impl ResizeOptions {
    /// Fails where a disk of `from` bytes would shrink to `to` bytes, and may not, and where there
    /// is no new part to be preallocated.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub(crate) fn check(self, from: u64, to: u64) -> Result<()> {
        if to <= from && self.preallocation != Preallocation::Off {
            return Err(Error::invalid("preallocation is for disks that grow"));
        }
        if to >= from || self.shrink {
            return Ok(());
        }
        let message = format!(
            "the disk of {from} bytes would shrink to {to}, and lose what lies beyond; shrink \
             allows it"
        );
        Err(Error::invalid(message))
    }
}

impl Image {
    /// Makes the disk `size` bytes large, a multiple of 512, while other calls run. The size and
    /// all that goes with it are stable when this returns.
    ///
    /// What is new reads as zeroes, also where the backing file is longer, and may be used once
    /// this has returned; [`ResizeOptions::preallocation`] gives it its space. Where the disk
    /// shrinks, requests beyond the new end are refused at once, those that run are waited for, and
    /// the space behind it goes back to the file system. After a failure the disk has its old size;
    /// what was to be cut off may read as zeroes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for a size that the image
    /// cannot have, or a smaller one without [`ResizeOptions::shrink`], for data that would have
    /// its space over a backing file; [`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace);
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) as at a first write; a failed read, write
    /// or sync.
    pub fn resize(&self, size: u64, options: ResizeOptions) -> Result<()> {
        self.resize_to(size, options).map_err(|error| self.named_error(error))
    }

    fn resize_to(&self, size: u64, options: ResizeOptions) -> Result<()> {
        self.meta.check_writable()?;
        options.check(self.size(), size)?;
        let kind = options.preallocation;
        if self.meta.backing().is_some() {
            kind.check_over_backing()?;
        }
        let resizing = self.meta.begin_resize(size)?;
        // Another resize may have been first.
        options.check(resizing.from, size)?;
        if size == resizing.from {
            return Ok(());
        }
        if size < resizing.from {
            resizing.keep_out();
        }
        if kind == Preallocation::Metadata {
            resizing.lay_tables()?;
        }
        self.clear_tail(&resizing, kind.has_data())?;
        resizing.clear_clusters()?;
        if kind.has_data() {
            resizing.lay_data(kind)?;
        }
        resizing.finish()
    }

    /// Zeroes what of its cluster lies behind the smaller of the two ends: bytes of the backing
    /// file, of an earlier and larger disk (F3.8), or of the one that shrinks. With `allocates` it
    /// has its space afterwards.
    fn clear_tail(&self, resizing: &Resizing<'_>, allocates: bool) -> Result<()> {
        if !resizing.clears_beyond() {
            return Ok(());
        }
        let grows = resizing.to > resizing.from;
        let start = resizing.to.min(resizing.from);
        let end = start.next_multiple_of(self.cluster_size());
        let mut at = start;
        while at < end {
            let segment = self.meta.segment(at, (end - at).min(PIECE))?;
            let next = at + segment.length;
            let shows = match segment.place {
                Place::File(_) => true,
                Place::Zero => allocates,
                Place::Backing => allocates || grows && !resizing.base_reads_zero(at, next)?,
            };
            if shows {
                self.write_zeroes_beyond(resizing, at, segment.length)?;
            }
            at = next;
        }
        Ok(())
    }

    fn write_zeroes_beyond(&self, resizing: &Resizing<'_>, offset: u64, length: u64) -> Result<()> {
        let zeroes = vec![0; usize::try_from(length).unwrap_or(0)];
        let buffers = [IoSlice::new(&zeroes)];
        let mut stream = Stream::new(&buffers);
        let mut plan = resizing.plan_write(offset, length)?;
        plan.begin_moving();
        for segment in plan.segments.iter() {
            self.write_segment(segment, &mut stream, false)?;
        }
        plan.publish();
        Ok(())
    }
}

/// Zeroes written at once.
const PIECE: u64 = 1 << 20;
