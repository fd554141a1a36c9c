//! dm-log-writes, version 1: bytes in, values out, and back. No I/O, no meaning.
//!
//! Little-endian. A superblock at 0 and then entries, each padded to the sector size, which the
//! superblock names; an entry of a write is followed by its sectors, a mark's text stands in the
//! entry's own sector.

use crate::error::{Error, Result};

/// How a log file begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// Entries in the file.
    pub entries: u64,
    /// Bytes of a sector.
    pub sector_size: u32,
}

/// The head of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The first sector.
    pub sector: u64,
    /// Sectors.
    pub sectors: u64,
    /// See [`flags`].
    pub flags: u64,
    /// Bytes of a mark's text.
    pub data_length: u64,
}

/// The bits of [`Head::flags`].
pub mod flags {
    /// What completed before is flushed before this is written.
    pub const FLUSH: u64 = 1;
    /// The write is stable when it completes.
    pub const FUA: u64 = 2;
    /// The sectors are given back; no payload.
    pub const DISCARD: u64 = 4;
    /// A remark; no sectors.
    pub const MARK: u64 = 8;
    /// The write is of metadata.
    pub const METADATA: u64 = 16;
}

const MAGIC: u64 = 0x006a_7366_7773_6872;
/// Bytes of the superblock's fields.
pub(super) const SUPERBLOCK_BYTES: usize = 28;
/// Bytes of an entry's fields.
pub(super) const HEAD_BYTES: usize = 32;
const KNOWN_FLAGS: u64 = 31;

impl Superblock {
    /// Reads the first bytes of a log; none where they are all zeroes.
    ///
    /// # Errors
    /// Another magic or version, or a sector size that is none.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(fields) = bytes.get(..SUPERBLOCK_BYTES) else {
            return Err(Error::invalid(format!("a write log of {} bytes", bytes.len())));
        };
        if fields.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let (magic, version) = (word(fields, 0), word(fields, 8));
        if magic != MAGIC {
            return Err(Error::invalid(format!("no write log: its magic is {magic:#x}")).at(0));
        }
        if version != 1 {
            return Err(Error::invalid(format!("write log of version {version}, not 1")).at(8));
        }
        let sector_size = u32::try_from(word(fields, 24) & 0xffff_ffff).unwrap_or(0);
        check_sector_size(sector_size)?;
        Ok(Some(Self { entries: word(fields, 16), sector_size }))
    }

    /// The superblock's sector.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for field in [MAGIC, 1, self.entries] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(self.sector_size.to_le_bytes());
        bytes.resize(usize::try_from(self.sector_size).unwrap_or(512), 0);
        bytes
    }
}

impl Head {
    /// Reads an entry's fields.
    ///
    /// # Errors
    /// Too few bytes, or a flag that is not known.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        if bytes.len() < HEAD_BYTES {
            return Err(Error::invalid(format!("an entry of {} bytes", bytes.len())));
        }
        let head = Self {
            sector: word(bytes, 0),
            sectors: word(bytes, 8),
            flags: word(bytes, 16),
            data_length: word(bytes, 24),
        };
        if head.flags & !KNOWN_FLAGS != 0 {
            return Err(Error::invalid(format!("an entry with flags {:#x}", head.flags)));
        }
        Ok(head)
    }

    /// The fields, not padded.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let fields = [self.sector, self.sectors, self.flags, self.data_length];
        fields.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    /// Whether all of a flag is set.
    #[must_use]
    pub fn has(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }

    /// Sectors that follow the entry's own.
    #[must_use]
    pub fn payload_sectors(&self) -> u64 {
        if self.has(flags::DISCARD) || self.has(flags::MARK) { 0 } else { self.sectors }
    }
}

/// # Errors
/// Neither 512 nor 4096, nor anything between.
pub(super) fn check_sector_size(size: u32) -> Result<()> {
    if size.is_power_of_two() && (512..=4096).contains(&size) {
        return Ok(());
    }
    Err(Error::invalid(format!("write log with sectors of {size} bytes")))
}

/// The word at `at`; what is missing of it is zeroes.
fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    let found = bytes.get(at..bytes.len().min(at + 8)).unwrap_or_default();
    word[..found.len()].copy_from_slice(found);
    u64::from_le_bytes(word)
}
