//! Where a copy's pieces come from: the runs of a disk, or a stream that is read as it comes.
//!
//! A feed numbers its pieces in ascending order of their place, so that who writes can keep to it.
//! The next piece is found under a lock; what can be read at any place is read without one.

use std::fmt;

use super::super::work::Job;
use super::pipe::PipeReader;
use crate::error::Result;
use crate::source::{Extent, ExtentKind, Source};
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
    keep: Option<Keep>,
    at: Mutex<At>,
}

/// What the target reads from its backing file, which is a layer of the source, is not copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    /// The backing file's depth in the source.
    pub(super) depth: u32,
    /// Bytes in the target's clusters: they are copied whole or not at all.
    pub(super) granule: u64,
}

impl Keep {
    /// Whether the backing file gives the target what `extent` gives the source. Behind its end
    /// both read zeroes, unless a layer above it has hidden it.
    fn has(self, extent: &Extent) -> bool {
        extent.depth >= self.depth
            || (extent.depth + 1 == self.depth && extent.kind == ExtentKind::Unallocated)
    }
}

/// What is to be done with a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Data,
    Zero,
    /// The target reads it from its backing file.
    Kept,
}

#[derive(Clone, Copy, Debug, Default)]
struct At {
    turn: u64,
    offset: u64,
    /// What is known of the run that holds `offset`: where it ends, and what it is.
    run_end: u64,
    kind: Kind,
}

impl<'a> DiskFeed<'a> {
    pub(super) fn new(source: &'a dyn Source, salvage: bool) -> Self {
        let at = Mutex::new(Rank::Work, At::default());
        Self { source, salvage, lost: AtomicU64::new(0), keep: None, at }
    }

    /// The same, but for what the target keeps in its backing file.
    pub(super) fn keeping(self, keep: Option<Keep>) -> Self {
        Self { keep, ..self }
    }

    /// Bytes that could not be read.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(SeqCst)
    }

    /// Finds the next piece, of at most `most` bytes that have to be read: up to a multiple of that
    /// in the disk, so that pieces are aligned as whole clusters are.
    fn next(&self, most: u64, job: &Job) -> Result<Option<Piece>> {
        let mut at = self.at.lock();
        let size = self.source.size();
        while at.offset < size && self.look(&mut at, size)? == Kind::Kept {
            job.check()?;
            job.advance(at.run_end - at.offset);
            at.offset = at.run_end;
        }
        let start = at.offset;
        if start >= size {
            return Ok(None);
        }
        let zero = at.kind == Kind::Zero;
        if zero {
            at.offset = at.run_end.min(start.saturating_add(LARGEST_HOLE));
        } else {
            let limit = size.min(start - start % most + most);
            while at.offset < limit && self.look(&mut at, size)? == Kind::Data {
                at.offset = at.run_end.min(limit);
            }
        }
        let turn = at.turn;
        at.turn += 1;
        Ok(Some(Piece { turn, offset: start, length: at.offset - start, zero }))
    }

    /// What is to be done with what begins here. Zeroes count where they are worth a piece.
    fn look(&self, at: &mut At, size: u64) -> Result<Kind> {
        if at.offset < at.run_end {
            return Ok(at.kind);
        }
        let (end, kind) = match self.run(at.offset, size) {
            // Reading tells what of it is lost.
            Err(_) if self.salvage => (at.offset + SALVAGED_AT_ONCE as u64, Kind::Data),
            run => run?,
        };
        at.run_end = end.min(size);
        let short = at.run_end - at.offset < LEAST_HOLE && at.run_end < size;
        at.kind = if kind == Kind::Zero && short { Kind::Data } else { kind };
        Ok(at.kind)
    }

    /// Where the run ends that begins at `offset`, and what it is.
    fn run(&self, offset: u64, size: u64) -> Result<(u64, Kind)> {
        let extent = self.source.extent(offset, size - offset)?;
        if let Some(keep) = self.keep.filter(|keep| keep.has(&extent)) {
            return self.kept(keep, &extent, size);
        }
        let kind = if extent.reads_zero() { Kind::Zero } else { Kind::Data };
        Ok((offset.saturating_add(extent.length), kind))
    }

    /// Where the run ends whose first part `extent` is: whole clusters that the target keeps in its
    /// backing file, or else what of one cluster has to be copied with its other parts.
    fn kept(&self, keep: Keep, extent: &Extent, size: u64) -> Result<(u64, Kind)> {
        let start = extent.offset;
        let mut end = start + extent.length;
        let cluster_end = (start - start % keep.granule).saturating_add(keep.granule).min(size);
        if !start.is_multiple_of(keep.granule) {
            return Ok((cluster_end.min(end), Kind::Data));
        }
        while end < cluster_end {
            let next = self.source.extent(end, cluster_end - end)?;
            if !keep.has(&next) {
                return Ok((end, Kind::Data));
            }
            end += next.length;
        }
        Ok((if end < size { end - end % keep.granule } else { size }, Kind::Kept))
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
    fn fetch(&self, buffer: &mut [u8], job: &Job) -> Result<Option<Piece>> {
        let Some(piece) = self.next(buffer.len() as u64, job)? else { return Ok(None) };
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
