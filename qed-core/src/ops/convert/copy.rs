//! Moving pieces from a feed to a target: zeroes are found and left out, order is kept if asked.

use super::super::work::{Job, MAX_WORKERS, TICK};
use super::feed::{Feed, Piece};
use super::zeroes::{Run, runs};
use crate::error::Result;
use crate::source::Target;
use crate::storage::AlignedBuffer;
use crate::sync::{Condvar, Mutex, Rank};

/// How a target is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    /// Pieces are written one after the other, in ascending order.
    pub(super) in_order: bool,
    /// What is not written reads as zeroes.
    pub(super) reads_zero: bool,
    /// Runs of so many zeroes are looked for and not written as data; 0: everything is written.
    pub(super) sparse_size: u64,
}

/// What the workers of one copy share.
#[derive(Debug)]
pub(super) struct Copy<'a> {
    feed: &'a dyn Feed,
    target: &'a dyn Target,
    manner: Manner,
    turn: Mutex<u64>,
    /// Who waits for turn n waits at place n modulo their number; no more turns are ever out.
    turned: [Condvar; MAX_WORKERS],
}

impl<'a> Copy<'a> {
    pub(super) fn new(feed: &'a dyn Feed, target: &'a dyn Target, manner: Manner) -> Self {
        let turn = Mutex::new(Rank::Work, 0);
        Self { feed, target, manner, turn, turned: std::array::from_fn(|_| Condvar::new()) }
    }

    /// What one worker does: pieces, until there are no more.
    ///
    /// # Errors
    /// What reading or writing reports.
    pub(super) fn work(&self, job: &Job) -> Result<()> {
        let mut buffer = AlignedBuffer::new(PIECE);
        while let Some(piece) = self.feed.fetch(&mut buffer, job)? {
            job.check()?;
            let bytes = self.settle(piece, &mut buffer);
            if self.manner.in_order {
                self.wait_for(piece.turn, job)?;
            }
            self.write(piece, bytes, job)?;
            if self.manner.in_order {
                self.end(piece.turn);
            }
        }
        Ok(())
    }

    /// The bytes to be written for `piece`; none where it is zeroes that are not written as data.
    fn settle<'b>(&self, piece: Piece, buffer: &'b mut [u8]) -> &'b [u8] {
        if !piece.zero {
            return super::part(buffer, piece).unwrap_or_default();
        }
        if self.manner.sparse_size == 0 {
            let length = usize::try_from(piece.length).unwrap_or(usize::MAX).min(buffer.len());
            buffer[..length].fill(0);
            return &buffer[..length];
        }
        &[]
    }

    fn write(&self, piece: Piece, bytes: &[u8], job: &Job) -> Result<()> {
        let sparse_size = self.manner.sparse_size;
        if piece.zero && sparse_size > 0 {
            self.skip_or_zero(piece.offset, piece.length)?;
            job.advance(piece.length);
        } else if piece.zero {
            self.write_long(piece, bytes, job)?;
        } else if sparse_size == 0 {
            self.target.write(bytes, piece.offset)?;
            job.advance(piece.length);
        } else {
            for run in runs(bytes, piece.offset, self.cut()) {
                match run {
                    Run::Data { offset, bytes } => self.target.write(bytes, offset)?,
                    Run::Zero { offset, length } => self.skip_or_zero(offset, length)?,
                }
            }
            job.advance(piece.length);
        }
        Ok(())
    }

    /// Writes the zeroes of `bytes` as often as the piece is long.
    fn write_long(&self, piece: Piece, bytes: &[u8], job: &Job) -> Result<()> {
        let mut done = 0;
        while done < piece.length {
            job.check()?;
            let left = usize::try_from(piece.length - done).unwrap_or(usize::MAX);
            let part = &bytes[..left.min(bytes.len())];
            self.target.write(part, piece.offset + done)?;
            done += part.len() as u64;
            job.advance(part.len() as u64);
        }
        Ok(())
    }

    fn skip_or_zero(&self, offset: u64, length: u64) -> Result<()> {
        if self.manner.reads_zero { Ok(()) } else { self.target.write_zeroes(offset, length) }
    }

    /// The unit in which zeroes are looked for. What has to be zeroed is better zeroed in whole
    /// units of the target; what reads as zeroes already need not be written in part of one.
    fn cut(&self) -> usize {
        let least = self.manner.sparse_size.max(LEAST_CUT);
        let unit = if self.manner.reads_zero { least } else { least.max(self.target.granule()) };
        let unit = usize::try_from(unit).unwrap_or(PIECE).min(PIECE);
        unit.checked_next_power_of_two().unwrap_or(PIECE).min(PIECE)
    }

    fn wait_for(&self, turn: u64, job: &Job) -> Result<()> {
        let mut now = self.turn.lock();
        while *now != turn {
            job.check()?;
            self.turned[place(turn)].wait_for(&mut now, TICK);
        }
        Ok(())
    }

    fn end(&self, turn: u64) {
        *self.turn.lock() = turn + 1;
        self.turned[place(turn + 1)].notify_all();
    }
}

fn place(turn: u64) -> usize {
    usize::try_from(turn % MAX_WORKERS as u64).unwrap_or(0)
}

/// Bytes moved at once: one piece of memory for the disk, where the system has huge pages.
pub(super) const PIECE: usize = AlignedBuffer::HUGE;
/// No file system gives less space back.
const LEAST_CUT: u64 = 4096;
