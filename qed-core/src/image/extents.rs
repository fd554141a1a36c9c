//! Where the guest's space lies in the file.

use super::Image;
use crate::error::{Error, Result};
use crate::meta::plan::lookup::{Place, Segment, extend_or_push};

/// A run of guest bytes that this layer treats alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Guest bytes from the start of the disk.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// What the run is.
    pub kind: ExtentKind,
}

/// What a run of guest bytes is in this layer (F3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtentKind {
    /// Stored in the image file, in one run.
    Data {
        /// Where in the file, in bytes.
        file_offset: u64,
    },
    /// Reads as zeroes, whatever the backing file holds.
    Zero,
    /// Not in this layer: reads the backing file, zeroes without one or past its end.
    Unallocated,
}

/// The extents of a range, in ascending order, neighbours joined. Ends after an error.
#[derive(Debug)]
pub struct Extents<'a> {
    image: &'a Image,
    at: u64,
    end: u64,
    ready: Vec<Segment>,
    failed: Option<Error>,
}

impl Image {
    /// The extents of `length` bytes at `offset`, as the tables say when each is asked for.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) where the range passes the
    /// end of the disk.
    pub fn extents(&self, offset: u64, length: u64) -> Result<Extents<'_>> {
        let checked = self.check_range(offset, length);
        checked.map_err(|error| self.named_error(error))?;
        Ok(Extents {
            image: self,
            at: offset,
            end: offset + length,
            ready: Vec::new(),
            failed: None,
        })
    }
}

impl Iterator for Extents<'_> {
    type Item = Result<Extent>;

    fn next(&mut self) -> Option<Self::Item> {
        // A run is known whole when the next one has begun, or the range has ended.
        while self.at < self.end && self.ready.len() < 2 {
            match self.image.meta.segment(self.at, self.end - self.at) {
                Ok(segment) => {
                    self.at += segment.length;
                    extend_or_push(&mut self.ready, segment);
                }
                Err(error) => {
                    // What lies before it is sound, and is told first.
                    self.at = self.end;
                    self.failed = Some(self.image.named_error(error));
                }
            }
        }
        if self.ready.is_empty() {
            return self.failed.take().map(Err);
        }
        let segment = self.ready.remove(0);
        let kind = match segment.place {
            Place::File(file) => ExtentKind::Data { file_offset: file.get() },
            Place::Zero => ExtentKind::Zero,
            Place::Backing => ExtentKind::Unallocated,
        };
        Some(Ok(Extent { offset: segment.offset, length: segment.length, kind }))
    }
}
