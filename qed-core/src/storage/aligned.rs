//! Memory at an address that direct I/O accepts.
//!
//! A buffer begins at a multiple of its alignment, holds zeroes at first, and is never moved. The
//! only place of the storages that allocates by hand.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Bytes whose address is a multiple of a given alignment.
pub struct AlignedBuffer {
    start: NonNull<u8>,
    length: usize,
    /// `length` bytes, but at least 1.
    layout: Layout,
}

// SAFETY: the buffer owns its memory, and shared references to it only read.
unsafe impl Send for AlignedBuffer {}
// SAFETY: as above.
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    /// An alignment that every disk accepts.
    pub const ALIGNMENT: usize = 4096;

    /// `length` zeroes at a multiple of [`ALIGNMENT`](Self::ALIGNMENT).
    #[must_use]
    pub fn new(length: usize) -> Self {
        Self::with_alignment(length, Self::ALIGNMENT)
    }

    /// `length` zeroes at a multiple of `alignment`, which is raised to a power of two. Aborts, as
    /// every allocation does, where there is no memory.
    #[must_use]
    pub fn with_alignment(length: usize, alignment: usize) -> Self {
        let alignment = alignment.checked_next_power_of_two().unwrap_or(Self::ALIGNMENT);
        let Ok(layout) = Layout::from_size_align(length.max(1), alignment) else {
            handle_alloc_error(Layout::new::<u8>())
        };
        // SAFETY: the layout's size is at least 1.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Self { start, length, layout }
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: that many initialised bytes are there, and live as long as the buffer.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and the buffer is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        // SAFETY: the memory was allocated with this very layout, and nothing refers to it.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

impl fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, align) = (self.length, self.layout.align());
        write!(f, "AlignedBuffer({bytes} bytes aligned to {align})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_zeroed_and_writable() {
        for alignment in [1, 512, 4096, 65536] {
            let mut buffer = AlignedBuffer::with_alignment(5000, alignment);
            assert_eq!(buffer.as_ptr().addr() % alignment, 0);
            assert_eq!(buffer.len(), 5000);
            assert!(buffer.iter().all(|byte| *byte == 0));
            buffer.fill(7);
            assert_eq!(buffer[4999], 7);
        }
    }

    #[test]
    fn buffers_cross_threads() {
        let mut buffer = AlignedBuffer::new(4096);
        let back = std::thread::spawn(move || {
            buffer[0] = 1;
            buffer
        });
        assert_eq!(back.join().unwrap()[0], 1);
    }
}
