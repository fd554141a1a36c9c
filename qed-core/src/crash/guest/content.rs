//! What guests write: bytes that name who wrote them and where, so that a byte from another
//! address, or from a call that is long overwritten, is told from the right one.

use crate::crash::medium::SECTOR;
use crate::crash::random::mix;
use std::sync::Arc;

/// The bytes of a guest write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Bytes that name the call and the place.
    Named,
    /// One byte, over and over.
    Fill(u8),
    /// These.
    Bytes(Arc<[u8]>),
}

impl Content {
    /// The shortest way to say `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        match bytes.first() {
            Some(first) if bytes.iter().all(|byte| byte == first) => Self::Fill(*first),
            _ => Self::Bytes(bytes.into()),
        }
    }
}

/// The writer of a backing file's sectors in generated workloads.
pub const BACKING: u64 = 0xbacc;
/// The writer of the file below that one, where there are two.
pub const LOWER: u64 = 0xba5e;
/// Who writes after a crash.
pub const AFTERWARDS: u64 = 0xaf7e;
const MAGIC: u64 = 0x5ec7_0000_0000_0000;
const SECTOR_BYTES: usize = 512;

/// What `writer` writes into `sector`: it names both in its first words.
#[must_use]
pub fn sector_of(writer: u64, sector: u64) -> [u8; SECTOR_BYTES] {
    let mut bytes = [0; SECTOR_BYTES];
    let seed = mix(writer ^ mix(sector));
    for (index, word) in bytes.chunks_exact_mut(8).enumerate() {
        let value = match index {
            0 => MAGIC | writer,
            1 => sector,
            _ => seed.wrapping_mul(index as u64 | 1),
        };
        word.copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

/// What `writer` writes at `offset`.
#[must_use]
pub fn pattern(writer: u64, offset: u64, length: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(super::to_usize(length));
    let (mut at, end) = (offset, offset.saturating_add(length));
    while at < end {
        let skip = at % SECTOR;
        let take = (SECTOR - skip).min(end - at);
        let sector = sector_of(writer, at / SECTOR);
        bytes.extend(&sector[super::to_usize(skip)..super::to_usize(skip + take)]);
        at += take;
    }
    bytes
}

/// Whose bytes a sector's are, in words.
#[must_use]
pub fn identify(bytes: &[u8]) -> String {
    if bytes.iter().all(|byte| *byte == 0) {
        return "zeroes".to_owned();
    }
    let word = |at: usize| {
        let mut word = [0; 8];
        let found = bytes.get(at..at + 8).unwrap_or_default();
        word[..found.len()].copy_from_slice(found);
        u64::from_le_bytes(word)
    };
    let (writer, sector) = (word(0) ^ MAGIC, word(8));
    match writer {
        _ if *bytes != sector_of(writer, sector) => {
            format!("bytes {:02x?}...", &bytes[..bytes.len().min(8)])
        }
        BACKING => format!("the backing file's sector {sector}"),
        LOWER => format!("the lower backing file's sector {sector}"),
        AFTERWARDS => format!("sector {sector} as written after the crash"),
        _ => format!("call {writer}'s sector {sector}"),
    }
}
