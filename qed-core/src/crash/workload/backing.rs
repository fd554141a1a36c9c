//! A backing file of generated workloads: full of data that names itself.

use crate::crash::guest::{BACKING, pattern};
use crate::error::Result;
use crate::source::{Extent, ExtentKind, Source};

/// A disk whose every sector says that it is the backing file's, and which.
#[derive(Clone, Copy, Debug)]
pub struct PatternSource {
    size: u64,
}

impl PatternSource {
    /// So many bytes of it.
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self { size }
    }
}

impl Source for PatternSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        buffer.copy_from_slice(&pattern(BACKING, offset, buffer.len() as u64));
        Ok(())
    }

    fn extent(&self, offset: u64, length: u64) -> Result<Extent> {
        let kind = ExtentKind::Data { file_offset: Some(offset) };
        Ok(Extent { offset, length, kind, depth: 0 })
    }
}
