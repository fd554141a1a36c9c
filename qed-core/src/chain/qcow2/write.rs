//! Writing: space is found, filled and only then shown to the guest.

use std::io::IoSlice;

use super::engine::{Engine, Run};
use super::{Qcow2Disk, failure};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{DetectZeroes, Flags};
use crate::source::{all_zero, check_range};
use crate::sync::atomic::Ordering;

impl Qcow2Disk {
    /// Writes `buffer` at `offset`. [`Flags::FUA`] makes it stable.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] past the end of the disk, [`ErrorKind::ReadOnly`], broken
    /// tables; what the files report.
    pub fn pwrite(&self, buffer: &[u8], offset: u64, flags: Flags) -> Result<()> {
        self.pwritev(&[IoSlice::new(buffer)], offset, flags)
    }

    /// Writes `buffers`, one after the other, at `offset`.
    ///
    /// # Errors
    /// As [`pwrite`](Self::pwrite).
    pub fn pwritev(&self, buffers: &[IoSlice<'_>], offset: u64, flags: Flags) -> Result<()> {
        let length = buffers.iter().map(|buffer| buffer.len() as u64).sum();
        let detect = self.settings.detect_zeroes;
        let done = flags.check(Flags::FUA, "a write").and_then(|()| {
            if detect != DetectZeroes::Off && buffers.iter().all(|buffer| all_zero(buffer)) {
                let unmap = detect == DetectZeroes::Unmap;
                let unmap = if unmap { Flags::MAY_UNMAP } else { Flags::NONE };
                return self.zero_request(offset, length, flags | unmap);
            }
            self.begin(offset, length)?;
            let mut at = offset;
            for buffer in buffers {
                self.write_range(buffer, at)?;
                at += buffer.len() as u64;
            }
            self.force(flags)
        });
        done.map_err(|error| self.named_error(error))
    }

    pub(super) fn below_size(&self) -> u64 {
        self.below.as_ref().map_or(0, |below| below.size())
    }

    pub(super) fn force(&self, flags: Flags) -> Result<()> {
        if flags.contains(Flags::FUA) || self.settings.cache.writes_through() {
            return self.flush();
        }
        Ok(())
    }

    pub(super) fn check_change(&self, offset: u64, length: u64) -> Result<()> {
        check_range(self.size(), offset, length)?;
        if self.settings.read_only {
            return Err(Error::new(ErrorKind::ReadOnly, "the image was opened read-only"));
        }
        Ok(())
    }

    /// The first change of a session is announced before it is made (Q3).
    pub(super) fn begin(&self, offset: u64, length: u64) -> Result<()> {
        self.check_change(offset, length)?;
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

    pub(super) fn write_range(&self, buffer: &[u8], offset: u64) -> Result<()> {
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let (start, end) = self.cluster_of(at);
            let room = usize::try_from(end - at).unwrap_or(usize::MAX);
            let count = if at == start && rest.len() >= room {
                let whole = whole_length(rest.len(), room, self.header.info.cluster_size);
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
            let zero = run == Run::Zero || start >= self.below_size();
            if prepared.is_new() && !(zero && self.file.is_untouched(prepared.offset())) {
                overlay(&mut whole, part, inside);
                let data = [IoSlice::new(&whole)];
                self.file.write_data(&data, prepared.offset(), true).map_err(failed)?;
            } else {
                // It is filled: another writer was faster, or new space of the file is zeroes.
                let (at, fresh) = (prepared.offset() + inside, prepared.is_new());
                self.file.write_data(&[IoSlice::new(part)], at, fresh).map_err(failed)?;
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
    pub(super) fn settle_freed(&self, engine: &Engine) -> Result<()> {
        if self.freed.load(Ordering::Acquire) {
            self.settle(engine)?;
            self.freed.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// The part of the disk that lies in the cluster of `offset`.
    pub(super) fn cluster_of(&self, offset: u64) -> (u64, u64) {
        let size = self.header.info.cluster_size;
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

pub(super) fn zeroes(length: u64) -> Vec<u8> {
    vec![0; usize::try_from(length).unwrap_or(0)]
}
