//! Entries that are published while the data below them is still being moved, so that a forced
//! write has both on their way to the disk at once, and then one sync.
//!
//! ```text
//! begin --> data is handed to the kernel --------------------> landed --> end --> flush
//!              \--> entries published --> their image written --/
//! ```
//!
//! Only entries that are unordered in any case (C4): the disk may hold them before their data,
//! after it or without it. The claims are held until the data has landed, and so is the place among
//! the epochs (C9). What has been published is not taken back: where the data fails, the clusters
//! stay, with as much of it as got there over the zeroes that the guest read before.

use std::mem::take;
use std::sync::Arc;

use crate::error::Result;
use crate::meta::Meta;
use crate::meta::plan::detached::WriteTicket;
use crate::meta::plan::write::{NewEntry, WritePlan};
use crate::meta::rules::Rule;
use crate::meta::tables::slice::{Phase, Slice};

/// The entries of a write that has begun, taken out to be published before it ends.
#[derive(Debug)]
#[must_use]
pub(crate) struct EarlyEntries {
    slice: Arc<Slice>,
    entries: Vec<NewEntry>,
}

impl WritePlan<'_> {
    /// Whether the plan's entries may be published before its data has been written.
    pub(super) fn may_be_early(&self) -> bool {
        let meta = self.meta;
        let may = || self.entries.iter().all(|new| meta.is_unordered(new));
        !self.entries.is_empty() && (may() || meta.settings.rules.breaks(Rule::EarlyIsUnordered))
    }
}

impl WriteTicket {
    /// Whether it has entries that may be published before its data has been written.
    pub(crate) fn has_early(&self) -> bool {
        self.early
    }

    /// Takes these entries out. The ticket is then that of a write in place, but for its claims.
    pub(crate) fn take_early(&mut self) -> Option<EarlyEntries> {
        if !take(&mut self.early) {
            return None;
        }
        let slice = self.slice.take()?;
        self.runs.clear();
        Some(EarlyEntries { slice, entries: take(&mut self.entries) })
    }
}

impl Meta {
    /// Publishes `early`, and writes what is safe of its slice.
    ///
    /// # Errors
    /// The write failed; the storage has latched.
    pub(crate) fn publish_early(&self, early: EarlyEntries) -> Result<()> {
        let EarlyEntries { slice, entries } = early;
        self.publish(&slice, &self.changes(&entries));
        self.write_out(&[slice], Phase::One).map(drop)
    }
}
