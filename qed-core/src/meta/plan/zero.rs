//! Plans for making whole clusters read as zeroes, freed or kept in place (F3.3, F8, C4, C9).

use crate::addr::GuestCluster;
use crate::error::Result;
use crate::format::L2Entry;
use crate::meta::Meta;
use crate::meta::plan::base::Base;
use crate::meta::plan::claims::{Claim, Claimed};
use crate::meta::plan::few::Few;
use crate::meta::plan::grace::Request;
use crate::meta::plan::lookup::{Place, Segment, entry_of, extend_or_push};
use crate::meta::rules::Rule;
use crate::meta::tables::slice::{Change, SLICE_ENTRIES};

/// What becomes of clusters that are allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allocated {
    /// They are freed.
    Free,
    /// They stay, and the caller zeroes them in place.
    Keep,
    /// They stay as they are; only what is unallocated turns into zero clusters, also where nothing
    /// lies below: another backing file is to come.
    Hide,
}

/// Clusters that now read as zeroes, but for the segments that the caller zeroes in place while it
/// holds the plan.
#[derive(Debug)]
pub(crate) struct ZeroPlan<'a> {
    /// Guest clusters that the plan covers.
    pub(crate) clusters: u64,
    /// Data to be zeroed in place.
    pub(crate) segments: Few<Segment>,
    _claimed: Option<Claimed<'a>>,
    _request: Request<'a>,
}

impl Meta {
    /// Makes some of the `count` clusters at `first` read as zeroes; the plan says how many. `end`
    /// is where the request ends: the last cluster counts as whole if that is the disk's end, and
    /// is left out where it is not any more.
    ///
    /// # Errors
    /// The request passes the end of the disk; a table that cannot be read, an entry that cannot be
    /// right, a session that may not change tables.
    pub(crate) fn plan_zeroes(
        &self,
        first: GuestCluster,
        count: u64,
        end: u64,
        allocated: Allocated,
    ) -> Result<ZeroPlan<'_>> {
        let start = self.geometry.guest_offset(first).get();
        let request = self.admit(start, end.saturating_sub(start))?;
        let whole = end == self.image_size() || start + count * self.geometry.cluster_size() <= end;
        let count = if whole { count } else { count - 1 };
        self.plan_zeroes_as(request, first, count, allocated)
    }

    /// As [`plan_zeroes`](Self::plan_zeroes), for clusters that may lie past the disk's end.
    pub(in crate::meta) fn plan_zeroes_as<'a>(
        &'a self,
        request: Request<'a>,
        first: GuestCluster,
        count: u64,
        allocated: Allocated,
    ) -> Result<ZeroPlan<'a>> {
        if count == 0 {
            let segments = Few::new();
            return Ok(ZeroPlan { clusters: 0, segments, _claimed: None, _request: request });
        }
        let mut base = Base::new(self.below());
        if allocated != Allocated::Hide && self.slice(first)?.is_none() {
            let span = self.geometry.table_entries();
            let empty = count.min(span - self.geometry.l2_index(first));
            let bytes = self.geometry.guest_offset(first).get();
            let end = bytes + empty * self.geometry.cluster_size();
            if base.reads_zero(bytes, end, false)? {
                let segments = Few::new();
                let plan =
                    ZeroPlan { clusters: empty, segments, _claimed: None, _request: request };
                return Ok(plan);
            }
        }
        self.begin_changes()?;
        let slice = self.slice_to_change(first)?;
        let clusters = count.min(SLICE_ENTRIES as u64 - entry_of(first) as u64);
        let range = first.get()..first.get() + clusters;
        let claimed = self.claims.take(range.clone().map(Claim::Cluster));
        let mut segments = Few::new();
        let mut changes = Vec::new();
        let size = self.geometry.cluster_size();
        for cluster in range.map(GuestCluster) {
            let start = self.geometry.guest_offset(cluster).get();
            let retires = match self.entry(&slice, cluster)? {
                L2Entry::Zero => continue,
                L2Entry::Data(offset) if allocated == Allocated::Keep => {
                    let place = Place::File(offset);
                    let segment = Segment { offset: start, length: size, place };
                    extend_or_push(&mut segments, segment);
                    continue;
                }
                L2Entry::Data(_) if allocated == Allocated::Hide => continue,
                L2Entry::Data(_) => true,
                L2Entry::Unallocated if allocated == Allocated::Hide => false,
                L2Entry::Unallocated if base.reads_zero(start, start + size, false)? => continue,
                L2Entry::Unallocated => false,
            };
            let hides = allocated == Allocated::Hide;
            let word = if hides { L2Entry::Zero } else { self.zero_entry(cluster) }.encode();
            changes.push(Change { entry: entry_of(cluster), word, wait: None, retires });
        }
        if !changes.is_empty() {
            self.publish(&slice, &changes);
        }
        Ok(ZeroPlan { clusters, segments, _claimed: Some(claimed), _request: request })
    }

    /// The entry that says zeroes: 0 where nothing lies under the cluster, which every reader knows
    /// (F8), else 1.
    pub(in crate::meta) fn zero_entry(&self, cluster: GuestCluster) -> L2Entry {
        let start = self.geometry.guest_offset(cluster).get();
        match self.backing() {
            Some(_) if self.settings.rules.breaks(Rule::DiscardHidesBacking) => {
                L2Entry::Unallocated
            }
            Some(backing) if start < backing.size() => L2Entry::Zero,
            _ => L2Entry::Unallocated,
        }
    }
}
