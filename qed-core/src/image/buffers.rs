//! The caller's buffers as one stream of bytes, cut where the plan's segments end.

use std::io::{IoSlice, IoSliceMut};
use std::mem::take;

/// Bytes of all buffers together.
pub(super) fn total(lengths: impl Iterator<Item = usize>) -> u64 {
    lengths.map(|length| length as u64).sum()
}

/// Buffers to be filled, from the front.
pub(super) struct Sink<'a> {
    rest: Vec<&'a mut [u8]>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(buffers: &'a mut [IoSliceMut<'_>]) -> Self {
        Self { rest: buffers.iter_mut().rev().map(|buffer| &mut **buffer).collect() }
    }

    /// The next `length` bytes.
    pub(super) fn next(&mut self, length: u64) -> Vec<IoSliceMut<'a>> {
        let mut left = usize::try_from(length).unwrap_or(usize::MAX);
        let mut parts = Vec::with_capacity(1);
        while left > 0 {
            let Some(last) = self.rest.last_mut() else { break };
            let cut = left.min(last.len());
            let (part, after) = take(last).split_at_mut(cut);
            *last = after;
            if last.is_empty() {
                self.rest.pop();
            }
            left -= part.len();
            if !part.is_empty() {
                parts.push(IoSliceMut::new(part));
            }
        }
        parts
    }
}

/// Buffers to be written, from the front.
pub(super) struct Stream<'a> {
    rest: Vec<&'a [u8]>,
}

impl<'a> Stream<'a> {
    pub(super) fn new(buffers: &'a [IoSlice<'_>]) -> Self {
        Self { rest: buffers.iter().rev().map(|buffer| &**buffer).collect() }
    }

    /// Adds the next `length` bytes to `parts`.
    pub(super) fn next_into<'p>(&mut self, length: u64, parts: &mut Vec<IoSlice<'p>>)
    where
        'a: 'p,
    {
        let mut left = usize::try_from(length).unwrap_or(usize::MAX);
        while left > 0 {
            let Some(last) = self.rest.last_mut() else { break };
            let (part, after) = last.split_at(left.min(last.len()));
            *last = after;
            if last.is_empty() {
                self.rest.pop();
            }
            left -= part.len();
            if !part.is_empty() {
                parts.push(IoSlice::new(part));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_cut_buffers_anywhere() {
        let (a, b, c) = ([1, 2, 3], [], [4, 5]);
        let buffers = [IoSlice::new(&a), IoSlice::new(&b), IoSlice::new(&c)];
        let mut stream = Stream::new(&buffers);
        let mut taken = Vec::new();
        for length in [1, 3, 1] {
            let mut parts = Vec::new();
            stream.next_into(length, &mut parts);
            taken.push(parts.iter().flat_map(|part| part.to_vec()).collect::<Vec<_>>());
        }
        assert_eq!(taken, [vec![1], vec![2, 3, 4], vec![5]]);

        let (mut a, mut b) = ([0; 2], [0; 3]);
        let mut buffers = [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)];
        let mut sink = Sink::new(&mut buffers);
        for (length, value) in [(3, 7), (2, 8)] {
            sink.next(length).iter_mut().for_each(|part| part.fill(value));
        }
        assert_eq!((a, b), ([7, 7], [7, 8, 8]));
    }
}
