//! What was walked through and what failed; the reports of shards add up.

use crate::crash::random::mix;
use crate::crash::report::Failure;
use crate::crash::states::Mode;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// States of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// States built.
    pub generated: usize,
    /// Judgements: a content is judged again where less is legal.
    pub judged: usize,
}

/// What was walked through.
#[derive(Debug, Default)]
pub struct Report {
    /// Windows of crash points with anything of this report in them.
    pub windows: BTreeSet<usize>,
    /// By kind of disorder.
    pub modes: BTreeMap<Mode, Counts>,
    /// The digests of all contents.
    pub contents: BTreeSet<u64>,
    /// Windows of which only a part was walked, with their number of choices.
    pub sampled: BTreeMap<usize, usize>,
    /// Windows of which the ways to tear operations were sampled.
    pub torn_sampled: BTreeSet<usize>,
    /// The most choices a window had.
    pub largest: usize,
    /// States that were listed and left out for the budget.
    pub left_out: usize,
    /// What failed, in the order in which it was found.
    pub failures: Vec<Failure>,
}

impl Report {
    /// States built.
    #[must_use]
    pub fn generated(&self) -> usize {
        self.modes.values().map(|counts| counts.generated).sum()
    }

    /// States of distinct content.
    #[must_use]
    pub fn unique(&self) -> usize {
        self.contents.len()
    }

    /// Judgements.
    #[must_use]
    pub fn judged(&self) -> usize {
        self.modes.values().map(|counts| counts.judged).sum()
    }

    /// Whether every legal state was walked, as far as the plan's modes go: no window was sampled
    /// and nothing was left out.
    #[must_use]
    pub fn is_exhaustive(&self) -> bool {
        self.sampled.is_empty() && self.torn_sampled.is_empty() && self.left_out == 0
    }

    /// Equal where the same contents were walked, in whatever order and however cut.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.contents.iter().fold(0_u64, |sum, content| sum.wrapping_add(mix(*content)))
    }

    /// Adds what another shard found.
    pub fn merge(&mut self, other: Self) {
        self.windows.extend(other.windows);
        for (mode, counts) in other.modes {
            let sum = self.modes.entry(mode).or_default();
            sum.generated += counts.generated;
            sum.judged += counts.judged;
        }
        self.contents.extend(other.contents);
        self.sampled.extend(other.sampled);
        self.torn_sampled.extend(other.torn_sampled);
        self.largest = self.largest.max(other.largest);
        self.left_out += other.left_out;
        self.failures.extend(other.failures);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} states generated, {} unique, {} judged in {} windows",
            self.generated(),
            self.unique(),
            self.judged(),
            self.windows.len()
        )?;
        for (mode, counts) in &self.modes {
            write!(f, "; {}: {} of {}", mode.name(), counts.judged, counts.generated)?;
        }
        if !self.sampled.is_empty() {
            let (windows, most) = (self.sampled.len(), self.largest);
            write!(f, "; {windows} windows sampled, of up to {most} choices")?;
        }
        if !self.torn_sampled.is_empty() {
            write!(f, "; torn writes sampled in {} windows", self.torn_sampled.len())?;
        }
        if self.left_out > 0 {
            write!(f, "; {} states left out for the budget", self.left_out)?;
        }
        write!(f, "; {} failures", self.failures.len())
    }
}
