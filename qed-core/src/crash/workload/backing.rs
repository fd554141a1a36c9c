//! The files below the images of workloads: full of data that names itself.

use crate::crash::guest::{BACKING, LOWER, pattern};
use crate::crash::random::to_usize;
use crate::crash::recording::Lower;
use crate::error::Result;
use crate::source::{Extent, ExtentKind, Source, read_below};
use std::sync::Arc;

/// A disk whose every sector says that it is a backing file's, and which.
#[derive(Clone, Copy, Debug)]
pub struct PatternSource {
    size: u64,
    writer: u64,
}

impl PatternSource {
    /// So many bytes of it.
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self { size, writer: BACKING }
    }
}

impl Source for PatternSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        buffer.copy_from_slice(&pattern(self.writer, offset, buffer.len() as u64));
        Ok(())
    }

    fn extent(&self, offset: u64, length: u64) -> Result<Extent> {
        let kind = ExtentKind::Data { file_offset: Some(offset) };
        Ok(Extent { offset, length, kind, depth: 0 })
    }
}

/// What stands below a workload's image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Under {
    /// Bytes of the backing file.
    pub size: u64,
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
            None => Arc::new(PatternSource::new(self.size)),
            Some(lower) => Arc::new(Layers { upper: *self, lower: pattern_of_lower(lower) }),
        }
    }

    /// The lower of two files, and what the image calls it.
    #[must_use]
    pub fn lower(&self) -> Option<Lower> {
        let source = |size| Arc::new(pattern_of_lower(size)) as Arc<dyn Source>;
        self.lower.map(|size| Lower { name: LOWER_NAME.to_vec(), source: source(size) })
    }
}

fn pattern_of_lower(size: u64) -> PatternSource {
    PatternSource { size, writer: LOWER }
}

/// What an image that was streamed down to the lower file calls that.
pub(super) const LOWER_NAME: &[u8] = b"lower";

/// A layer that has data, zeroes and nothing of its own by turns, over another one.
#[derive(Clone, Copy, Debug)]
struct Layers {
    upper: Under,
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
        let half = self.upper.cluster / 2;
        let index = offset / half;
        let own = HALVES[to_usize(index % HALVES.len() as u64)];
        (own, ((index + 1) * half).min(self.upper.size))
    }
}

impl Source for Layers {
    fn size(&self) -> u64 {
        self.upper.size
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let (own, end) = self.own(at);
            let length = rest.len().min(to_usize(end - at));
            let (part, behind) = rest.split_at_mut(length);
            match own {
                Own::Data => part.copy_from_slice(&pattern(BACKING, at, length as u64)),
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
            Own::Data => (length, ExtentKind::Data { file_offset: Some(offset) }, 0),
            Own::Zero => (length, ExtentKind::Zero { file_offset: None }, 0),
            Own::Nothing if below > 0 => (below, ExtentKind::Data { file_offset: Some(offset) }, 1),
            Own::Nothing => (length, ExtentKind::Unallocated, 0),
        };
        Ok(Extent { offset, length, kind, depth })
    }
}
