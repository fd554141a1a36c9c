//! The header's block in memory, and the only way to change it: as one atomic unit (C18).

use std::io::{IoSlice, IoSliceMut};

use crate::error::{Corruption, Error, Result};
use crate::format::{HEADER_BYTES, Header};
use crate::storage::{Storage, WriteFlags};
use crate::sync::{Mutex, Rank};

#[derive(Debug)]
pub(crate) struct HeaderBlock {
    block: Mutex<Block>,
}

#[derive(Debug)]
struct Block {
    header: Header,
    /// The first atomic unit of the file: the header and what stands behind it (F1.2).
    bytes: Vec<u8>,
}

impl HeaderBlock {
    /// Reads and validates the header of `storage` (F1, F2), the L1 table's place in the file
    /// included.
    ///
    /// # Errors
    /// A failed read, or the clause that is broken.
    pub(crate) fn read(storage: &dyn Storage) -> Result<Self> {
        let length = storage.len().map_err(|error| Error::io("asking the file's length", error))?;
        let unit = usize::try_from(storage.limits().atomic_unit).unwrap_or(HEADER_BYTES);
        let mut bytes = vec![0; unit];
        storage
            .read(&mut [IoSliceMut::new(&mut bytes)], 0)
            .map_err(|error| Error::io("reading the header", error).at(0))?;
        let present = usize::try_from(length).unwrap_or(unit).min(unit);
        let header = Header::decode(&bytes[..present])?;
        let l1 = header.l1_table_offset.get();
        if l1 + header.geometry.table_bytes() > header.geometry.usable_length(length) {
            return Err(Corruption::L1Offset { found: l1 }.into());
        }
        Ok(Self { block: Mutex::new(Rank::Header, Block { header, bytes }) })
    }

    /// The header as it is now.
    pub(crate) fn get(&self) -> Header {
        self.block.lock().header.clone()
    }

    /// Changes the header by one write of one atomic unit, not synced. Nothing is written where
    /// nothing changes.
    ///
    /// # Errors
    /// The write failed; the storage has latched.
    pub(crate) fn update(
        &self,
        storage: &dyn Storage,
        change: impl FnOnce(&mut Header),
    ) -> Result<()> {
        let mut block = self.block.lock();
        let mut header = block.header.clone();
        change(&mut header);
        if header == block.header {
            return Ok(());
        }
        header.validate()?;
        block.bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
        write_metadata(storage, &block.bytes, 0)?;
        block.header = header;
        Ok(())
    }

    /// Changes the header and writes `name` right behind it, by the same write of one atomic unit,
    /// where both fit into it; whether they do.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub(crate) fn update_with_name(
        &self,
        storage: &dyn Storage,
        name: &[u8],
        change: impl FnOnce(&mut Header),
    ) -> Result<bool> {
        let mut block = self.block.lock();
        let end = HEADER_BYTES + name.len();
        if end > block.bytes.len() {
            return Ok(false);
        }
        let mut header = block.header.clone();
        change(&mut header);
        header.validate()?;
        block.bytes[HEADER_BYTES..end].copy_from_slice(name);
        block.bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
        write_metadata(storage, &block.bytes, 0)?;
        block.header = header;
        Ok(true)
    }

    /// Writes `area` behind the header; what of it lies in the header's own block stays in step.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub(crate) fn write_area(&self, storage: &dyn Storage, area: &[u8], offset: u64) -> Result<()> {
        let mut block = self.block.lock();
        let unit = block.bytes.len();
        let start = usize::try_from(offset).unwrap_or(unit).min(unit);
        let shared = area.len().min(unit - start);
        block.bytes[start..start + shared].copy_from_slice(&area[..shared]);
        if shared > 0 {
            write_metadata(storage, &block.bytes, 0)?;
        }
        write_metadata(storage, &area[shared..], offset + shared as u64)
    }
}

/// Writes `bytes` as metadata: a failure latches the storage.
///
/// # Errors
/// The write failed.
pub(crate) fn write_metadata(storage: &dyn Storage, bytes: &[u8], offset: u64) -> Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let flags = WriteFlags { metadata: true, fua: false };
    storage
        .write(&[IoSlice::new(bytes)], offset, flags)
        .map_err(|error| Error::io("writing metadata", error).at(offset))
}
