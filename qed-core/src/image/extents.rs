//! Where the guest's space lies in the file.

use super::Image;
use crate::error::Result;
use crate::meta::plan::lookup::Place;
use crate::source::{Extent, ExtentKind, Extents, Source, extent_below};

impl Image {
    /// The extents of `length` bytes at `offset` in this layer alone, as the tables say when each
    /// is asked for.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) where the range passes the
    /// end of the disk.
    pub fn extents(&self, offset: u64, length: u64) -> Result<Extents<'_>> {
        let checked = self.check_range(offset, length);
        checked.map_err(|error| self.named_error(error))?;
        Ok(Extents::new(offset, length, |offset, length| self.own_extent(offset, length)))
    }

    /// The run that begins at `offset`, in this layer alone.
    ///
    /// # Errors
    /// The range passes the end of the disk; a table that cannot be read or right.
    pub(crate) fn own_extent(&self, offset: u64, length: u64) -> Result<Extent> {
        let request = self.meta.admit(offset, length);
        let segment = request.and_then(|_request| self.meta.segment(offset, length));
        let segment = segment.map_err(|error| self.named_error(error))?;
        let kind = match segment.place {
            Place::File(file) => ExtentKind::Data { file_offset: Some(file.get()) },
            Place::Zero => ExtentKind::Zero { file_offset: None },
            Place::Backing => ExtentKind::Unallocated,
        };
        Ok(Extent { offset, length: segment.length, kind, depth: 0 })
    }
}

/// An image is a backing layer for others.
impl Source for Image {
    fn size(&self) -> u64 {
        Image::size(self)
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.pread(buffer, offset)
    }

    fn extent(&self, offset: u64, length: u64) -> Result<Extent> {
        extent_below(self.meta.backing(), self.own_extent(offset, length)?)
    }
}
