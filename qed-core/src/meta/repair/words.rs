//! Entries rewritten in place: each atomic unit of a table as one write, old or new.

use std::io::IoSliceMut;

use super::Desk;
use crate::addr::FileOffset;
use crate::error::{Error, Result};
use crate::meta::scan::bounds::Bounds;
use crate::meta::scan::pieces::Pieces;
use crate::meta::tables::header::write_metadata;

impl Desk<'_, '_> {
    /// Rewrites the table at `table`, not synced: only the units that change are written.
    ///
    /// # Errors
    /// A failed read or write.
    pub(super) fn rewrite(
        &mut self,
        bounds: &Bounds,
        table: FileOffset,
        change: impl Fn(u64) -> u64,
    ) -> Result<()> {
        let unit = self.unit();
        let mut pieces = Pieces::new(self.storage);
        pieces.start(table, bounds.geometry.table_bytes());
        (self.go_on)(0, 0)?;
        while let Some(piece) = pieces.next() {
            let piece = piece?;
            let start = table.get() + 8 * piece.first;
            let mut changed = Vec::new();
            for (number, words) in (0_u64..).zip(piece.words.chunks(unit / 8)) {
                let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
                if words.iter().map(word).any(|word| change(word) != word) {
                    let at = start + number * unit as u64;
                    changed.push((at, changed_bytes(words, &change)));
                }
            }
            let ranges: Vec<_> =
                changed.iter().map(|(at, bytes)| *at..at + bytes.len() as u64).collect();
            (self.announce)(&ranges)?;
            for (at, bytes) in changed {
                write_metadata(self.storage, &bytes, at)?;
            }
        }
        Ok(())
    }

    /// Puts words at their places in the file, not synced.
    ///
    /// # Errors
    /// A failed read or write.
    pub(super) fn put_words(&mut self, words: &mut [(u64, u64)]) -> Result<()> {
        words.sort_unstable();
        let unit = self.unit() as u64;
        let blocks = || words.chunk_by(|(one, _), (other, _)| one / unit == other / unit);
        let ranges: Vec<_> = blocks()
            .filter_map(|block| block.first())
            .map(|(at, _)| at - at % unit..at - at % unit + unit)
            .collect();
        (self.announce)(&ranges)?;
        for (block, range) in blocks().zip(&ranges) {
            let mut bytes = vec![0; self.unit()];
            self.storage
                .read(&mut [IoSliceMut::new(&mut bytes)], range.start)
                .map_err(|error| Error::io("reading a table", error).at(range.start))?;
            for (at, word) in block {
                let within = usize::try_from(at - range.start).unwrap_or(0);
                bytes[within..within + 8].copy_from_slice(&word.to_le_bytes());
            }
            write_metadata(self.storage, &bytes, range.start)?;
        }
        Ok(())
    }

    fn unit(&self) -> usize {
        usize::try_from(self.storage.limits().atomic_unit).unwrap_or(512)
    }
}

/// The bytes of `words` when each is what `change` makes of it.
pub(super) fn changed_bytes(words: &[[u8; 8]], change: impl Fn(u64) -> u64) -> Vec<u8> {
    words.iter().flat_map(|word| change(u64::from_le_bytes(*word)).to_le_bytes()).collect()
}
