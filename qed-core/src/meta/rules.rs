//! One switch for each rule of the commit protocol (`docs/crash-consistency.md`).
//!
//! In every build that people use all rules hold and the switches cost nothing. With the feature
//! `rule-switches` a test can break one rule and show the loss that the rule prevents.

/// A rule of the commit protocol that a test can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// C1: one sync before anything read counts as stable.
    FirstSync,
    /// C2: an entry past the durable length waits for the length.
    LengthIsData,
    /// C3: freshness dies with the first byte written.
    FreshnessDies,
    /// C4: only zeroes into fresh space are unordered.
    OrderedEntries,
    /// C5: a written sector is composed of safe values alone.
    SafeValuesOnly,
    /// C6: phase 2 takes exactly what its S1 covered.
    PhaseTwoCovered,
    /// C7: a flush owes what others have written but not synced.
    FlushOwesOthersWrites,
    /// C7: a flush owes what others have taken to write and not yet written.
    FlushAwaitsOthers,
    /// C8: one write in flight a table block.
    OneWriteInFlight,
    /// C9: a cluster is released by the value on disk, not by an epoch of flushes.
    ReleaseByValue,
    /// C9: a cluster is not released while a request holds it.
    RequestsHoldClusters,
    /// C10: a punch waits for the release.
    PunchAfterRelease,
    /// C10: a punched cluster is fresh only after a sync.
    PunchedIsFreshAfterSync,
    /// C11: a table in reused space is initialised whole and ordered.
    InitialiseReusedTables,
    /// C12: repairs are stable before the file grows.
    RepairBeforeGrowth,
    /// C12a: damage stops allocation.
    DamageStopsAllocation,
    /// C13: the free map's bit is cleared before the session changes anything.
    ClearFreeMapFirst,
    /// C13: the free map is distrusted where length or L1 differ.
    DistrustForeignFreeMap,
    /// C14: the file is cut only after a flush.
    CutAfterFlush,
    /// C15: a scan's free set leaves out what the session touched.
    ScanLeavesOutTouched,
    /// C16: reused and copied clusters are filled to their end.
    FillToTheEnd,
    /// C17: a failed sync or metadata write latches.
    Latch,
    /// C18: the header switches to what is stable already.
    SwitchAfterSync,
    /// C1: a session's first flush syncs for what an earlier, killed one left.
    FirstFlushSyncs,
    /// C2: a data entry waits for the length, also where its cluster is fresh.
    DataWaitsForLength,
    /// C2, C11: a table's entry waits for the length.
    TableWaitsForLength,
    /// C3: what a scan finds unreferenced and stored is not fresh.
    StoredIsNotFresh,
    /// C4: data over what is not zeroes is ordered, also in fresh space.
    OrderedOverData,
    /// C4: reused space is ordered, also under zeroes.
    OrderedReuse,
    /// C5, C6: S1 covers what phase 2 writes.
    SyncBetweenPhases,
    /// C6: what S1 turned safe is written in phase 2.
    PhaseTwoWrites,
    /// C7: a flush syncs what phase 2 wrote.
    SyncAfterPhaseTwo,
    /// C7: a flush covers data written in place.
    FlushCoversData,
    /// C7: what a flush owes is fixed before phase 1.
    DebtFixedAtCall,
    /// C7: a forced write that changed the mapping is followed by a flush.
    ForcedOwesMapping,
    /// C9: an image that has landed releases only when a sync covers it.
    ReleaseAfterSync,
    /// C10: where a punch failed the space is reused, not fresh.
    FailedPunchIsNotFresh,
    /// C11: a table in reused space is ordered.
    OrderReusedTables,
    /// C13: the map's bit is set when the map and the cut are stable.
    MapBeforeBit,
    /// C13: the map's bit is gone from the disk before the first change.
    ClearedBitIsStable,
    /// C14: a cut leaves what an entry names.
    CutKeepsEntries,
    /// C16: a reused cluster is filled before what is written.
    FillBefore,
    /// C16: a reused cluster is filled behind what is written.
    FillBehind,
    /// C16: what is filled comes from the backing file where that shows.
    FillFromBacking,
    /// C16: what is filled is zeroes where zeroes hide the backing file.
    FillZeroesAsZeroes,
    /// C4: over a backing file a discard says zeroes.
    DiscardHidesBacking,
    /// C17: a failed data write drops its plan.
    FailedDataDropsPlan,
    /// C4: the entry of a moved cluster is ordered.
    MoveIsOrdered,
    /// C4: the entry of a cluster copied from below is ordered.
    CopyIsOrdered,
    /// C18: the backing file's name goes when what it was needed for is stable.
    BackingAfterFlush,
    /// C9: a cluster is not moved under a write in place.
    MoveAwaitsWriters,
    /// C11: a table that replaces a table is stable before its L1 entry.
    MovedTableIsOrdered,
    /// C11: while either table may be named, no entry is written into one of them.
    TableHoldsWrites,
    /// C18: what lies beyond the end is stable before the size changes.
    BeyondBeforeSize,
    /// C18: growing clears what lies beyond the end.
    GrowClearsBeyond,
    /// C18: shrinking frees what lies beyond the end.
    ShrinkClearsBeyond,
    /// C18: shrinking waits for requests that may lie beyond the end.
    ShrinkWaits,
    /// C18: a table that hides the backing file goes when the smaller size is stable.
    HidingTablesLast,
    /// C12a: a repair does not change a table that is claimed as data.
    ClaimedTablesStay,
    /// C12: a repair takes no new space that a bad entry points to.
    NewSpaceIsNotNamed,
    /// C4: only unordered entries are published before their data has been written.
    EarlyIsUnordered,
    /// C4: what lies below reads as zeroes over the whole cluster.
    HolesCoverClusters,
}

