//! The end of a session: flush, cut, save the free map (C13, C14).

use super::Meta;
use super::freemap;
use super::header::write_metadata;
use super::ranges::RangeSet;
use super::rules::Rule;
use crate::error::{Error, Result};
use crate::format::AUTOCLEAR_FREE_MAP;

impl Meta {
    /// Ends the session. No request is running. What was written is stable when this succeeds.
    ///
    /// # Errors
    /// A failed write or sync; the file is then left as long as it is, and only leaks.
    pub(crate) fn close(&self) -> Result<()> {
        self.background.stop();
        if self.settings.read_only {
            return Ok(());
        }
        if !self.settings.rules.breaks(Rule::CutAfterFlush) {
            self.flush()?;
        }
        if !self.has_changes() {
            return Ok(());
        }
        self.space.punch_freed(&self.clock, &self.grace);
        let (end, free) = self.space.tail(&self.clock, &self.grace);
        let length = end * self.geometry.cluster_size();
        let saved = self.space.is_scanned() && self.save_free_map(length, &free)?;
        self.cut(length)?;
        if saved {
            self.header.update(&*self.storage, |header| {
                header.autoclear_features |= AUTOCLEAR_FREE_MAP;
            })?;
            self.clock.sync_now()?;
        }
        Ok(())
    }

    /// Writes the map where it has room behind the header; its bit follows when it is stable.
    fn save_free_map(&self, length: u64, free: &RangeSet) -> Result<bool> {
        let header = self.header.get();
        let Some(area) = freemap::area(&header) else { return Ok(false) };
        let size = usize::try_from(area.end - area.start).unwrap_or(0);
        let Some(bytes) = freemap::encode(size, length, self.l1.words(), free) else {
            return Ok(false);
        };
        self.header.write_area(&*self.storage, &bytes, area.start)?;
        Ok(true)
    }

    fn cut(&self, length: u64) -> Result<()> {
        if length < self.file_length()? {
            let cut = self.storage.set_len(length);
            cut.map_err(|error| Error::io("cutting the image file", error).at(length))?;
        }
        self.clock.sync_now()
    }
}
