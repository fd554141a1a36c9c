//! Several disks as one: put one behind the other, and of that a window.

use crate::error::{Error, Result};
use crate::source::{Extent, Source};

/// Disks one behind the other, as far as a window shows them.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    /// Each with where it ends when all are put together.
    disks: Vec<(u64, &'a dyn Source)>,
    /// Where the window begins.
    offset: u64,
    size: u64,
}

impl<'a> Parts<'a> {
    /// `length` bytes of `disks` from `offset` on, all that follow where it is not given.
    ///
    /// # Errors
    /// The window passes the end; the disks are longer than can be told.
    pub(super) fn new(disks: &[&'a dyn Source], offset: u64, length: Option<u64>) -> Result<Self> {
        let mut end = 0_u64;
        let mut parts = Vec::new();
        for disk in disks {
            let longer = end.checked_add(disk.size());
            end = longer.ok_or_else(|| Error::invalid("the sources are too long together"))?;
            parts.push((end, *disk));
        }
        let rest = end.checked_sub(offset);
        let size = rest.and_then(|rest| match length {
            Some(length) if length > rest => None,
            length => length.or(Some(rest)),
        });
        let size = size.ok_or_else(|| {
            let what = length.map_or("what follows".into(), |length| format!("{length} bytes"));
            Error::invalid(format!(
                "{what} at {offset} passes the end of the source of {end} bytes"
            ))
        })?;
        Ok(Self { disks: parts, offset, size })
    }

    /// The disk that holds `offset` of the window: from where in it, and its bytes from there.
    fn find(&self, offset: u64) -> Option<(&'a dyn Source, u64, u64)> {
        let at = self.offset + offset;
        let index = self.disks.partition_point(|(end, _)| *end <= at);
        let (end, disk) = self.disks.get(index)?;
        Some((*disk, at - (end - disk.size()), end - at))
    }
}

impl Source for Parts<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let found = self.find(offset + done as u64);
            let Some((disk, at, left)) = found else { return Err(past_end(offset)) };
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len() - done);
            disk.read(&mut buffer[done..done + count], at)?;
            done += count;
        }
        Ok(())
    }

    fn extent(&self, offset: u64, length: u64) -> Result<Extent> {
        let Some((disk, at, left)) = self.find(offset) else { return Err(past_end(offset)) };
        let extent = disk.extent(at, length.min(left))?;
        Ok(Extent { offset, ..extent })
    }
}

fn past_end(offset: u64) -> Error {
    Error::invalid("a read passes the end of the source").at(offset)
}
