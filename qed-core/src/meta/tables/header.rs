//! The header's block in memory, and the only way to change it: as one atomic unit (C18).

use std::io::{IoSlice, IoSliceMut};

use crate::error::{Corruption, Error, Result};
use crate::format::{
    FEATURE_BACKING_FILE, FEATURE_RAW_BACKING, HEADER_BYTES, Header, MAX_BACKING_NAME,
};
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

    /// Fills `buffer` with what stands at `offset` of `storage`: from memory where it lies in the
    /// block.
    ///
    /// # Errors
    /// A failed read.
    pub(crate) fn read_at(
        &self,
        storage: &dyn Storage,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(buffer.len());
        if let Some(bytes) = self.block.lock().bytes.get(start..end) {
            buffer.copy_from_slice(bytes);
            return Ok(());
        }
        let read = storage.read(&mut [IoSliceMut::new(buffer)], offset);
        read.map_err(|error| Error::io("reading the header", error).at(offset))
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

    /// The longest backing name that stands in the header's own sector, in bytes.
    pub(crate) fn room_for_backing(&self) -> u64 {
        let block = self.block.lock();
        let end = (block.bytes.len() as u64).min(block.header.header_bytes());
        end.saturating_sub(NAME_OFFSET.into()).min(MAX_BACKING_NAME.into())
    }

    /// Names another backing file, and whether it is raw, or none: by one write of one atomic unit,
    /// not synced.
    ///
    /// # Errors
    /// The name has no room; the write failed, and the storage has latched.
    pub(crate) fn set_backing(
        &self,
        storage: &dyn Storage,
        backing: Option<(&[u8], bool)>,
    ) -> Result<()> {
        let room = self.room_for_backing();
        let mut block = self.block.lock();
        let mut header = block.header.clone();
        let mut bytes = block.bytes.clone();
        if let Some(old) = header.backing_name() {
            let start = usize::try_from(old.offset).unwrap_or(usize::MAX).min(bytes.len());
            let length = usize::try_from(old.size).unwrap_or(usize::MAX);
            let end = start.saturating_add(length).min(bytes.len());
            bytes[start..end].fill(0);
        }
        header.features &= !(FEATURE_BACKING_FILE | FEATURE_RAW_BACKING);
        header.backing_words = (0, 0);
        if let Some((name, raw)) = backing {
            let size = u32::try_from(name.len()).unwrap_or(u32::MAX);
            if u64::from(size) > room {
                let text = format!("a backing name of {size} bytes is too long: {room} have room");
                return Err(Error::invalid(text));
            }
            header.features |= FEATURE_BACKING_FILE | if raw { FEATURE_RAW_BACKING } else { 0 };
            header.backing_words = (NAME_OFFSET, size);
            bytes[HEADER_BYTES..HEADER_BYTES + name.len()].copy_from_slice(name);
        }
        header.validate()?;
        bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
        write_metadata(storage, &bytes, 0)?;
        (block.header, block.bytes) = (header, bytes);
        Ok(())
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

/// Where a name is put: right behind the header (F1.3).
const NAME_OFFSET: u32 = 64;

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
