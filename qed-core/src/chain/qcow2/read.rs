//! Reading, and where the disk's bytes are found.

use std::io::IoSliceMut;

use super::engine::Run;
use super::{Qcow2Disk, failure};
use crate::error::Result;
use crate::source::{Extent, ExtentKind, Source, check_range, extent_below, read_below};

impl Qcow2Disk {
    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) past the end of the disk;
    /// broken tables; what the files report.
    pub fn pread(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.preadv(&mut [IoSliceMut::new(buffer)], offset)
    }

    /// Fills `buffers`, one after the other, from `offset`.
    ///
    /// # Errors
    /// As [`pread`](Self::pread).
    pub fn preadv(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> Result<()> {
        let length = buffers.iter().map(|buffer| buffer.len() as u64).sum();
        let mut at = offset;
        let read = check_range(self.size(), offset, length).and_then(|()| {
            if self.settings.copy_on_read {
                self.copy_for_read(offset, length);
            }
            buffers.iter_mut().try_for_each(|buffer| {
                let read = self.read_range(buffer, at);
                at += buffer.len() as u64;
                read
            })
        });
        read.map_err(|error| self.named_error(error))
    }

    fn read_range(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let count = self.read_run(rest, at)?;
            rest = &mut rest[count..];
            at += count as u64;
        }
        Ok(())
    }

    /// Fills the start of `buffer`; how many bytes.
    fn read_run(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let failed = |error| failure("reading", error).at(offset);
        let engine = self.engine()?;
        let (run, found) = engine.lookup(offset, buffer.len() as u64).map_err(failed)?;
        let count = usize::try_from(found).unwrap_or(usize::MAX).min(buffer.len());
        let part = &mut buffer[..count];
        match run {
            Run::Data { offset: at, .. } => {
                let storage = self.file.storage();
                storage.read(&mut [IoSliceMut::new(part)], at).map_err(failed)?;
            }
            Run::Compressed => engine.read(part, offset).map_err(failed)?,
            Run::Zero => part.fill(0),
            Run::Absent => {
                // The layers below have locks of their own, and perhaps far to go.
                drop(engine);
                self.read_below(part, offset)?;
            }
        }
        Ok(count)
    }

    /// What lies below `offset`: zeroes past its end.
    pub(super) fn read_below(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        read_below(self.below.as_deref(), buffer, offset)
    }

    /// The run that begins at `offset`, in this layer alone.
    ///
    /// # Errors
    /// As [`pread`](Self::pread).
    pub fn own_extent(&self, offset: u64, length: u64) -> Result<Extent> {
        self.find_extent(offset, length).map_err(|error| self.named_error(error))
    }

    fn find_extent(&self, offset: u64, length: u64) -> Result<Extent> {
        check_range(self.size(), offset, length)?;
        let found = self.engine()?.lookup(offset, length);
        let (run, length) = found.map_err(|error| failure("looking up", error).at(offset))?;
        let kind = match run {
            Run::Data { offset, .. } => ExtentKind::Data { file_offset: Some(offset) },
            Run::Compressed => ExtentKind::Data { file_offset: None },
            Run::Zero => ExtentKind::Zero { file_offset: None },
            Run::Absent => ExtentKind::Unallocated,
        };
        Ok(Extent { offset, length, kind, depth: 0 })
    }
}

/// An image is a backing layer for others.
impl Source for Qcow2Disk {
    fn size(&self) -> u64 {
        Qcow2Disk::size(self)
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.pread(buffer, offset)
    }

    fn extent(&self, offset: u64, length: u64) -> Result<Extent> {
        extent_below(self.below.as_deref(), self.own_extent(offset, length)?)
    }
}
