//! An [`ImageFile`] as imago wants to see a file. Nothing is decided here.
//!
//! The trait's methods are declared unsafe because they skip imago's own checks of alignment and
//! overlap; this file demands no alignment, and no memory safety hangs on either.

use std::fmt;
use std::io;
use std::sync::Arc;

use imago::Storage;
use imago::io_buffers::{IoVector, IoVectorMut};
use imago::storage::drivers::CommonStorageHelper;

use super::file::ImageFile;

#[derive(Debug)]
pub(super) struct Adapter {
    file: Arc<ImageFile>,
    helper: CommonStorageHelper,
}

impl Adapter {
    pub(super) fn new(file: Arc<ImageFile>) -> Self {
        Self { file, helper: CommonStorageHelper::default() }
    }
}

impl Storage for Adapter {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.length())
    }

    unsafe fn pure_readv(&self, buffers: IoVectorMut<'_>, offset: u64) -> io::Result<()> {
        self.file.read_table(&mut buffers.into_inner(), offset)
    }

    unsafe fn pure_writev(&self, buffers: IoVector<'_>, offset: u64) -> io::Result<()> {
        self.file.write_table(&buffers.into_inner(), offset)
    }

    /// Nothing is held back here.
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    unsafe fn invalidate_cache(&self) -> io::Result<()> {
        Ok(())
    }

    fn get_storage_helper(&self) -> &CommonStorageHelper {
        &self.helper
    }
}

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("qcow2 file")
    }
}
