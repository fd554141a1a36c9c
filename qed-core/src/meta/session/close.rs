//! The end of a session: flush, cut, save the free map (C13, C14).

use crate::error::{Error, Result};
use crate::format::AUTOCLEAR_FREE_MAP;
use crate::meta::rules::Rule;
use crate::meta::{Meta, Trust};

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
        if !self.has_written() {
            // Nothing is owed: what an earlier session left unsynced, no flush has been asked for.
            return self.check_latch();
        }
        self.clock.pretend_syncs(self.settings.rules.breaks(Rule::CutAfterFlush));
        self.flush()?;
        self.clock.pretend_syncs(false);
        if !self.has_changes() {
            return Ok(());
        }
        self.space.punch_freed(&self.clock, &self.grace);
        let (end, free) = self.space.tail(&self.clock, &self.grace);
        let length = end * self.geometry.cluster_size();
        let complete = self.space.is_scanned();
        // In a damaged image, what the session has freed may be named by another entry.
        let known = complete || self.settings.trust != Trust::Damaged && !free.is_empty();
        let saved = known && self.save_free_map(length, &free, complete)?;
        self.cut(length)?;
        if saved {
            self.header.update(&*self.storage, |header| {
                header.autoclear_features |= AUTOCLEAR_FREE_MAP;
            })?;
            self.clock.sync_now()?;
        }
        Ok(())
    }

    pub(super) fn cut(&self, length: u64) -> Result<()> {
        if length < self.file_length()? {
            let cut = self.storage.set_len(length);
            cut.map_err(|error| Error::io("cutting the image file", error).at(length))?;
        }
        if self.settings.rules.breaks(Rule::MapBeforeBit) {
            return Ok(());
        }
        self.clock.sync_now()
    }
}
