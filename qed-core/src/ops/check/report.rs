//! The report of a check.

use crate::error::{Corruption, Error};
use crate::format::{Geometry, Header};
use crate::meta::repair::leaks::held;
use crate::meta::scan::Scan;
use crate::storage::Storage;

/// Findings that a report carries in full; the others are counted.
pub(super) const MAX_FINDINGS: usize = 100;

/// What a check found, after a repair what is left; clusters are counted in clusters of this image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// Bytes from the start of the file to the end of its last referenced cluster.
    pub image_end_offset: u64,
    /// Clusters of the guest's disk, the last one perhaps in part.
    pub total_clusters: u64,
    /// Entries of L2 tables that name a cluster, bad ones included.
    pub allocated_clusters: u64,
    /// Allocated clusters that do not lie directly behind the one before them in their table.
    pub fragmented_clusters: u64,
    /// Tables that could not be read.
    pub check_errors: u64,
    /// Why the first of them could not be read.
    pub first_check_error: Option<String>,
    /// Bad entries: dangling, misaligned, into metadata, or to a cluster that is taken.
    pub corruptions: u64,
    /// Clusters of the file that nobody references: harmless. Not counted (0) where a table could
    /// not be read: what it references is not known.
    pub leaks: u64,
    /// Those of them that hold no space: nothing is wasted.
    pub free_clusters: u64,
    /// Bad entries that were mended.
    pub corruptions_fixed: u64,
    /// Leaked clusters that were given back.
    pub leaks_fixed: u64,
    /// The first 100 corruptions that were found, those included that are mended by now.
    pub findings: Vec<Corruption>,
}

impl CheckReport {
    /// Whether nothing is broken (any more) and everything could be read; leaks break nothing.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.corruptions == 0 && self.check_errors == 0
    }

    /// Clusters that waste space: leaked, and not given back.
    #[must_use]
    pub fn wasted_clusters(&self) -> u64 {
        self.leaks.saturating_sub(self.free_clusters)
    }

    /// This, what is left of what was `found`.
    pub(super) fn after_repair(self, found: Self, leaks_fixed: u64) -> Self {
        let corruptions_fixed = found.corruptions.saturating_sub(self.corruptions);
        Self { corruptions_fixed, leaks_fixed, findings: found.findings, ..self }
    }
}

pub(super) fn make(
    storage: &dyn Storage,
    header: &Header,
    length: u64,
    found: &Scan,
    findings: Vec<Corruption>,
) -> CheckReport {
    let geometry = header.geometry;
    let leaks = if found.is_complete() { leaked(geometry, length, found) } else { 0 };
    let wasted = if leaks == 0 { 0 } else { wasted(storage, geometry, length, found) };
    CheckReport {
        image_end_offset: found.end.saturating_mul(geometry.cluster_size()),
        total_clusters: geometry.clusters_for(header.image_size),
        allocated_clusters: found.allocated,
        fragmented_clusters: found.fragmented,
        check_errors: found.unreadable,
        first_check_error: found.first_unreadable.as_ref().map(Error::to_string),
        corruptions: found.dangling + found.damage,
        leaks,
        free_clusters: leaks.saturating_sub(wasted),
        corruptions_fixed: 0,
        leaks_fixed: 0,
        findings,
    }
}

/// Clusters of the file that nobody references; a last one that is there in part is one of them.
fn leaked(geometry: Geometry, length: u64, found: &Scan) -> u64 {
    geometry.clusters_for(length).saturating_sub(found.refs.count())
}

/// Those of them that hold space. Where nobody can tell, they do.
fn wasted(storage: &dyn Storage, geometry: Geometry, length: u64, found: &Scan) -> u64 {
    let cluster_size = geometry.cluster_size();
    let gaps = found.refs.gaps(0..geometry.clusters_for(length));
    let held = |(start, count): (u64, u64)| {
        let end = (start + count).saturating_mul(cluster_size).min(length);
        held(storage, cluster_size, &(start * cluster_size..end)).unwrap_or(count)
    };
    gaps.map(held).sum()
}
