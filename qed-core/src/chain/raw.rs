//! A raw file as a backing layer: its bytes are the disk.

use std::io::IoSliceMut;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::source::{Source, SourceExtent};
use crate::storage::Storage;

/// A raw disk, as long as its file was when it was opened; the length may be any number of bytes.
#[derive(Debug)]
pub(crate) struct RawSource {
    storage: Arc<dyn Storage>,
    size: u64,
    path: Option<PathBuf>,
}

impl RawSource {
    /// The disk in `storage`, whose errors name `path`.
    ///
    /// # Errors
    /// The length cannot be told.
    pub(crate) fn new(storage: Arc<dyn Storage>, path: Option<&Path>) -> Result<Self> {
        let size = storage.len().map_err(|error| Error::io("asking the file's length", error))?;
        Ok(Self { storage, size, path: path.map(Path::to_path_buf) })
    }

    fn named(&self, error: Error) -> Error {
        match &self.path {
            Some(path) => error.in_file(path),
            None => error,
        }
    }
}

impl Source for RawSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.storage
            .read(&mut [IoSliceMut::new(buffer)], offset)
            .map_err(|error| self.named(Error::io("reading", error).at(offset)))
    }

    fn extent(&self, offset: u64, length: u64) -> Result<SourceExtent> {
        let extent = self
            .storage
            .stored_extent(offset, length)
            .map_err(|error| self.named(Error::io("asking where data lies", error).at(offset)))?;
        Ok(SourceExtent { length: extent.length, zero: extent.hole })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    #[test]
    fn holes_are_zeroes_and_the_length_may_be_odd() {
        let mut bytes = vec![0; 8192];
        bytes.extend([7; 301]);
        let storage = Arc::new(MemoryStorage::from_bytes(&bytes));
        let source = RawSource::new(storage, None).unwrap();
        assert_eq!(source.size(), 8493);
        assert_eq!(source.extent(0, 8493).unwrap(), SourceExtent { length: 8192, zero: true });
        assert_eq!(source.extent(8192, 301).unwrap(), SourceExtent { length: 301, zero: false });
        let mut tail = [0; 2];
        source.read(&mut tail, 8491).unwrap();
        assert_eq!(tail, [7, 7]);
    }
}
