//! Space that nothing names goes back to the file system (R7): the end of the file is cut off, what
//! lies inside is punched.

use std::io;
use std::ops::Range;
use std::slice;

use super::Desk;
use crate::error::{Error, Result};
use crate::meta::scan::Scan;
use crate::storage::Storage;

impl Desk<'_, '_> {
    /// Gives back what `scan`, which is complete, left out; answers how many clusters that were.
    ///
    /// # Errors
    /// A cut or a sync failed. What cannot be punched stays as it is.
    pub(super) fn give_back(&mut self, scan: &Scan) -> Result<u64> {
        let limits = self.storage.limits();
        if !limits.can_punch {
            return Ok(0);
        }
        let cluster_size = self.header.get().geometry.cluster_size();
        let mut given = 0;
        for (start, count) in scan.refs.gaps(0..scan.end) {
            let range = start * cluster_size..(start + count) * cluster_size;
            let held = held(self.storage, cluster_size, &range)?;
            (self.go_on)(0, 0)?;
            if held > 0 && self.punch(range)? {
                given += held;
            }
        }
        let end = scan.end.saturating_mul(cluster_size);
        if end < self.length {
            self.begin(0)?;
            (self.announce)(slice::from_ref(&(end..self.length)))?;
            let cut = self.storage.set_len(end);
            cut.map_err(|error| Error::io("cutting the image file", error).at(end))?;
            given += (self.length - end).div_ceil(cluster_size);
            self.length = end;
        }
        if given > 0 {
            self.sync()?;
        }
        Ok(given)
    }

    fn punch(&mut self, range: Range<u64>) -> Result<bool> {
        self.begin(0)?;
        (self.announce)(slice::from_ref(&range))?;
        match self.storage.punch(range.start, range.end - range.start) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(false),
            Err(error) => Err(Error::io("giving space back", error).at(range.start)),
        }
    }
}

/// Clusters of a range, which begins and ends with one, that hold any space.
///
/// # Errors
/// What the operating system reports.
pub(crate) fn held(storage: &dyn Storage, cluster_size: u64, range: &Range<u64>) -> Result<u64> {
    let mut held = 0;
    let mut at = range.start;
    while at < range.end {
        let extent = storage
            .stored_extent(at, range.end - at)
            .map_err(|error| Error::io("asking where the file holds data", error).at(at))?;
        let end = at.saturating_add(extent.length.max(1)).min(range.end);
        if extent.hole {
            at = end;
            continue;
        }
        // Up to the end of the last cluster that is touched, so that none is counted twice.
        let from = at - (at - range.start) % cluster_size;
        let to = (range.start + (end - range.start).next_multiple_of(cluster_size)).min(range.end);
        held += (to - from).div_ceil(cluster_size);
        at = to;
    }
    Ok(held)
}
