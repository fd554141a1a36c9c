//! Cluster and table arithmetic (F2), without overflow for every legal size.

use crate::addr::{FileCluster, FileOffset, GuestCluster, GuestOffset};
use crate::error::Corruption;

/// The cluster size of a new image: 64 KiB.
pub const DEFAULT_CLUSTER_SIZE: u64 = 65536;
/// The table size of a new image: 4 clusters.
pub const DEFAULT_TABLE_SIZE: u64 = 4;
/// The last byte offset that a 63-bit file offset can address.
pub const MAX_FILE_OFFSET: u64 = i64::MAX as u64;

const MIN_CLUSTER_SIZE: u64 = 4096;
const MAX_CLUSTER_SIZE: u64 = 64 << 20;
const MAX_TABLE_SIZE: u64 = 16;
const SECTOR: u64 = 512;
const ENTRY_BYTES_LOG2: u32 = 3;

/// The cluster size and table size of an image; every value of this type is legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    cluster_bits: u32,
    table_bits: u32,
}

impl Geometry {
    /// A geometry of `cluster_size` bytes a cluster and `table_size` clusters a table.
    ///
    /// # Errors
    /// [`Corruption::ClusterSize`] or [`Corruption::TableSize`] where F1 does not allow the value.
    pub fn new(cluster_size: u64, table_size: u64) -> Result<Self, Corruption> {
        let clusters = MIN_CLUSTER_SIZE..=MAX_CLUSTER_SIZE;
        if !cluster_size.is_power_of_two() || !clusters.contains(&cluster_size) {
            return Err(Corruption::ClusterSize { found: cluster_size });
        }
        if !table_size.is_power_of_two() || table_size > MAX_TABLE_SIZE {
            return Err(Corruption::TableSize { found: table_size });
        }
        Ok(Self {
            cluster_bits: cluster_size.trailing_zeros(),
            table_bits: table_size.trailing_zeros(),
        })
    }

    /// Bytes in a cluster.
    #[must_use]
    pub fn cluster_size(self) -> u64 {
        1 << self.cluster_bits
    }

    /// Clusters in an L1 or L2 table.
    #[must_use]
    pub fn table_clusters(self) -> u64 {
        1 << self.table_bits
    }

    /// Bytes in an L1 or L2 table.
    #[must_use]
    pub fn table_bytes(self) -> u64 {
        1 << (self.cluster_bits + self.table_bits)
    }

    /// Entries in an L1 or L2 table: at least 512, at most 2^27.
    #[must_use]
    pub fn table_entries(self) -> u64 {
        1 << self.entry_bits()
    }

    /// Guest bytes that one L2 table maps: at most 2^53.
    #[must_use]
    pub fn l2_span(self) -> u64 {
        1 << (self.cluster_bits + self.entry_bits())
    }

    /// The largest image these sizes can address, a multiple of 512 (F2).
    #[must_use]
    pub fn max_image_size(self) -> u64 {
        let bits = self.cluster_bits + 2 * self.entry_bits();
        let most = MAX_FILE_OFFSET & !(SECTOR - 1);
        if bits >= u64::BITS - 1 { most } else { 1 << bits }
    }

    /// The guest cluster that holds `offset`.
    #[must_use]
    pub fn guest_cluster(self, offset: GuestOffset) -> GuestCluster {
        GuestCluster(offset.get() >> self.cluster_bits)
    }

    /// The first byte of guest cluster `cluster`.
    #[must_use]
    pub fn guest_offset(self, cluster: GuestCluster) -> GuestOffset {
        GuestOffset(cluster.get() << self.cluster_bits)
    }

    /// The file cluster that holds `offset`.
    #[must_use]
    pub fn file_cluster(self, offset: FileOffset) -> FileCluster {
        FileCluster(offset.get() >> self.cluster_bits)
    }

    /// The first byte of file cluster `cluster`.
    #[must_use]
    pub fn file_offset(self, cluster: FileCluster) -> FileOffset {
        FileOffset(cluster.get() << self.cluster_bits)
    }

    /// Bytes from the start of its cluster to `offset`.
    #[must_use]
    pub fn in_cluster(self, offset: u64) -> u64 {
        offset & (self.cluster_size() - 1)
    }

    /// The index in the L1 table of the L2 table that maps `cluster`.
    #[must_use]
    pub fn l1_index(self, cluster: GuestCluster) -> u64 {
        cluster.get() >> self.entry_bits()
    }

    /// The index of `cluster`'s entry in its L2 table.
    #[must_use]
    pub fn l2_index(self, cluster: GuestCluster) -> u64 {
        cluster.get() & (self.table_entries() - 1)
    }

