//! Emptying an image: every cluster is left to the backing file again, and the file is cut back.

use crate::error::Result;
use crate::format::L1Entry;
use crate::meta::Meta;
use crate::meta::tables::slice::{Change, SLICE_ENTRIES};

impl Meta {
    /// Empties the image and ends the session. No request is running. Whoever calls this has seen
    /// to it that the backing file holds, stable, what the guest reads: then each L1 entry that is
    /// dropped changes nothing for the guest, and any of them may reach the disk before the others.
    ///
    /// The tables are dropped whole, with what they name, so nothing is left to free one by one:
    /// when no L1 entry is on the disk any more (C9), all that lies behind the L1 table goes (C14).
    ///
    /// # Errors
    /// As [`begin_changes`](Self::begin_changes); a failed read, write or sync.
    pub(crate) fn reset(&self) -> Result<()> {
        self.begin_changes()?;
        self.background.stop();
        self.flush()?;
        let mut index = 0;
        while let Some((slice, _)) = self.l1.place(index)? {
            let named = |entry: &usize| slice.word(*entry) != Ok(L1Entry::Empty.encode());
            let word = L1Entry::Empty.encode();
            let drop = |entry| Change { entry, word, wait: None, retires: false };
            let changes: Vec<Change> = (0..SLICE_ENTRIES).filter(named).map(drop).collect();
            if !changes.is_empty() {
                self.publish(slice, &changes);
            }
            index += SLICE_ENTRIES as u64;
        }
        self.flush()?;
        let header = self.header.get();
        let l1 = header.l1_table_offset.get();
        let before = l1 - header.header_bytes();
        if before > 0 && self.storage.limits().can_punch {
            // What another writer put in front of the L1 table. A failure leaves a leak.
            let _ = self.storage.punch(header.header_bytes(), before);
        }
        self.cut(l1 + self.geometry.table_bytes())
    }
}
