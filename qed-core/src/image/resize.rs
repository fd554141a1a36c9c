//! Changing the disk's size while it is used.

use std::io::IoSlice;

use super::Image;
use super::buffers::Stream;
use crate::error::{Error, Result};
use crate::meta::plan::lookup::Place;
use crate::meta::resize::Resizing;

/// How a disk is resized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResizeOptions {
    /// The disk may become smaller; what lies beyond its new end is lost then.
    pub shrink: bool,
}

impl ResizeOptions {
    /// Fails where a disk of `from` bytes would shrink to `to` bytes, and may not.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub(crate) fn check(self, from: u64, to: u64) -> Result<()> {
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
    /// this has returned. Where the disk shrinks, requests beyond the new end are refused at once,
    /// those that run are waited for, and the space behind it goes back to the file system. After a
    /// failure the disk has its old size; what was to be cut off may read as zeroes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for a size that the image
    /// cannot have, or a smaller one without [`ResizeOptions::shrink`];
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) as at a first write; a failed read, write
    /// or sync.
    pub fn resize(&self, size: u64, options: ResizeOptions) -> Result<()> {
        self.resize_to(size, options).map_err(|error| self.named_error(error))
    }

    fn resize_to(&self, size: u64, options: ResizeOptions) -> Result<()> {
        self.meta.check_writable()?;
        options.check(self.size(), size)?;
        let resizing = self.meta.begin_resize(size)?;
        // Another resize may have been first.
        options.check(resizing.from, size)?;
        if size == resizing.from {
            return Ok(());
        }
        if size < resizing.from {
            resizing.keep_out();
        }
        self.clear_tail(&resizing)?;
        resizing.clear_clusters()?;
        resizing.finish()
    }

    /// Zeroes what of its cluster lies behind the smaller of the two ends: bytes of the backing
    /// file, of an earlier and larger disk (F3.8), or of the one that shrinks.
    fn clear_tail(&self, resizing: &Resizing<'_>) -> Result<()> {
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
                Place::Zero => false,
                Place::Backing => grows && !resizing.base_reads_zero(at, next)?,
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
