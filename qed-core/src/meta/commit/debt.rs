//! What a forced write owes: that its own data, and the entries on the way to it, are stable. A
//! part of a flush (C7): entries of others are left to theirs, and so are the syncs they need.

use crate::addr::GuestCluster;
use crate::error::Result;
use crate::meta::Meta;
use crate::meta::commit::clock::Stamp;
use crate::meta::tables::slice::{SLICE_ENTRIES, SliceKey};

/// The debt of a write that has landed and been published.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Debt {
    first: GuestCluster,
    last: GuestCluster,
    data: Stamp,
}

impl Meta {
    /// The debt of a write of `length` bytes at `offset`, more than none, that has landed and been
    /// published before this call.
    pub(crate) fn debt_of(&self, offset: u64, length: u64) -> Debt {
        let last = offset.saturating_add(length.max(1)) - 1;
        let (first, last) = (self.guest_cluster(offset), self.guest_cluster(last));
        Debt { first, last, data: self.clock.now() }
    }

    /// Returns when what `debt` stands for is stable.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub(crate) fn pay(&self, debt: Debt) -> Result<()> {
        self.check_latch()?;
        let Debt { first, last, data } = debt;
        let slice_of = |index: u64| index / SLICE_ENTRIES as u64;
        let table = |cluster| SliceKey::L1(slice_of(self.geometry.l1_index(cluster)));
        let own = |cluster: GuestCluster| SliceKey::L2(slice_of(cluster.get()));
        let mut owed = self.unstable.between(table(first)..=table(last));
        owed.extend(self.unstable.between(own(first)..=own(last)));
        // A disk that was put to rest in between has paid, and counts its syncs anew.
        self.make_stable(&owed, Some(data.min(self.clock.now())))
    }
}
