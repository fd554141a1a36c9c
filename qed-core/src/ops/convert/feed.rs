//! Where a copy's pieces come from: the runs of a disk, or a stream that is read as it comes.
//!
//! A feed numbers its pieces in ascending order of their place, so that who writes can keep to it.
//! The next piece is found under a lock; what can be read at any place is read without one.

use std::fmt;

use super::super::work::Job;
use super::pipe::PipeReader;
use crate::error::Result;
use crate::source::Source;
use crate::sync::atomic::{AtomicU64, Ordering::SeqCst};
use crate::sync::{Mutex, Rank};

/// A run that is to be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Its number: 0, 1, 2, ...
    pub(super) turn: u64,
    /// Where it goes.
    pub(super) offset: u64,
    /// Bytes; at most as many as the buffer holds unless it is zero.
    pub(super) length: u64,
    /// It is known to be zeroes, and the buffer was not touched.
    pub(super) zero: bool,
}

/// Gives pieces until there are none.
pub(super) trait Feed: Sync + fmt::Debug {
    /// The next piece, its bytes in `buffer`.
    ///
    /// # Errors
    /// What reading reports.
    fn fetch(&self, buffer: &mut [u8], job: &Job) -> Result<Option<Piece>>;
}

/// All of a disk; what its extents call zero is not read.
#[derive(Debug)]
pub(super) struct DiskFeed<'a> {
    source: &'a dyn Source,
    /// What cannot be read becomes zeroes, and is counted.
    salvage: bool,
    lost: AtomicU64,
    at: Mutex<At>,
}

#[derive(Clone, Copy, Debug, Default)]
struct At {
    turn: u64,
    offset: u64,
    /// What is known of the run that holds `offset`: where it ends, and whether it is zero.
    run_end: u64,
    zero: bool,
}

impl<'a> DiskFeed<'a> {
    pub(super) fn new(source: &'a dyn Source, salvage: bool) -> Self {
        let at = Mutex::new(Rank::Work, At::default());
        Self { source, salvage, lost: AtomicU64::new(0), at }
    }

    /// Bytes that could not be read.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(SeqCst)
    }

    /// Finds the next piece, of at most `most` bytes that have to be read: up to a multiple of that
    /// in the disk, so that pieces are aligned as whole clusters are.
    fn next(&self, most: u64) -> Result<Option<Piece>> {
        let mut at = self.at.lock();
        let size = self.source.size();
        let start = at.offset;
        if start >= size {
            return Ok(None);
        }
        let zero = self.is_hole(&mut at, size)?;
        if zero {
            at.offset = at.run_end.min(start.saturating_add(LARGEST_HOLE));
        } else {
            let limit = size.min(start - start % most + most);
            while at.offset < limit && !self.is_hole(&mut at, size)? {
                at.offset = at.run_end.min(limit);
            }
        }
        let turn = at.turn;
        at.turn += 1;
        Ok(Some(Piece { turn, offset: start, length: at.offset - start, zero }))
    }

    /// Whether zeroes begin here that are worth a piece of their own.
    fn is_hole(&self, at: &mut At, size: u64) -> Result<bool> {
        if at.offset >= at.run_end {
            let extent = match self.source.extent(at.offset, size - at.offset) {
                Ok(extent) => (extent.length, extent.reads_zero()),
                // Reading tells what of it is lost.
                Err(_) if self.salvage => ((SALVAGED_AT_ONCE as u64).min(size - at.offset), false),
                Err(error) => return Err(error),
            };
            at.run_end = at.offset.saturating_add(extent.0).min(size);
            at.zero = extent.1;
        }
        Ok(at.zero && (at.run_end - at.offset >= LEAST_HOLE || at.run_end == size))
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        match self.source.read(buffer, offset) {
            Err(_) if self.salvage => {}
            read => return read,
        }
        let mut at = offset;
        for part in buffer.chunks_mut(SALVAGED_AT_ONCE) {
            if self.source.read(part, at).is_err() {
                part.fill(0);
                self.lost.fetch_add(part.len() as u64, SeqCst);
            }
            at += part.len() as u64;
        }
        Ok(())
    }
}

impl Feed for DiskFeed<'_> {
    fn fetch(&self, buffer: &mut [u8], _job: &Job) -> Result<Option<Piece>> {
        let Some(piece) = self.next(buffer.len() as u64)? else { return Ok(None) };
        if let Some(part) = super::part(buffer, piece).filter(|_| !piece.zero) {
            self.read(part, piece.offset)?;
        }
        Ok(Some(piece))
    }
}

/// A stream: its bytes are the disk's, from the first on.
#[derive(Debug)]
pub(super) struct StreamFeed<'a> {
    pipe: &'a PipeReader,
    /// Bytes that the stream has to have, where that is known.
    size: Option<u64>,
    /// The next piece's number and place.
    at: Mutex<(u64, u64)>,
}

impl<'a> StreamFeed<'a> {
    pub(super) fn new(pipe: &'a PipeReader, size: Option<u64>) -> Self {
        Self { pipe, size, at: Mutex::new(Rank::Work, (0, 0)) }
    }

    /// Bytes that have come.
    pub(super) fn received(&self) -> u64 {
        self.at.lock().1
    }
}

impl Feed for StreamFeed<'_> {
    fn fetch(&self, buffer: &mut [u8], job: &Job) -> Result<Option<Piece>> {
        let mut at = self.at.lock();
        let (turn, offset) = *at;
        let left = self.size.map_or(u64::MAX, |size| size - offset);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.pipe.fill(&mut buffer[..wanted], job)? as u64;
        if length < wanted as u64 && self.size.is_some() {
            return Err(self.pipe.too_short(offset + length, self.size.unwrap_or(0)));
        }
        if length == 0 {
            return Ok(None);
        }
        *at = (turn + 1, offset + length);
        Ok(Some(Piece { turn, offset, length, zero: false }))
    }
}

/// Zeroes shorter than this are read with what surrounds them.
const LEAST_HOLE: u64 = 64 << 10;
/// Zeroes taken at once, so that a job can be stopped between two pieces.
const LARGEST_HOLE: u64 = 1 << 30;
/// The unit in which unreadable places are told from readable ones.
const SALVAGED_AT_ONCE: usize = 4096;
