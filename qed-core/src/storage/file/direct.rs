//! Direct I/O for requests of any alignment.
//!
//! What is aligned goes straight through. Reads that are not, and writes from memory that is not,
//! pass through a bounce buffer in pieces of at most 1 MiB. A write that begins or ends inside a
//! block is cut into edges and a middle; each edge is a read-modify-write of its block under
//! [`Gate::alone`] (rule C8). The block at the end of a file whose length is not a multiple of the
//! block is written through the page cache instead, because a direct write would lengthen the file.

use super::FileStorage;
use super::align::Alignment;
use super::gate::Gate;
use super::transfer::{Gather, read_all, scatter, write_all};
use crate::storage::span::{to_usize, total_mut};
use crate::storage::{Spare, Storage, sys};
use crate::sync::OnceLock;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

/// What direct I/O needs beside the file.
#[derive(Debug)]
pub(super) struct Direct {
    pub(super) alignment: Alignment,
    pub(super) gate: Gate,
    /// Bounce buffers.
    spare: Spare,
    /// The same file through the page cache, opened when first needed.
    cached: OnceLock<File>,
}

impl Direct {
    pub(super) fn new(alignment: Alignment) -> Self {
        let spare = Spare::new(to_usize(alignment.memory), SPARE);
        Self { alignment, gate: Gate::new(), spare, cached: OnceLock::new() }
    }

    /// Whether a range is made of whole blocks.
    fn whole(&self, offset: u64, length: u64) -> bool {
        (offset | length).is_multiple_of(self.alignment.unit)
    }

    /// Whether a buffer's memory may be handed to the kernel.
    fn accepts(&self, buffer: &[u8]) -> bool {
        self.accepts_at(buffer.as_ptr().addr() as u64, buffer.len() as u64)
    }

    /// As [`accepts`](Self::accepts), of `length` bytes at an address.
    pub(super) fn accepts_at(&self, address: u64, length: u64) -> bool {
        address.is_multiple_of(self.alignment.memory) && length.is_multiple_of(self.alignment.unit)
    }

    /// The file through the page cache.
    fn cached(&self, file: &File) -> io::Result<&File> {
        if self.cached.get().is_none() {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            let opened = File::options().write(true).open(path).map_err(|error| {
                let text = format!(
                    "the last block of the file is a partial one, which O_DIRECT cannot write, \
                     and opening it for the page cache failed: {error}"
                );
                io::Error::new(error.kind(), text)
            })?;
            // Another thread may have been quicker.
            let _ = self.cached.set(opened);
        }
        self.cached.get().ok_or_else(|| io::ErrorKind::Other.into())
    }
}

impl FileStorage {
    /// Reads what the file was opened with O_DIRECT for.
    pub(super) fn read_direct(
        &self,
        direct: &Direct,
        buffers: &mut [IoSliceMut<'_>],
        offset: u64,
    ) -> io::Result<()> {
        let unit = direct.alignment.unit;
        let length = total_mut(buffers);
        if direct.whole(offset, length) && buffers.iter().all(|buffer| direct.accepts(buffer)) {
            return read_all(&self.file, buffers, offset, unit);
        }
        let end = offset + length;
        let mut at = offset;
        while at < end {
            let start = at - at % unit;
            let stop = end.min(start + PIECE);
            let blocks = (stop - start).next_multiple_of(unit);
            let mut memory = direct.spare.take(blocks);
            read_all(&self.file, &mut [IoSliceMut::new(&mut memory)], start, unit)?;
            let wanted = &memory[to_usize(at - start)..to_usize(stop - start)];
            scatter(buffers, at - offset, wanted);
            at = stop;
        }
        Ok(())
    }

    /// Writes `length` bytes, more than none.
    pub(super) fn write_direct(
        &self,
        direct: &Direct,
        buffers: &[IoSlice<'_>],
        offset: u64,
        length: u64,
        stable: bool,
    ) -> io::Result<()> {
        let whole = direct.whole(offset, length);
        if whole && buffers.iter().all(|buffer| direct.accepts(buffer)) {
            let _inside = direct.gate.share(offset, offset + length);
            return self.put(buffers, offset, stable);
        }
        let mut from = Gather::new(buffers);
        if whole && length <= PIECE {
            return self.write_blocks(direct, &mut from, offset, length, stable);
        }
        self.write_parts(direct, &mut from, offset, offset + length)?;
        if stable { self.sync() } else { Ok(()) }
    }

    /// Writes a range of any alignment: edges and middle.
    fn write_parts(
        &self,
        direct: &Direct,
        from: &mut Gather<'_>,
        offset: u64,
        end: u64,
    ) -> io::Result<()> {
        let unit = direct.alignment.unit;
        let mut at = offset;
        while at < end {
            let block_end = at - at % unit + unit;
            if !at.is_multiple_of(unit) || block_end > end {
                let stop = block_end.min(end);
                self.write_edge(direct, from, at, stop - at)?;
                at = stop;
            } else {
                let blocks = PIECE.min(end - at);
                let blocks = blocks - blocks % unit;
                self.write_blocks(direct, from, at, blocks, false)?;
                at += blocks;
            }
        }
        Ok(())
    }

    /// Writes whole blocks from memory that is not aligned, at most [`PIECE`].
    fn write_blocks(
        &self,
        direct: &Direct,
        from: &mut Gather<'_>,
        offset: u64,
        length: u64,
        stable: bool,
    ) -> io::Result<()> {
        let mut memory = direct.spare.take(length);
        from.take(&mut memory);
        let _inside = direct.gate.share(offset, offset + length);
        self.put(&[IoSlice::new(&memory)], offset, stable)
    }

    /// Writes a part of one block.
    fn write_edge(
        &self,
        direct: &Direct,
        from: &mut Gather<'_>,
        offset: u64,
        length: u64,
    ) -> io::Result<()> {
        let unit = direct.alignment.unit;
        let block = offset - offset % unit;
        let start = to_usize(offset - block);
        let mut memory = direct.spare.take(unit);
        let _inside = direct.gate.alone(block);
        if block + unit > self.len()? {
            let part = &mut memory[..to_usize(length)];
            from.take(part);
            return write_cached(direct.cached(&self.file)?, part, offset);
        }
        read_all(&self.file, &mut [IoSliceMut::new(&mut memory)], block, unit)?;
        from.take(&mut memory[start..start + to_usize(length)]);
        write_all(&self.file, &[IoSlice::new(&memory)], block, unit, false)
    }
}

/// Writes through the page cache and leaves no dirty page behind: a direct write of a neighbouring
/// block would otherwise be undone when the page is written back.
fn write_cached(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)?;
    sys::write_back(file, offset, bytes.len() as u64)
}

/// Bytes bounced at once.
pub(super) const PIECE: u64 = 1 << 20;
/// Bytes of bounce buffers kept for the next request.
const SPARE: usize = 4 << 20;
