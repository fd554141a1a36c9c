//! The free map that an earlier session has saved, and the one that this session leaves (C13).

use std::io::IoSliceMut;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::meta::Meta;
use crate::meta::rules::Rule;
use crate::meta::space::freemap::{self, SavedMap, Tie};
use crate::meta::space::ranges::RangeSet;

impl Meta {
    /// The map that the header announced at open, where everything it records agrees. Nothing has
    /// changed since, and each of its runs is free whether others are missing or not (C13). One
    /// that calls a table free lies.
    ///
    /// # Errors
    /// A read failed.
    pub(super) fn read_free_map(&self) -> Result<Option<SavedMap>> {
        let header = self.header.get();
        let Some(area) = freemap::area(&header) else { return Ok(None) };
        let bytes = self.read_area(&area)?;
        let mut tie = self.tie(self.length_at_open)?;
        if self.settings.rules.breaks(Rule::DistrustForeignFreeMap) {
            tie = freemap::recorded_tie(&bytes).unwrap_or(tie);
        }
        let saved = freemap::decode(&bytes, &header, tie);
        Ok(saved.filter(|saved| !self.l1.tables_overlap(&saved.free)))
    }

    /// Writes the map of `free`, which is all that is free where it is `complete`, in a file of
    /// `length` bytes, where it has room behind the header and nobody else's bytes stand (F1.2);
    /// its bit follows when it is stable.
    ///
    /// # Errors
    /// A read or write failed.
    pub(super) fn save_free_map(
        &self,
        length: u64,
        free: &RangeSet,
        complete: bool,
    ) -> Result<bool> {
        let header = self.header.get();
        let Some(area) = freemap::area(&header) else { return Ok(false) };
        let before = self.read_area(&area)?;
        let map = freemap::encode(free, complete, self.tie(length)?, before.len());
        let Some(map) = map.filter(|_| freemap::may_replace(&before)) else { return Ok(false) };
        self.header.write_area(&*self.storage, &map, area.start)?;
        Ok(true)
    }

    fn tie(&self, file_length: u64) -> Result<Tie> {
        let l1_checksum = freemap::l1_checksum(self.l1.words(self.image_size())?);
        Ok(Tie { file_length, l1_checksum })
    }

    fn read_area(&self, area: &Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(area.end - area.start).unwrap_or(0)];
        self.storage
            .read(&mut [IoSliceMut::new(&mut bytes)], area.start)
            .map_err(|error| Error::io("reading the free map", error).at(area.start))?;
        Ok(bytes)
    }
}
