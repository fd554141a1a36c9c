//! The files below the images of workloads: data that names itself, and perhaps a hole in it.

use crate::crash::guest::{BACKING, LOWER, pattern};
use crate::crash::random::to_usize;
use crate::crash::recording::Lower;
use crate::error::Result;
use crate::source::{Extent, ExtentKind, Source, read_below};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A disk whose every sector, but for a hole, says that it is a backing file's, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternSource {
    size: u64,
    hole: Range<u64>,
    writer: u64,
}

impl PatternSource {
    /// So many bytes of it.
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self { size, hole: 0..0, writer: BACKING }
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
}

impl Source for PatternSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let end = offset + buffer.len() as u64;
        buffer.copy_from_slice(&pattern(self.writer, offset, buffer.len() as u64));
        let (from, to) = (self.hole.start.clamp(offset, end), self.hole.end.clamp(offset, end));
        if from < to {
            buffer[to_usize(from - offset)..to_usize(to - offset)].fill(0);
        }
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

/// What stands below a workload's image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Under {
    /// The backing file.
    pub upper: PatternSource,
    /// Bytes of the file below that one, where there is one.
    pub lower: Option<u64>,
    /// Bytes of the image's clusters: the two files change turns with them and within them.
    pub cluster: u64,
}

impl Under {
    /// All of it.
    #[must_use]
    pub fn source(&self) -> Arc<dyn Source> {
        match self.lower {
            None => Arc::new(self.upper.clone()),
            Some(lower) => Arc::new(Layers { under: self.clone(), lower: pattern_of_lower(lower) }),
        }
    }

    /// The lower of two files, and what the image calls it.
    #[must_use]
    pub fn lower(&self) -> Option<Lower> {
        let source = |size| Arc::new(pattern_of_lower(size)) as Arc<dyn Source>;
        self.lower.map(|size| Lower { name: LOWER_NAME.to_vec(), source: source(size) })
    }
}

/// As the words of a workload's line.
impl fmt::Display for Under {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.upper.hole();
        write!(f, "backing={}", self.upper.bytes())?;
        if start < end {
            write!(f, " hole={start}:{end}")?;
        }
        self.lower.map_or(Ok(()), |lower| write!(f, " lower={lower}"))
    }
}

fn pattern_of_lower(size: u64) -> PatternSource {
    PatternSource { writer: LOWER, ..PatternSource::new(size) }
}

/// What an image that was streamed down to the lower file calls that.
pub(super) const LOWER_NAME: &[u8] = b"lower";

/// A layer that has data, zeroes and nothing of its own by turns, over another one.
#[derive(Clone, Debug)]
struct Layers {
    under: Under,
    lower: PatternSource,
}

/// What the upper layer has of one half of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Own {
    Data,
    Zero,
    Nothing,
}

/// The halves of clusters, over and over: whole clusters and mixed ones of every kind.
const HALVES: [Own; 12] = [
    Own::Nothing,
    Own::Nothing,
    Own::Zero,
    Own::Zero,
    Own::Data,
    Own::Data,
    Own::Zero,
    Own::Nothing,
    Own::Nothing,
    Own::Data,
    Own::Data,
    Own::Zero,
];

impl Layers {
    /// What the upper layer has at `offset`, and where that ends.
    fn own(&self, offset: u64) -> (Own, u64) {
        let half = self.under.cluster / 2;
        let index = offset / half;
        let own = HALVES[to_usize(index % HALVES.len() as u64)];
        (own, ((index + 1) * half).min(self.size()))
    }
}

impl Source for Layers {
    fn size(&self) -> u64 {
        self.under.upper.bytes()
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let (own, end) = self.own(at);
            let length = rest.len().min(to_usize(end - at));
            let (part, behind) = rest.split_at_mut(length);
            match own {
                Own::Data => self.under.upper.read(part, at)?,
                Own::Zero => part.fill(0),
                Own::Nothing => read_below(Some(&self.lower), part, at)?,
            }
            (at, rest) = (at + length as u64, behind);
        }
        Ok(())
    }

    fn extent(&self, offset: u64, length: u64) -> Result<Extent> {
        let (own, end) = self.own(offset);
        let length = length.min(end - offset);
        let below = self.lower.size.saturating_sub(offset).min(length);
        let (length, kind, depth) = match own {
            Own::Data => return self.under.upper.extent(offset, length),
            Own::Zero => (length, ExtentKind::Zero { file_offset: None }, 0),
            Own::Nothing if below > 0 => (below, ExtentKind::Data { file_offset: Some(offset) }, 1),
            Own::Nothing => (length, ExtentKind::Unallocated, 0),
        };
        Ok(Extent { offset, length, kind, depth })
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
