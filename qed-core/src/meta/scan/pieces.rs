//! Reads tables in large pieces and skips their holes.
//!
//! A table has up to 1 GiB, most of it often a hole, and its size comes from an untrusted header:
//! one buffer of at most 1 MiB is all that is ever held. What is not handed out reads as zeroes.

use crate::addr::FileOffset;
use crate::error::{Error, Result};
use crate::storage::Storage;
use std::io::IoSliceMut;

const PIECE: u64 = 1 << 20;
/// Tables are aligned to clusters, of which this is the smallest: pieces keep to it as well, so
/// that no word is cut and no read is misaligned, whatever the holes look like.
const GRAIN: u64 = 4096;

/// Reads one table after the other into the same buffer.
#[derive(Debug)]
pub(crate) struct Pieces<'a> {
    storage: &'a dyn Storage,
    buffer: Vec<u8>,
    table: u64,
    /// The next byte to look at, in the file.
    at: u64,
    /// Up to here the file is known to be data.
    data_end: u64,
    end: u64,
}

/// A part of a table that is not a hole.
#[derive(Debug)]
pub(crate) struct Piece<'a> {
    /// The index in the table of the first word.
    pub first: u64,
    /// The entries, little-endian.
    pub words: &'a [[u8; 8]],
}

impl<'a> Pieces<'a> {
    pub(crate) fn new(storage: &'a dyn Storage) -> Self {
        Self { storage, buffer: Vec::new(), table: 0, at: 0, data_end: 0, end: 0 }
    }

    /// Turns to the table of `length` bytes at `table`: both multiples of 4096, inside the file.
    pub(crate) fn start(&mut self, table: FileOffset, length: u64) {
        debug_assert!(table.get().is_multiple_of(GRAIN) && length.is_multiple_of(GRAIN));
        self.table = table.get();
        self.at = self.table;
        self.data_end = self.table;
        self.end = self.table + length;
    }

    /// The next piece with anything in it; `None` at the end of the table.
    ///
    /// An error stands for the piece that could not be read: the walk goes on behind it.
    pub(crate) fn next(&mut self) -> Option<Result<Piece<'_>>> {
        while self.at < self.end {
            if self.at < self.data_end {
                return Some(self.read());
            }
            self.skip_hole();
        }
        None
    }

    /// Moves over a hole, or notes how far the data reaches.
    fn skip_hole(&mut self) {
        let rest = self.end - self.at;
        // Where the file system cannot tell, reading will: a hole reads as zeroes.
        let (length, hole) = match self.storage.stored_extent(self.at, rest) {
            Ok(extent) => (extent.length.clamp(1, rest), extent.hole),
            Err(_) => (rest, false),
        };
        let whole = length - length % GRAIN;
        if hole && whole != 0 {
            self.at += whole;
        } else {
            self.data_end = self.at + length.next_multiple_of(GRAIN).min(rest);
        }
    }

    fn read(&mut self) -> Result<Piece<'_>> {
        let (offset, length) = (self.at, (self.data_end - self.at).min(PIECE));
        self.at += length;
        let length = usize::try_from(length).unwrap_or(0);
        if self.buffer.len() < length {
            self.buffer.resize(length, 0);
        }
        let bytes = &mut self.buffer[..length];
        self.storage
            .read(&mut [IoSliceMut::new(bytes)], offset)
            .map_err(|cause| Error::io("reading a table", cause).at(offset))?;
        Ok(Piece { first: (offset - self.table) / 8, words: bytes.as_chunks().0 })
    }
}
