//! Moving all of a request: short transfers go on where they stopped, reads past the end give
//! zeroes.
//!
//! `unit` is what transfers have to be multiples of (1 through the page cache). Requests reach this
//! module aligned to it.

use crate::storage::span::{to_usize, total, total_mut};
use crate::storage::sys;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};

/// Fills `buffers` from `offset`, with zeroes past the end of the file.
pub(super) fn read_all(
    file: &File,
    buffers: &mut [IoSliceMut<'_>],
    offset: u64,
    unit: u64,
) -> io::Result<()> {
    let wanted = total_mut(buffers);
    if wanted == 0 {
        return Ok(());
    }
    let mut done = 0;
    if buffers.len() <= sys::MAX_BUFFERS {
        done = sys::preadv(file, buffers, offset)? as u64;
        if done == wanted {
            return Ok(());
        }
    }
    let mut filled: Vec<_> = buffers
        .iter_mut()
        .filter(|buffer| !buffer.is_empty())
        .map(|buffer| IoSliceMut::new(buffer))
        .collect();
    let mut rest = &mut filled[..];
    IoSliceMut::advance_slices(&mut rest, to_usize(done));
    let mut at_end = done > 0 && !done.is_multiple_of(unit);
    while done < wanted && !at_end {
        let step = sys::preadv(file, rest, offset + done)? as u64;
        IoSliceMut::advance_slices(&mut rest, to_usize(step));
        done += step;
        // A direct read stops inside a block only at the end of the file.
        at_end = step == 0 || !step.is_multiple_of(unit);
    }
    for buffer in rest {
        buffer.fill(0);
    }
    Ok(())
}

/// Writes all of `buffers` at `offset`. With `stable` they are stable then (RWF_DSYNC).
pub(super) fn write_all(
    file: &File,
    buffers: &[IoSlice<'_>],
    offset: u64,
    unit: u64,
    stable: bool,
) -> io::Result<()> {
    let wanted = total(buffers);
    if wanted == 0 {
        return Ok(());
    }
    let mut done = 0;
    if buffers.len() <= sys::MAX_BUFFERS {
        done = whole_units(sys::pwritev(file, buffers, offset, stable)?, unit);
        if done == wanted {
            return Ok(());
        }
    }
    let mut left: Vec<_> = buffers.iter().filter(|buffer| !buffer.is_empty()).copied().collect();
    let mut rest = &mut left[..];
    IoSlice::advance_slices(&mut rest, to_usize(done));
    while done < wanted {
        let step = whole_units(sys::pwritev(file, rest, offset + done, stable)?, unit);
        if step == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut rest, to_usize(step));
        done += step;
    }
    Ok(())
}

/// A direct write goes on at a block: what it wrote of one is written again.
fn whole_units(written: usize, unit: u64) -> u64 {
    let written = written as u64;
    written - written % unit
}

/// Walks through scattered buffers that are to be written, copying their bytes out in order.
pub(super) struct Gather<'a> {
    rest: &'a [IoSlice<'a>],
    /// Bytes of the first of `rest` that have been copied.
    used: usize,
}

impl<'a> Gather<'a> {
    pub(super) fn new(buffers: &'a [IoSlice<'a>]) -> Self {
        Self { rest: buffers, used: 0 }
    }

    /// Fills `out` with the next bytes; there are enough.
    pub(super) fn take(&mut self, mut out: &mut [u8]) {
        while let (false, Some(first)) = (out.is_empty(), self.rest.first()) {
            let from = &first[self.used..];
            let count = from.len().min(out.len());
            let (part, tail) = out.split_at_mut(count);
            part.copy_from_slice(&from[..count]);
            out = tail;
            self.used += count;
            if self.used == first.len() {
                self.rest = &self.rest[1..];
                self.used = 0;
            }
        }
    }
}

/// Copies `bytes` into scattered buffers, from their byte `skip` on.
pub(super) fn scatter(buffers: &mut [IoSliceMut<'_>], skip: u64, mut bytes: &[u8]) {
    let mut skip = to_usize(skip);
    for buffer in buffers {
        if skip >= buffer.len() {
            skip -= buffer.len();
            continue;
        }
        let count = bytes.len().min(buffer.len() - skip);
        buffer[skip..skip + count].copy_from_slice(&bytes[..count]);
        bytes = &bytes[count..];
        skip = 0;
        if bytes.is_empty() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gather_and_scatter_walk_through_all_buffers() {
        let parts = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cdefg")];
        let mut gather = Gather::new(&parts);
        let (mut one, mut two) = ([0; 3], [0; 4]);
        gather.take(&mut one);
        gather.take(&mut two);
        assert_eq!((&one, &two), (b"abc", b"defg"));

        let (mut one, mut two) = ([0; 2], [0; 4]);
        let mut parts = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
        scatter(&mut parts, 1, b"xyz");
        assert_eq!((&one, &two), (b"\0x", b"yz\0\0"));
    }

    #[test]
    fn more_buffers_than_one_call_takes_are_moved_whole() {
        let file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..5000u32).map(|i| i.to_le_bytes()[0]).collect();
        let parts: Vec<_> = bytes.chunks(1).map(IoSlice::new).collect();
        assert!(parts.len() > 2 * sys::MAX_BUFFERS);
        write_all(&file, &parts, 3, 1, false).unwrap();
        let mut back = vec![9; 6000];
        let mut parts: Vec<_> = back.chunks_mut(1).map(IoSliceMut::new).collect();
        read_all(&file, &mut parts, 3, 1).unwrap();
        assert_eq!(back[..5000], bytes);
        assert_eq!(back[5000..], [0; 1000], "zeroes past the end");
    }

    #[test]
    fn empty_buffers_are_not_the_end_of_the_file() {
        let file = tempfile::tempfile().unwrap();
        let mut parts = vec![IoSlice::new(b""); sys::MAX_BUFFERS];
        parts.push(IoSlice::new(b"x"));
        write_all(&file, &parts, 0, 1, false).unwrap();
        let mut byte = [0; 1];
        let mut empty = [[0u8; 0]; sys::MAX_BUFFERS];
        let mut parts: Vec<_> = empty.iter_mut().map(|e| IoSliceMut::new(e)).collect();
        parts.push(IoSliceMut::new(&mut byte));
        read_all(&file, &mut parts, 0, 1).unwrap();
        assert_eq!(&byte, b"x");
    }
}
