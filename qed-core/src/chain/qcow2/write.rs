//! Changes: writes, zeroes, discards. Space is found, filled and only then shown to the guest.

use std::io::IoSlice;

use super::engine::{Engine, Run};
use super::{Qcow2Disk, failure};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::atomic::Ordering;

impl Qcow2Disk {
    /// Writes `buffer` at `offset`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] past the end of the disk, [`ErrorKind::ReadOnly`], broken
    /// tables; what the files report.
    pub fn write(&self, buffer: &[u8], offset: u64) -> Result<()> {
        let done = self.begin(offset, buffer.len() as u64);
        let done = done.and_then(|()| self.write_range(buffer, offset));
        done.map_err(|error| self.named_error(error))
    }

    /// Makes `length` bytes at `offset` read as zeroes. Allocated clusters stay allocated, unless
    /// `unmap` is set: then whole ones are freed.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_zeroes(&self, offset: u64, length: u64, unmap: bool) -> Result<()> {
        let done = self.begin(offset, length).and_then(|()| {
            let (start, end) = self.whole_clusters(offset, length);
            if start >= end {
                return self.zero_part(offset, offset + length);
            }
            self.zero_part(offset, start)?;
            self.zero_clusters(start, end, unmap)?;
            self.zero_part(end, offset + length)
        });
        done.map_err(|error| self.named_error(error))
    }

    /// Frees the whole clusters inside `length` bytes at `offset`; they read as zeroes. What lies
    /// in clusters covered in part stays.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn discard(&self, offset: u64, length: u64) -> Result<()> {
        let done = self.begin(offset, length).and_then(|()| {
            let (start, end) = self.whole_clusters(offset, length);
            self.zero_clusters(start, end, true)
        });
        done.map_err(|error| self.named_error(error))
    }

    /// The first change of a session is announced before it is made (Q3).
    fn begin(&self, offset: u64, length: u64) -> Result<()> {
        self.check_range(offset, length)?;
        if !self.writable {
            return Err(Error::new(ErrorKind::ReadOnly, "the image is open read-only"));
        }
        if self.marked.load(Ordering::Acquire) {
            return Ok(());
        }
        let _session = self.session.lock();
        if !self.marked.load(Ordering::Acquire) {
            self.file.mark(true).map_err(|error| failure("marking the image as written", error))?;
            self.marked.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn write_range(&self, buffer: &[u8], offset: u64) -> Result<()> {
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let (start, end) = self.cluster_of(at);
            let room = usize::try_from(end - at).unwrap_or(usize::MAX);
            let count = if at == start && rest.len() >= room {
                let whole = whole_length(rest.len(), room, self.info().cluster_size);
                self.write_whole(&rest[..whole], at)?
            } else {
                let part = &rest[..room.min(rest.len())];
                self.write_part(part, at)?;
                part.len()
            };
            rest = &rest[count..];
            at += count as u64;
        }
        Ok(())
    }

    /// Writes the start of `buffer`, which covers whole clusters; how many bytes.
    fn write_whole(&self, buffer: &[u8], offset: u64) -> Result<usize> {
        let failed = |error| failure("writing", error).at(offset);
        let engine = self.engine()?;
        let (run, length) = engine.lookup(offset, buffer.len() as u64).map_err(failed)?;
        let part = &buffer[..usize::try_from(length).unwrap_or(buffer.len())];
        match run {
            Run::Data { offset: at, own: true } => {
                self.file.write_data(&[IoSlice::new(part)], at, false).map_err(failed)?;
                return Ok(part.len());
            }
            Run::Data { own: false, .. } | Run::Compressed => {
                drop(engine);
                let (_, end) = self.cluster_of(offset);
                let one = usize::try_from(end - offset).unwrap_or(usize::MAX).min(part.len());
                self.replace(&part[..one], offset)?;
                return Ok(one);
            }
            Run::Zero | Run::Absent => {}
        }
        self.settle_freed(&engine)?;
        let prepared = engine.prepare(offset, length).map_err(failed)?;
        let count = usize::try_from(prepared.length()).unwrap_or(usize::MAX).min(part.len());
        let data = [IoSlice::new(&part[..count])];
        self.file.write_data(&data, prepared.offset(), prepared.is_new()).map_err(failed)?;
        engine.commit(prepared).map_err(failed)?;
        Ok(count)
    }

    /// Writes `part`, which covers a part of one cluster.
    fn write_part(&self, part: &[u8], offset: u64) -> Result<()> {
        let failed = |error| failure("writing", error).at(offset);
        let (start, end) = self.cluster_of(offset);
        let mut below: Option<Vec<u8>> = None;
        loop {
            let engine = self.engine()?;
            let (run, _) = engine.lookup(offset, 1).map_err(failed)?;
            let mut whole = match run {
                Run::Data { offset: at, own: true } => {
                    return self.file.write_data(&[IoSlice::new(part)], at, false).map_err(failed);
                }
                Run::Data { own: false, .. } | Run::Compressed => {
                    drop(engine);
                    return self.replace(part, offset);
                }
                Run::Zero => zeroes(end - start),
                Run::Absent => match below.take() {
                    Some(bytes) => bytes,
                    None => {
                        // Without the tables: the layers below have locks of their own.
                        drop(engine);
                        let mut bytes = zeroes(end - start);
                        self.read_below(&mut bytes, start)?;
                        below = Some(bytes);
                        continue;
                    }
                },
            };
            self.settle_freed(&engine)?;
            let prepared = engine.prepare(start, end - start).map_err(failed)?;
            let inside = offset - start;
            if prepared.is_new() {
                overlay(&mut whole, part, inside);
                let data = [IoSlice::new(&whole)];
                self.file.write_data(&data, prepared.offset(), true).map_err(failed)?;
            } else {
                // Another writer was faster, and has filled the cluster.
                let data = [IoSlice::new(part)];
                self.file.write_data(&data, prepared.offset() + inside, false).map_err(failed)?;
            }
            return engine.commit(prepared).map_err(failed);
        }
    }

    /// Writes `part` of one cluster that is compressed or shared with a snapshot: into a new
    /// cluster, while nobody reads the old one, which may be free afterwards.
    fn replace(&self, part: &[u8], offset: u64) -> Result<()> {
        let failed = |error| failure("writing", error).at(offset);
        let (start, end) = self.cluster_of(offset);
        let engine = self.engine.write();
        let mut whole = zeroes(end - start);
        match engine.lookup(start, end - start).map_err(failed)?.0 {
            Run::Data { own: true, offset: at } => {
                let at = at + (offset - start);
                return self.file.write_data(&[IoSlice::new(part)], at, false).map_err(failed);
            }
            Run::Data { .. } | Run::Compressed => {
                engine.read(&mut whole, start).map_err(failed)?;
            }
            Run::Zero | Run::Absent => {
                drop(engine);
                return self.write_part(part, offset);
            }
        }
        overlay(&mut whole, part, offset - start);
        self.settle_freed(&engine)?;
        let prepared = engine.prepare(start, end - start).map_err(failed)?;
        let (at, fresh) = (prepared.offset(), prepared.is_new());
        self.file.write_data(&[IoSlice::new(&whole)], at, fresh).map_err(failed)?;
        self.freed.store(true, Ordering::Release);
        engine.commit(prepared).map_err(failed)
    }

    /// Before space is allocated that was free a moment ago: no table on the disk names it any
    /// more. Whoever frees has the tables alone, so nothing is freed while this runs.
    fn settle_freed(&self, engine: &Engine) -> Result<()> {
        if self.freed.load(Ordering::Acquire) {
            self.settle(engine)?;
            self.freed.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Zeroes the clusters of `start..end` by their entries. What reads as zeroes stays as it is.
    fn zero_clusters(&self, start: u64, end: u64, unmap: bool) -> Result<()> {
        let below = self.below.as_ref().map_or(0, |below| below.size());
        let mut at = start;
        while at < end {
            let failed = |error| failure("zeroing", error).at(at);
            drop(self.engine()?);
            let mut engine = self.engine.write();
            let (run, length) = engine.lookup(at, end - at).map_err(failed)?;
            at += match run {
                Run::Zero => length,
                Run::Absent if at >= below => length,
                Run::Absent => engine.zero(at, length, false).map_err(failed)?,
                Run::Data { .. } | Run::Compressed => {
                    self.freed.store(true, Ordering::Release);
                    engine.zero(at, length, unmap).map_err(failed)?
                }
            };
        }
        Ok(())
    }

    /// Zeroes bytes that cover no whole cluster.
    fn zero_part(&self, offset: u64, end: u64) -> Result<()> {
        let below = self.below.as_ref().map_or(0, |below| below.size());
        let mut at = offset;
        while at < end {
            let looked = self.engine()?.lookup(at, (end - at).min(PIECE));
            let (run, length) = looked.map_err(|error| failure("zeroing", error).at(at))?;
            let is_zero = run == Run::Zero || (run == Run::Absent && at >= below);
            if !is_zero {
                self.write_range(&zeroes(length), at)?;
            }
            at += length;
        }
        Ok(())
    }

    /// The clusters that a range covers whole; the last one of the disk counts as whole where its
    /// part of the disk is covered.
    fn whole_clusters(&self, offset: u64, length: u64) -> (u64, u64) {
        let (size, end) = (self.info().cluster_size, offset + length);
        let last = if end == self.size() { end } else { end - end % size };
        (offset.next_multiple_of(size), last)
    }

    /// The part of the disk that lies in the cluster of `offset`.
    fn cluster_of(&self, offset: u64) -> (u64, u64) {
        let size = self.info().cluster_size;
        let start = offset - offset % size;
        (start, (start + size).min(self.size()))
    }
}

/// How much of `length` bytes covers whole clusters, of which the first has `room` bytes: less than
/// a cluster at the end of the disk alone.
fn whole_length(length: usize, room: usize, cluster_size: u64) -> usize {
    let size = usize::try_from(cluster_size).unwrap_or(usize::MAX);
    if room < size { room } else { length - length % size }
}

fn overlay(whole: &mut [u8], part: &[u8], at: u64) {
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    for (old, new) in whole.iter_mut().skip(at).zip(part) {
        *old = *new;
    }
}

fn zeroes(length: u64) -> Vec<u8> {
    vec![0; usize::try_from(length).unwrap_or(0)]
}

/// Zeroes written as data at once.
const PIECE: u64 = 1 << 20;
