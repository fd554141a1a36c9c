//! Changes kept in memory over a storage that stays as it is: for trying a repair, or a state that
//! a crash could leave, on a real file.
//!
//! A page that was written is present in memory. Of what is absent, ranges that were punched,
//! zeroed or cut off are *hidden* and read as zeroes; the rest reads from the base. The base must
//! not change. It is never called while a lock is held, so overlays stack.

use super::covered::Covered;
use super::pages::{PAGE, Page, Pages};
use super::span::{end_of, to_usize, total, total_mut};
use super::{Limits, Storage, StoredExtent, WriteFlags};
use crate::sync::{Rank, RwLock};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::sync::Arc;

/// A storage in memory that begins as a copy of another one.
pub struct Overlay {
    base: Arc<dyn Storage>,
    layer: RwLock<Layer>,
}

struct Layer {
    pages: Pages,
    hidden: Covered,
    length: u64,
}

impl Overlay {
    /// A copy of `base` as it is now.
    ///
    /// # Errors
    /// What finding the base's length reports.
    pub fn new(base: Arc<dyn Storage>) -> io::Result<Self> {
        let length = base.len()?;
        let layer = Layer { pages: Pages::default(), hidden: Covered::default(), length };
        Ok(Self { base, layer: RwLock::new(Rank::Storage, layer) })
    }

    /// The base's content of the pages that a write to `offset..end` changes in part.
    fn edges(&self, offset: u64, end: u64) -> io::Result<BTreeMap<u64, Box<Page>>> {
        let partial = [offset, end].into_iter().filter(|at| !at.is_multiple_of(PAGE));
        let mut edges = BTreeMap::new();
        for at in partial {
            let start = at - at % PAGE;
            // Once absent again it is hidden as a whole, and the base is not needed.
            if self.layer.read().pages.contains(start / PAGE) || edges.contains_key(&start) {
                continue;
            }
            let mut page = Box::new([0; 4096]);
            self.base.read(&mut [IoSliceMut::new(&mut page[..])], start)?;
            edges.insert(start, page);
        }
        Ok(edges)
    }

    /// Hides a range of the base, and zeroes or drops what is present of it.
    fn clear(&self, offset: u64, length: u64, drop_whole: bool) -> io::Result<()> {
        let end = end_of(offset, length)?;
        let mut layer = self.layer.write();
        layer.pages.fill(offset, length, 0, drop_whole);
        layer.hidden.insert(offset, end);
        Ok(())
    }
}

impl Layer {
    /// Copies what is in memory and collects in `missing` what has to come from the base.
    fn read<'a>(
        &self,
        buffer: &'a mut [u8],
        offset: u64,
        missing: &mut Vec<(IoSliceMut<'a>, u64)>,
    ) {
        let inside = to_usize(self.length.saturating_sub(offset)).min(buffer.len());
        let (inside, outside) = buffer.split_at_mut(inside);
        outside.fill(0);
        self.pages.read(inside, offset, |mut part, mut at| {
            while !part.is_empty() {
                let (hidden, end) = self.hidden.run(at, at + part.len() as u64);
                let (head, tail) = part.split_at_mut(to_usize(end - at));
                if hidden {
                    head.fill(0);
                } else {
                    missing.push((IoSliceMut::new(head), at));
                }
                (part, at) = (tail, end);
            }
        });
    }

    fn write(&mut self, bytes: &[u8], offset: u64, edges: &BTreeMap<u64, Box<Page>>) {
        let hidden = &self.hidden;
        self.pages.write(bytes, offset, |page, start| {
            let Some(edge) = edges.get(&start) else { return };
            let mut at = start;
            while at < start + PAGE {
                let (is_hidden, end) = hidden.run(at, start + PAGE);
                let part = to_usize(at - start)..to_usize(end - start);
                if !is_hidden {
                    page[part.clone()].copy_from_slice(&edge[part]);
                }
                at = end;
            }
        });
        self.length = self.length.max(offset + bytes.len() as u64);
    }
}

impl Storage for Overlay {
    fn limits(&self) -> Limits {
        Limits { zeroes_new_space: true, can_punch: true, ..self.base.limits() }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.layer.read().length)
    }

    fn read(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        end_of(offset, total_mut(buffers))?;
        let mut missing = Vec::new();
        {
            let layer = self.layer.read();
            let mut at = offset;
            for buffer in buffers {
                let length = buffer.len() as u64;
                layer.read(buffer, at, &mut missing);
                at += length;
            }
        }
        // Neighbours in one call.
        let mut rest = missing.into_iter().peekable();
        while let Some((first, start)) = rest.next() {
            let mut end = start + first.len() as u64;
            let mut run = vec![first];
            while let Some((part, at)) = rest.next_if(|(_, at)| *at == end) {
                end = at + part.len() as u64;
                run.push(part);
            }
            self.base.read(&mut run, start)?;
        }
        Ok(())
    }

    fn write(&self, buffers: &[IoSlice<'_>], offset: u64, _flags: WriteFlags) -> io::Result<()> {
        let end = end_of(offset, total(buffers))?;
        if end == offset {
            return Ok(());
        }
        let bytes = buffers.iter().flat_map(|buffer| buffer.iter().copied()).collect::<Vec<_>>();
        let edges = self.edges(offset, end)?;
        self.layer.write().write(&bytes, offset, &edges);
        Ok(())
    }

    fn zero_range(&self, offset: u64, length: u64) -> io::Result<()> {
        self.clear(offset, length, false)
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        self.clear(offset, length, true)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        end_of(length, 0)?;
        let mut layer = self.layer.write();
        if length < layer.length {
            layer.pages.fill(length, u64::MAX - length, 0, true);
            layer.hidden.insert(length, u64::MAX);
        }
        layer.length = length;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn stored_extent(&self, offset: u64, length: u64) -> io::Result<StoredExtent> {
        let limit = end_of(offset, length)?;
        let (present, hidden, end) = {
            let layer = self.layer.read();
            let (present, run) = layer.pages.run(offset, length);
            let (hidden, end) = layer.hidden.run(offset, limit);
            (present, hidden, if present { offset + run } else { end.min(offset + run) })
        };
        let length = end - offset;
        if present || hidden {
            return Ok(StoredExtent { length, hole: !present });
        }
        let inside = self.base.len()?.saturating_sub(offset);
        if inside == 0 {
            return Ok(StoredExtent { length, hole: true });
        }
        self.base.stored_extent(offset, length.min(inside))
    }

    /// The base's, and the memory of this layer.
    fn disk_usage(&self) -> io::Result<u64> {
        let pages = self.layer.read().pages.count();
        Ok(self.base.disk_usage()? + pages * PAGE)
    }
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layer = self.layer.read();
        f.debug_struct("Overlay")
            .field("base", &self.base)
            .field("length", &layer.length)
            .field("pages", &layer.pages.count())
            .field("hidden", &layer.hidden.count())
            .finish()
    }
}

#[cfg(test)]
mod tests;
