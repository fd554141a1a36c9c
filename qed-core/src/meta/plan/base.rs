//! What lies under unallocated clusters: nothing, a hole, or data of the backing file.

use crate::error::Result;
use crate::meta::backing::ToCome;
use crate::source::{Extent, Source};

/// The backing file as a plan sees it; remembers the last run it was told of.
#[derive(Debug)]
pub(crate) struct Base<'a> {
    backing: Option<&'a dyn Source>,
    known: (u64, u64, bool),
    /// The backing file is not asked.
    unasked: bool,
    /// Zeroes of the layers above this one are taken for data: they are not there for long.
    to_come: Option<ToCome>,
}

impl<'a> Base<'a> {
    pub(crate) fn new(backing: Option<&'a dyn Source>, to_come: Option<ToCome>) -> Self {
        Self { backing, known: (0, 0, false), unasked: false, to_come }
    }

    /// The same, but what would have to be asked for is taken for data.
    pub(crate) fn unasked(self) -> Self {
        Self { unasked: true, ..self }
    }

    /// Whether guest bytes `start..end` surely read as zeroes. `cheaply` forbids asking the backing
    /// file: what is not known is then taken for data.
    ///
    /// # Errors
    /// The backing file could not tell.
    pub(crate) fn reads_zero(&mut self, start: u64, end: u64, cheaply: bool) -> Result<bool> {
        let Some(backing) = self.backing else { return Ok(true) };
        let end = end.min(backing.size());
        let mut at = start;
        while at < end {
            let (from, to, zero) = self.known;
            if !(from..to).contains(&at) {
                if cheaply || self.unasked {
                    return Ok(false);
                }
                let extent = backing.extent(at, backing.size() - at)?;
                let zero = extent.reads_zero() && !self.hides(&extent);
                self.known = (at, at + extent.length, zero);
                continue;
            }
            if !zero {
                return Ok(false);
            }
            at = to;
        }
        Ok(true)
    }

    /// Whether a run may hide what a layer below it has, which is to be seen.
    fn hides(&self, extent: &Extent) -> bool {
        let above = |to_come: ToCome| extent.depth < to_come.depth && extent.offset < to_come.size;
        self.to_come.is_some_and(above)
    }
}