impl Rule {
    /// All of them.
    #[cfg(feature = "rule-switches")]
    pub const ALL: [Self; 62] = [
        Self::FirstSync,
        Self::LengthIsData,
        Self::FreshnessDies,
        Self::OrderedEntries,
        Self::SafeValuesOnly,
        Self::PhaseTwoCovered,
        Self::FlushOwesOthersWrites,
        Self::FlushAwaitsOthers,
        Self::OneWriteInFlight,
        Self::ReleaseByValue,
        Self::RequestsHoldClusters,
        Self::PunchAfterRelease,
        Self::PunchedIsFreshAfterSync,
        Self::InitialiseReusedTables,
        Self::RepairBeforeGrowth,
        Self::DamageStopsAllocation,
        Self::ClearFreeMapFirst,
        Self::DistrustForeignFreeMap,
        Self::CutAfterFlush,
        Self::ScanLeavesOutTouched,
        Self::FillToTheEnd,
        Self::Latch,
        Self::SwitchAfterSync,
        Self::FirstFlushSyncs,
        Self::DataWaitsForLength,
        Self::TableWaitsForLength,
        Self::StoredIsNotFresh,
        Self::OrderedOverData,
        Self::OrderedReuse,
        Self::SyncBetweenPhases,
        Self::PhaseTwoWrites,
        Self::SyncAfterPhaseTwo,
        Self::FlushCoversData,
        Self::DebtFixedAtCall,
        Self::ForcedOwesMapping,
        Self::ReleaseAfterSync,
        Self::FailedPunchIsNotFresh,
        Self::OrderReusedTables,
        Self::MapBeforeBit,
        Self::ClearedBitIsStable,
        Self::CutKeepsEntries,
        Self::FillBefore,
        Self::FillBehind,
        Self::FillFromBacking,
        Self::FillZeroesAsZeroes,
        Self::DiscardHidesBacking,
        Self::FailedDataDropsPlan,
        Self::MoveIsOrdered,
        Self::CopyIsOrdered,
        Self::BackingAfterFlush,
        Self::MoveAwaitsWriters,
        Self::MovedTableIsOrdered,
        Self::TableHoldsWrites,
        Self::BeyondBeforeSize,
        Self::GrowClearsBeyond,
        Self::ShrinkClearsBeyond,
        Self::ShrinkWaits,
        Self::HidingTablesLast,
        Self::ClaimedTablesStay,
        Self::NewSpaceIsNotNamed,
        Self::EarlyIsUnordered,
        Self::HolesCoverClusters,
    ];
}

/// Which rules hold: all of them, unless a test says otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    #[cfg(feature = "rule-switches")]
    broken: u64,
}

impl Rules {
    /// Whether `rule` is broken in this image. Always false in builds that people use.
    #[inline]
    #[must_use]
    pub(crate) fn breaks(self, rule: Rule) -> bool {
        #[cfg(feature = "rule-switches")]
        return self.broken & (1 << rule as u64) != 0;
        #[cfg(not(feature = "rule-switches"))]
        {
            let _ = rule;
            false
        }
    }

    /// All rules but `rule`.
    #[cfg(feature = "rule-switches")]
    #[must_use]
    pub fn without(rule: Rule) -> Self {
        Self { broken: 1 << rule as u64 }
    }

    /// Whether a rule is broken.
    #[cfg(feature = "rule-switches")]
    #[must_use]
    pub fn break_any(self) -> bool {
        self.broken != 0
    }
}
