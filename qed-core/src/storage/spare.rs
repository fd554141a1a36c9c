//! Aligned buffers that wait for their next use, so that requests need not allocate theirs.

use std::ops::{Deref, DerefMut};

use super::AlignedBuffer;
use super::span::to_usize;
use crate::sync::{Mutex, Rank};

/// Buffers that nobody uses at the moment.
#[derive(Debug)]
pub(crate) struct Spare {
    waiting: Mutex<Vec<AlignedBuffer>>,
    alignment: usize,
    /// Bytes that are kept at most.
    most: usize,
}

/// A buffer, returned when dropped. What it holds at first is unspecified.
#[derive(Debug)]
pub(crate) struct Loan<'a> {
    spare: &'a Spare,
    memory: Option<AlignedBuffer>,
    length: usize,
}

impl Spare {
    /// Keeps buffers of at most `most` bytes together, at multiples of `alignment`.
    pub(crate) fn new(alignment: usize, most: usize) -> Self {
        let alignment = alignment.max(AlignedBuffer::ALIGNMENT);
        Self { waiting: Mutex::new(Rank::Storage, Vec::new()), alignment, most }
    }

    /// A buffer of `length` bytes.
    pub(crate) fn take(&self, length: u64) -> Loan<'_> {
        Loan { spare: self, memory: Some(self.lend(length)), length: to_usize(length) }
    }

    /// A buffer of at least `length` bytes, to be [given back](Self::give_back).
    pub(crate) fn lend(&self, length: u64) -> AlignedBuffer {
        let length = to_usize(length);
        let mut waiting = self.waiting.lock();
        let fitting = waiting.iter().position(|memory| memory.len() >= length);
        let memory = fitting.map(|index| waiting.swap_remove(index));
        drop(waiting);
        memory.unwrap_or_else(|| {
            AlignedBuffer::with_alignment(length.next_power_of_two(), self.alignment)
        })
    }

    /// Keeps a buffer for its next use, where there is room.
    pub(crate) fn give_back(&self, memory: AlignedBuffer) {
        let mut waiting = self.waiting.lock();
        let kept: usize = waiting.iter().map(|memory| memory.len()).sum();
        if kept + memory.len() <= self.most {
            waiting.push(memory);
        }
    }
}

impl Deref for Loan<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.memory.as_deref().unwrap_or_default()[..self.length]
    }
}

impl DerefMut for Loan<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory.as_deref_mut().unwrap_or_default()[..self.length]
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.memory.take().into_iter().for_each(|memory| self.spare.give_back(memory));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_and_few_are_kept() {
        let spare = Spare::new(512, 3 * 8192);
        let mut first = spare.take(5000);
        assert_eq!(first.len(), 5000);
        assert_eq!(first.as_ptr().addr() % AlignedBuffer::ALIGNMENT, 0);
        first[4999] = 7;
        let address = first.as_ptr().addr();
        drop(first);
        assert_eq!(spare.take(8192).as_ptr().addr(), address);
        drop([8192, 8192, 8192, 8192].map(|length| spare.take(length)));
        assert_eq!(spare.waiting.lock().len(), 3);
        drop(spare.take(16384));
        assert_eq!(spare.waiting.lock().len(), 3, "there is no room for it");
    }
}
