//! Reads that copy: what is read from below comes into the image's own file.

use std::io::IoSlice;

use super::engine::Run;
use super::write::zeroes;
use super::{Qcow2Disk, failure};
use crate::error::Result;
use crate::source::zero_below;

impl Qcow2Disk {
    /// Brings the clusters of a read into the file, where they are not there. What cannot be
    /// brought in is read from below all the same.
    pub(super) fn copy_for_read(&self, offset: u64, length: u64) {
        let (mut at, end) = (offset, offset.saturating_add(length));
        while at < end {
            match self.bring_in(at, end - at) {
                Ok(next) => at = next,
                Err(_) => return,
            }
        }
    }

    /// Brings the cluster of `offset` in, where it is absent; says how far what is there reaches,
    /// of `length` bytes.
    fn bring_in(&self, offset: u64, length: u64) -> Result<u64> {
        let failed = |error| failure("copying for a read", error).at(offset);
        let (run, found) = self.engine()?.lookup(offset, length).map_err(failed)?;
        if run != Run::Absent {
            return Ok(offset + found);
        }
        let (start, end) = self.cluster_of(offset);
        if zero_below(self.below.as_deref(), start, end)? {
            return Ok(end);
        }
        // Without the tables: the layers below have locks of their own.
        let mut whole = zeroes(end - start);
        self.read_below(&mut whole, start)?;
        self.begin(start, end - start)?;
        self.engine()?;
        // Alone with them: nobody writes between the look and the copy.
        let engine = self.engine.write();
        if engine.lookup(start, end - start).map_err(failed)?.0 == Run::Absent {
            self.settle_freed(&engine)?;
            let prepared = engine.prepare(start, end - start).map_err(failed)?;
            let (place, fresh) = (prepared.offset(), prepared.is_new());
            self.file.write_data(&[IoSlice::new(&whole)], place, fresh).map_err(failed)?;
            engine.commit(prepared).map_err(failed)?;
        }
        Ok(end)
    }
}
