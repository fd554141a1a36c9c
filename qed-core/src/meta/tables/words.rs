//! Whole tables that nobody uses yet, written from words.

use std::io::IoSlice;

use crate::error::{Error, Result};
use crate::storage::{Storage, WriteFlags};

/// Writes `count` words of a table from `offset` on, padded with zeroes to a whole block.
///
/// # Errors
/// What the storage reports.
pub(crate) fn write_words(
    storage: &dyn Storage,
    offset: u64,
    count: u64,
    word: impl Fn(u64) -> u64,
) -> Result<()> {
    let flags = WriteFlags { metadata: true, fua: false };
    let mut first = 0;
    while first < count {
        let next = count.min(first + WORDS_AT_ONCE);
        let mut bytes: Vec<u8> =
            (first..next).flat_map(|index| word(index).to_le_bytes()).collect();
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        let at = offset + 8 * first;
        let written = storage.write(&[IoSlice::new(&bytes)], at, flags);
        written.map_err(|error| Error::io("writing a table", error).at(at))?;
        first = next;
    }
    Ok(())
}

/// 1 MiB of a table.
const WORDS_AT_ONCE: u64 = 1 << 17;
/// No table is smaller, and none cut differently.
const BLOCK: usize = 4096;
