//! Who has which cluster of the file, as memory knows it: for who moves clusters.

use std::ops::Range;

use crate::addr::{FileCluster, FileOffset, GuestCluster};
use crate::error::Result;
use crate::format::{L1Entry, L2Entry};
use crate::meta::Meta;
use crate::meta::tables::slice::SLICE_ENTRIES;

/// What a cluster of the file is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// No entry that can be seen names it.
    Nobody,
    /// A part of the L2 table of this index.
    Table(u64),
    /// The data of this guest cluster.
    Cluster(GuestCluster),
}

impl Meta {
    /// Who has the clusters of `window`, by one walk over all tables. `go_on` is asked now and
    /// then: its error ends the walk.
    ///
    /// # Errors
    /// A table that cannot be read, an entry that cannot be right.
    pub(crate) fn owners(
        &self,
        window: Range<u64>,
        go_on: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Vec<Owner>> {
        let count = usize::try_from(window.end - window.start).unwrap_or(0);
        let mut owners = vec![Owner::Nobody; count];
        let mut put = |offset: FileOffset, clusters: u64, owner: Owner| {
            let first = self.geometry.file_cluster(offset).get();
            for cluster in first.max(window.start)..(first + clusters).min(window.end) {
                let at = usize::try_from(cluster - window.start).unwrap_or(usize::MAX);
                if let Some(place) = owners.get_mut(at) {
                    *place = owner;
                }
            }
        };
        for index in 0..self.l1_entries() {
            let Some(table) = self.table_at(index)? else { continue };
            put(table, self.geometry.table_clusters(), Owner::Table(index));
            let mut next = self.geometry.cluster_at(index, 0);
            let end = GuestCluster(next.get() + self.geometry.table_entries());
            go_on()?;
            while let Some((cluster, offset)) = self.next_data(next, end)? {
                put(offset, 1, Owner::Cluster(cluster));
                next = GuestCluster(cluster.get() + 1);
            }
        }
        Ok(owners)
    }

    /// Entries of the L1 table that the image uses.
    pub(crate) fn l1_entries(&self) -> u64 {
        self.geometry.l1_entries_for(self.image_size())
    }

    /// Where table `index` stands.
    ///
    /// # Errors
    /// The entry cannot be right.
    pub(crate) fn table_at(&self, index: u64) -> Result<Option<FileOffset>> {
        Ok(match self.l1.entry(index)? {
            L1Entry::Table(table) => Some(table),
            L1Entry::Empty => None,
        })
    }

    /// The first guest cluster from `from` on and before `end` that has data, and where.
    ///
    /// # Errors
    /// As [`owners`](Self::owners).
    pub(crate) fn next_data(
        &self,
        from: GuestCluster,
        end: GuestCluster,
    ) -> Result<Option<(GuestCluster, FileOffset)>> {
        let mut at = from;
        while at < end {
            let _request = self.grace.enter();
            let Some(slice) = self.slice(at)? else {
                at = GuestCluster((at.get() | (self.geometry.table_entries() - 1)) + 1);
                continue;
            };
            let next = (at.get() | (SLICE_ENTRIES as u64 - 1)) + 1;
            while at.get() < next && at < end {
                if let L2Entry::Data(offset) = self.entry(&slice, at)? {
                    return Ok(Some((at, offset)));
                }
                at = GuestCluster(at.get() + 1);
            }
        }
        Ok(None)
    }

    /// The clusters of the table at `table`.
    pub(crate) fn clusters_of_table(&self, table: FileOffset) -> Vec<FileCluster> {
        let first = self.geometry.file_cluster(table).get();
        (first..first + self.geometry.table_clusters()).map(FileCluster).collect()
    }
}
