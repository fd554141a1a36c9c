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
}

/// Which rules hold: all of them, unless a test says otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    #[cfg(feature = "rule-switches")]
    broken: u32,
}

impl Rules {
    /// Whether `rule` is broken in this image. Always false in builds that people use.
    #[inline]
    #[must_use]
    pub(crate) fn breaks(self, rule: Rule) -> bool {
        #[cfg(feature = "rule-switches")]
        return self.broken & (1 << rule as u32) != 0;
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
        Self { broken: 1 << rule as u32 }
    }

    /// Whether a rule is broken.
    #[cfg(feature = "rule-switches")]
    #[must_use]
    pub fn break_any(self) -> bool {
        self.broken != 0
    }
}
