//! What a repair has to know before it changes anything: how much is to be copied, which tables
//! have to move, and where nothing new may stand.
//!
//! A check stops at an entry that is damage. A survey walks on behind it: tables that overlap
//! another table are walked as well, so that whatever any possible reading of the file names is
//! marked.

use crate::error::{Error, ErrorKind, Result};
use crate::format::{Geometry, MAX_FILE_OFFSET};
use crate::meta::space::refs::Refs;
use std::ops::RangeInclusive;

#[derive(Debug)]
pub(crate) struct Survey {
    geometry: Geometry,
    /// New space that may be taken, in bytes.
    max_growth: u64,
    /// The clusters that new space may come from.
    outside: RangeInclusive<u64>,
    /// Clusters of L2 tables that L2 entries name, too.
    pub claimed: Refs,
    /// Clusters outside the file that bad entries name: were they taken, the entries would be
    /// references to them.
    pub kept_off: Refs,
    /// References to clusters that another entry names already.
    pub copies: u64,
    /// Tables that overlap another one.
    pub moves: u64,
}

impl Survey {
    pub(crate) fn new(geometry: Geometry, file_length: u64, max_growth: u64) -> Self {
        let cluster = geometry.cluster_size();
        // Clusters that are passed over, at most one for each bad entry, come on top; what they
        // push beyond the horizon is found to be too much in any case.
        let reach = file_length.saturating_add(max_growth.saturating_mul(2));
        let reach = reach.saturating_add(16 * geometry.table_bytes()).min(MAX_FILE_OFFSET);
        Self {
            geometry,
            max_growth,
            outside: geometry.usable_length(file_length) / cluster..=reach / cluster,
            claimed: Refs::new(),
            kept_off: Refs::new(),
            copies: 0,
            moves: 0,
        }
    }

    /// The last cluster that may be taken: what is named behind it is not known.
    pub(crate) fn horizon(&self) -> u64 {
        *self.outside.end()
    }

    /// Notes that `clusters` at `offset`, which a bad entry names, are to stay empty.
    pub(super) fn keep_off(&mut self, offset: u64, clusters: u64) {
        let first = offset / self.geometry.cluster_size();
        let last = first.saturating_add(clusters).min(*self.outside.end());
        for cluster in first.max(*self.outside.start())..=last {
            self.kept_off.set(cluster);
        }
    }

    /// Notes an L2 entry that names a cluster which is taken, perhaps by a table.
    ///
    /// # Errors
    /// As [`check_growth`](Self::check_growth).
    pub(super) fn claim(&mut self, cluster: u64, metadata: bool) -> Result<()> {
        // A table gives way to the first entry that claims its place.
        if metadata && !self.claimed.set(cluster) {
            return Ok(());
        }
        self.copies += 1;
        self.check_growth()
    }

    /// Notes a table that cannot stay where it is.
    ///
    /// # Errors
    /// As [`check_growth`](Self::check_growth).
    pub(crate) fn add_move(&mut self) -> Result<()> {
        self.moves += 1;
        self.check_growth()
    }

    /// Fails where the repair would need more new space than it may take.
    fn check_growth(&self) -> Result<()> {
        let copies = self.copies.saturating_mul(self.geometry.cluster_size());
        let moves = self.moves.saturating_mul(self.geometry.table_bytes());
        if copies.saturating_add(moves) <= self.max_growth {
            return Ok(());
        }
        let most = self.max_growth;
        let text = format!(
            "to separate what is referenced more than once takes more than {most} bytes of new \
             space; a larger max_growth would allow it"
        );
        Err(Error::new(ErrorKind::Refused, text))
    }
}
