//! Memory at an address that direct I/O accepts.
//!
//! A buffer begins at a multiple of its alignment, holds zeroes at first, and is never moved. A
//! large one is made of huge pages where the system has them: what a disk is asked for is then one
//! piece of memory and not hundreds, of which it takes only so many at once. The only place of the
//! storages that allocates by hand.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
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

    /// Buffers of so many bytes, and larger ones, are made of huge pages.
    pub const HUGE: usize = 2 << 20;

    /// `length` zeroes at a multiple of [`ALIGNMENT`](Self::ALIGNMENT).
    #[must_use]
    pub fn new(length: usize) -> Self {
        Self::with_alignment(length, Self::ALIGNMENT)
    }

    /// `length` zeroes at a multiple of `alignment`, which is raised to a power of two. Aborts, as
    /// every allocation does, where there is no memory.
    #[must_use]
    pub fn with_alignment(length: usize, alignment: usize) -> Self {
        let huge = length >= Self::HUGE;
        let least = if huge { Self::HUGE } else { 1 };
        let alignment = alignment.checked_next_power_of_two().unwrap_or(Self::ALIGNMENT).max(least);
        let Ok(layout) = Layout::from_size_align(length.max(1), alignment) else {
            handle_alloc_error(Layout::new::<u8>())
        };
        // SAFETY: the layout's size is at least 1.
        let start = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        if huge {
            // Before its pages are touched. Where it fails, the buffer is as good as others are.
            // SAFETY: the range is this buffer's, and what it holds stays what it is.
            let _ = unsafe { libc::madvise(start.as_ptr().cast(), length, libc::MADV_HUGEPAGE) };
        }
        // SAFETY: so many bytes were allocated.
        unsafe { start.as_ptr().write_bytes(0, layout.size()) };
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
        let large = AlignedBuffer::HUGE;
        let lengths = [5000, large - 1, large, 2 * large + 5000];
        for (alignment, length) in [(1, 0), (512, 0), (4096, 1), (65536, 2), (4096, 3)] {
            let length = lengths[length];
            let mut buffer = AlignedBuffer::with_alignment(length, alignment);
            assert_eq!(buffer.as_ptr().addr() % alignment, 0);
            assert_eq!(buffer.len(), length);
            assert!(buffer.iter().all(|byte| *byte == 0));
            buffer.fill(7);
            assert_eq!(buffer[length - 1], 7);
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
