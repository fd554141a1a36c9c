//! Zeroes written as data, where nothing cheaper does it.

use super::span::to_usize;
use super::{Storage, WriteFlags};
use std::io::{self, IoSlice};

/// Writes `length` zeroes at `offset`, in pieces.
///
/// # Errors
/// What the storage reports; any part may then have been written.
pub(crate) fn write_zeroes(
    storage: &dyn Storage,
    offset: u64,
    length: u64,
    flags: WriteFlags,
) -> io::Result<()> {
    let zeroes = vec![0; to_usize(length.min(PIECE))];
    let mut done = 0;
    while done < length {
        let piece = (length - done).min(PIECE);
        storage.write(&[IoSlice::new(&zeroes[..to_usize(piece)])], offset + done, flags)?;
        done += piece;
    }
    Ok(())
}

/// Bytes written at once.
const PIECE: u64 = 1 << 20;