    /// The guest cluster that entry `l2_index` of the L2 table at `l1_index` maps.
    #[must_use]
    pub fn cluster_at(self, l1_index: u64, l2_index: u64) -> GuestCluster {
        GuestCluster((l1_index << self.entry_bits()) | l2_index)
    }

    /// Whole clusters that `bytes` take, the last one perhaps in part.
    #[must_use]
    pub fn clusters_for(self, bytes: u64) -> u64 {
        bytes.div_ceil(self.cluster_size())
    }

    /// L1 entries that an image of `image_size` bytes uses: at most 2^21.
    #[must_use]
    pub fn l1_entries_for(self, image_size: u64) -> u64 {
        image_size.div_ceil(self.l2_span())
    }

    /// The part of a file of `file_length` bytes in which clusters may lie (F3.4).
    #[must_use]
    pub fn usable_length(self, file_length: u64) -> u64 {
        let most = MAX_FILE_OFFSET & !(SECTOR - 1);
        let sectors = file_length.min(most).div_ceil(SECTOR) * SECTOR;
        sectors & !(self.cluster_size() - 1)
    }

    /// Whether `offset` is a multiple of the cluster size.
    #[must_use]
    pub fn is_cluster_aligned(self, offset: u64) -> bool {
        self.in_cluster(offset) == 0
    }

    fn entry_bits(self) -> u32 {
        self.cluster_bits + self.table_bits - ENTRY_BYTES_LOG2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_legal() -> impl Iterator<Item = (u64, u64, Geometry)> {
        (12..=26).flat_map(|c| {
            (0..=4).filter_map(move |t| {
                let (cluster, table) = (1_u64 << c, 1_u64 << t);
                Geometry::new(cluster, table).ok().map(|g| (cluster, table, g))
            })
        })
    }

    #[test]
    fn every_legal_size_matches_wide_arithmetic() {
        // Goal: no legal geometry overflows. Method: all 75 of them against 128-bit arithmetic.
        assert_eq!(every_legal().count(), 75);
        for (cluster, table, geometry) in every_legal() {
            let entries = u128::from(cluster) * u128::from(table) / 8;
            assert_eq!(u128::from(geometry.table_entries()), entries);
            assert_eq!(u128::from(geometry.l2_span()), entries * u128::from(cluster));
            let maximum = (entries * entries * u128::from(cluster))
                .min(u128::from(MAX_FILE_OFFSET - SECTOR + 1));
            assert_eq!(u128::from(geometry.max_image_size()), maximum);
            assert!(geometry.l1_entries_for(geometry.max_image_size()) <= 1 << 21);
            assert!(geometry.l1_entries_for(geometry.max_image_size()) <= geometry.table_entries());
        }
    }

    #[test]
    fn documented_maxima() {
        let of = |c, t| Geometry::new(c, t).map(Geometry::max_image_size);
        assert_eq!(of(65536, 4), Ok(64 << 40));
        assert_eq!(of(4096, 4), Ok(16 << 30));
    }

    #[test]
    fn addresses_round_trip() {
        for (cluster, _, geometry) in every_legal() {
            let last = geometry.max_image_size() - 1;
            for offset in [0, 1, cluster - 1, cluster, last / 2, last] {
                let at = geometry.guest_cluster(GuestOffset(offset));
                let back = geometry.cluster_at(geometry.l1_index(at), geometry.l2_index(at));
                assert_eq!(back, at);
                let start = geometry.guest_offset(at).get();
                assert_eq!(start + geometry.in_cluster(offset), offset);
            }
        }
    }

    #[test]
    fn illegal_sizes_are_typed() {
        assert_eq!(Geometry::new(2048, 4), Err(Corruption::ClusterSize { found: 2048 }));
        assert_eq!(Geometry::new(12288, 4), Err(Corruption::ClusterSize { found: 12288 }));
        assert_eq!(Geometry::new(128 << 20, 4), Err(Corruption::ClusterSize { found: 128 << 20 }));
        assert_eq!(Geometry::new(0, 4), Err(Corruption::ClusterSize { found: 0 }));
        assert_eq!(Geometry::new(4096, 0), Err(Corruption::TableSize { found: 0 }));
        assert_eq!(Geometry::new(4096, 3), Err(Corruption::TableSize { found: 3 }));
        assert_eq!(Geometry::new(4096, 32), Err(Corruption::TableSize { found: 32 }));
    }

    #[test]
    fn usable_length_rounds_up_to_sectors_then_down_to_clusters() {
        let geometry = Geometry::new(4096, 1).unwrap();
        assert_eq!(geometry.usable_length(8192), 8192);
        assert_eq!(geometry.usable_length(8192 - 511), 8192);
        assert_eq!(geometry.usable_length(8192 - 512), 4096);
        assert!(geometry.usable_length(u64::MAX) <= MAX_FILE_OFFSET);
    }
}
