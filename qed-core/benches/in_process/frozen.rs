//! A file in memory that nobody writes: reads share nothing but its bytes, so that what threads
//! share is the engine's.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};

use qed_core::storage::{Limits, Storage, StoredExtent, WriteFlags};

#[derive(Debug)]
pub(crate) struct Frozen {
    limits: Limits,
    bytes: Vec<u8>,
}

impl Frozen {
    pub(crate) fn copy(from: &dyn Storage) -> io::Result<Self> {
        let length = usize::try_from(from.len()?).map_err(|_| ErrorKind::FileTooLarge)?;
        let mut bytes = vec![0; length];
        from.read(&mut [IoSliceMut::new(&mut bytes)], 0)?;
        Ok(Self { limits: from.limits(), bytes })
    }
}

impl Storage for Frozen {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn read(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        let mut at = usize::try_from(offset).map_err(|_| ErrorKind::InvalidInput)?;
        for buffer in buffers {
            let there = self.bytes.get(at..).unwrap_or(&[]);
            let length = there.len().min(buffer.len());
            let (data, past) = buffer.split_at_mut(length);
            data.copy_from_slice(&there[..length]);
            past.fill(0);
            at += length;
        }
        Ok(())
    }

    fn write(&self, _: &[IoSlice<'_>], _: u64, _: WriteFlags) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn zero_range(&self, _: u64, _: u64) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn punch(&self, _: u64, _: u64) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn stored_extent(&self, _: u64, length: u64) -> io::Result<StoredExtent> {
        Ok(StoredExtent { length, hole: false })
    }

    fn disk_usage(&self) -> io::Result<u64> {
        self.len()
    }
}
