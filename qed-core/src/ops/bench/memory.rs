//! The buffers of a stream's requests: made once, used again.
//!
//! Buffers to write from hold the pattern and buffers to read into do not, so they are kept apart.

use super::plan::{Kind, Plan, Request};
use crate::error::{Error, Result};
use crate::queue::Buffers;
use crate::storage::AlignedBuffer;

pub(super) struct Memory {
    pattern: u8,
    /// Buffers of each list at most.
    most: usize,
    to_read: Vec<AlignedBuffer>,
    to_write: Vec<AlignedBuffer>,
}

impl Memory {
    /// Memory for `most` requests at once. Where all requests are equally long, the buffers are
    /// made and touched now: a page fault is no part of a request.
    pub(super) fn new(plan: &Plan, pattern: u8, most: usize) -> Result<Self> {
        let mut memory = Self { pattern, most, to_read: Vec::new(), to_write: Vec::new() };
        if let Some(request) = plan.only_shape() {
            for _ in 0..most {
                let fresh = memory.fresh(&request)?;
                memory.spare(&request).push(fresh);
            }
        }
        Ok(memory)
    }

    /// What `request` needs.
    pub(super) fn take(&mut self, request: &Request) -> Result<Buffers> {
        if !matches!(request.kind, Kind::Read | Kind::Write { .. }) {
            return Ok(Buffers::none());
        }
        let spare = self.spare(request);
        let fits = spare.iter().rposition(|buffer| buffer.len() as u64 == request.length);
        match fits.map(|at| spare.swap_remove(at)) {
            Some(buffer) => Ok(buffer.into()),
            None => Ok(self.fresh(request)?.into()),
        }
    }

    /// Takes back what a request of that kind had.
    pub(super) fn give_back(&mut self, request: &Request, buffers: Buffers) {
        let most = self.most;
        let Some(buffer) = buffers.into_aligned() else { return };
        let spare = self.spare(request);
        if spare.len() == most {
            spare.swap_remove(0);
        }
        spare.push(buffer);
    }

    fn spare(&mut self, request: &Request) -> &mut Vec<AlignedBuffer> {
        if request.kind == Kind::Read { &mut self.to_read } else { &mut self.to_write }
    }

    fn fresh(&self, request: &Request) -> Result<AlignedBuffer> {
        let length = request.length;
        let length = usize::try_from(length)
            .map_err(|_| Error::invalid(format!("a request of {length} bytes")))?;
        let mut buffer = AlignedBuffer::new(length);
        buffer.fill(if request.kind == Kind::Read { 0 } else { self.pattern });
        Ok(buffer)
    }
}
