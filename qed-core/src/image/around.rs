//! What goes into new clusters around a request's own bytes: zeroes, or what lies below.

use std::ops::Range;

use super::Image;
use crate::error::Result;
use crate::meta::plan::write::{Fill, WriteSegment};
use crate::storage::{AlignedBuffer, Loan};

/// The bytes before and behind a request's own.
#[derive(Debug)]
pub(super) struct Around<'a> {
    memory: Option<Loan<'a>>,
    head: Range<usize>,
    tail: Range<usize>,
}

impl Around<'_> {
    pub(super) fn head(&self) -> &[u8] {
        self.part(&self.head)
    }

    pub(super) fn tail(&self) -> &[u8] {
        self.part(&self.tail)
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        self.memory.as_ref().and_then(|memory| memory.get(range.clone())).unwrap_or_default()
    }
}

impl Image {
    /// Finds out what fills the new clusters of `segment`.
    ///
    /// # Errors
    /// What reading below reports.
    pub(super) fn around(&self, segment: &WriteSegment) -> Result<Around<'_>> {
        let (head, tail) = (part(segment.head), part(segment.tail));
        if head.length + tail.length == 0 {
            return Ok(Around { memory: None, head: 0..0, tail: 0..0 });
        }
        // One read of a cluster costs less than two of its parts.
        let whole = head.length + segment.length + tail.length;
        let at_once = head.from_backing && tail.from_backing && whole <= self.cluster_size();
        let tail_at = match at_once {
            true => head.length + segment.length,
            false => head.length.next_multiple_of(AlignedBuffer::ALIGNMENT as u64),
        };
        let mut memory = self.spare.take(tail_at + tail.length);
        let range = |start: u64, length: u64| index(start)..index(start + length);
        let (head_range, tail_range) = (range(0, head.length), range(tail_at, tail.length));
        if at_once {
            self.read_backing(&mut memory, head.offset)?;
        } else {
            self.fill_part(&mut memory[head_range.clone()], head)?;
            self.fill_part(&mut memory[tail_range.clone()], tail)?;
        }
        Ok(Around { memory: Some(memory), head: head_range, tail: tail_range })
    }

    fn fill_part(&self, bytes: &mut [u8], fill: Fill) -> Result<()> {
        if fill.from_backing {
            return self.read_backing(bytes, fill.offset);
        }
        bytes.fill(0);
        Ok(())
    }
}

fn part(fill: Option<Fill>) -> Fill {
    fill.unwrap_or(Fill { offset: 0, length: 0, from_backing: false })
}

/// Clusters have at most 64 MiB.
fn index(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
