//! A file in memory that shares nothing between its blocks: what threads that keep to blocks of
//! their own share is the engine's.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::sync::{Mutex, PoisonError};

use qed_core::storage::{Limits, Storage, StoredExtent, WriteFlags};

/// Each block stands behind a lock of its own, on cache lines of its own.
#[derive(Debug)]
pub(crate) struct Blocks(Box<[Mutex<Block>]>);

#[derive(Debug)]
#[repr(align(128))]
struct Block([u8; BLOCK]);

const BLOCK: usize = 4096;

impl Blocks {
    /// `length` bytes of zeroes, rounded down to whole blocks.
    pub(crate) fn new(length: u64) -> Self {
        let blocks = (0..length / BLOCK as u64).map(|_| Mutex::new(Block([0; BLOCK])));
        Self(blocks.collect())
    }

    fn each(&self, offset: u64, length: usize, mut with: impl FnMut(&mut [u8])) -> io::Result<()> {
        let mut at = usize::try_from(offset).map_err(|_| ErrorKind::FileTooLarge)?;
        let end = at + length;
        while at < end {
            let within = at % BLOCK;
            let stop = end.min(at - within + BLOCK);
            let block = self.0.get(at / BLOCK).ok_or(ErrorKind::UnexpectedEof)?;
            let mut block = block.lock().unwrap_or_else(PoisonError::into_inner);
            with(&mut block.0[within..within + stop - at]);
            at = stop;
        }
        Ok(())
    }
}

impl Storage for Blocks {
    fn limits(&self) -> Limits {
        Limits { atomic_unit: 512, zeroes_new_space: true, can_punch: false }
    }

    fn len(&self) -> io::Result<u64> {
        Ok((self.0.len() * BLOCK) as u64)
    }

    fn read(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        let mut at = offset;
        for buffer in buffers {
            let mut rest = &mut buffer[..];
            self.each(at, rest.len(), |block| {
                let (part, tail) = std::mem::take(&mut rest).split_at_mut(block.len());
                part.copy_from_slice(block);
                rest = tail;
            })?;
            at += buffer.len() as u64;
        }
        Ok(())
    }

    fn write(&self, buffers: &[IoSlice<'_>], offset: u64, _: WriteFlags) -> io::Result<()> {
        let mut at = offset;
        for buffer in buffers {
            let mut rest = &buffer[..];
            self.each(at, rest.len(), |block| {
                let (part, tail) = rest.split_at(block.len());
                block.copy_from_slice(part);
                rest = tail;
            })?;
            at += buffer.len() as u64;
        }
        Ok(())
    }

    fn zero_range(&self, _: u64, _: u64) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn punch(&self, _: u64, _: u64) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Ok(())
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
