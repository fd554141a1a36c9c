//! A backing file of generated workloads: data that names itself, and perhaps a hole in it.

use crate::crash::guest::{BACKING, pattern};
use crate::crash::random::to_usize;
use crate::error::Result;
use crate::source::{Extent, ExtentKind, Source};
use std::ops::Range;

/// A disk whose every sector, but for a hole, says that it is the backing file's, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternSource {
    size: u64,
    hole: Range<u64>,
}

impl PatternSource {
    /// So many bytes of it.
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self { size, hole: 0..0 }
    }

    /// The same with a hole, which begins and ends where sectors do.
    #[must_use]
    pub fn with_hole(self, hole: Range<u64>) -> Self {
        Self { hole, ..self }
    }

    /// Bytes of it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.size
    }

    /// Where its hole is; an empty range where it has none.
    #[must_use]
    pub fn hole(&self) -> Range<u64> {
        self.hole.clone()
    }

    /// What stands at `offset`.
    pub(super) fn fill(&self, buffer: &mut [u8], offset: u64) {
        let end = offset + buffer.len() as u64;
        buffer.copy_from_slice(&pattern(BACKING, offset, buffer.len() as u64));
        let (from, to) = (self.hole.start.clamp(offset, end), self.hole.end.clamp(offset, end));
        if from < to {
            buffer[to_usize(from - offset)..to_usize(to - offset)].fill(0);
        }
    }
}

impl Source for PatternSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.fill(buffer, offset);
        Ok(())
    }

    fn extent(&self, offset: u64, length: u64) -> Result<Extent> {
        let Range { start, end } = self.hole;
        let file_offset = Some(offset);
        let (kind, limit) = if self.hole.contains(&offset) {
            (ExtentKind::Zero { file_offset }, end - offset)
        } else if offset < start && start < end {
            (ExtentKind::Data { file_offset }, start - offset)
        } else {
            (ExtentKind::Data { file_offset }, length)
        };
        Ok(Extent { offset, length: length.min(limit), kind, depth: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::all_zero;

    #[test]
    fn a_hole_reads_as_zeroes_and_says_so() {
        let source = PatternSource::new(8192).with_hole(1024..4096);
        let mut bytes = vec![1; 8192];
        source.read(&mut bytes, 0).unwrap();
        assert!(all_zero(&bytes[1024..4096]));
        assert!(!all_zero(&bytes[4096..4608]));
        let run = |offset| {
            let extent = source.extent(offset, 8192 - offset).unwrap();
            (extent.length, extent.reads_zero())
        };
        assert_eq!([run(0), run(2048), run(4096)], [(1024, false), (2048, true), (4096, false)]);
        let mut part = [1; 1024];
        source.read(&mut part, 3584).unwrap();
        assert!(all_zero(&part[..512]) && !all_zero(&part[512..]));
    }
}
