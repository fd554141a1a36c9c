//! A state as a file: sparse, so that only what holds anything takes space.

use super::medium::Medium;
use crate::error::{Error, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

impl Medium {
    /// Writes the content into a new sparse file; one that is there is replaced.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn save(&self, path: &Path) -> Result<()> {
        let write = || {
            let file = File::create(path)?;
            file.set_len(self.length())?;
            for (offset, bytes) in self.data() {
                file.write_all_at(bytes, offset)?;
            }
            Ok(())
        };
        write().map_err(|error| Error::io("writing a crash state", error).in_file(path))
    }

    /// The content of a file, its holes left out.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn load(path: &Path) -> Result<Self> {
        let read = || {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            let mut medium = Self::default();
            medium.set_length(length);
            let (mut buffer, mut offset) = (vec![0; 1 << 16], 0);
            while offset < length {
                let got = file.read_at(&mut buffer, offset)?;
                if got == 0 {
                    break;
                }
                // Both are multiples of a page but at the end.
                for (index, page) in buffer[..got].chunks(4096).enumerate() {
                    if page.iter().any(|byte| *byte != 0) {
                        medium.write(offset + index as u64 * 4096, page);
                    }
                }
                offset += got as u64;
            }
            Ok(medium)
        };
        read().map_err(|error| Error::io("reading a base image", error).in_file(path))
    }
}
