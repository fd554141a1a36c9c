//! A set of byte ranges, which grows.

use std::collections::BTreeMap;

/// Ranges that are covered: start to end, apart from each other.
#[derive(Debug, Default)]
pub(super) struct Covered {
    ranges: BTreeMap<u64, u64>,
}

impl Covered {
    /// Covers a range as well.
    pub(super) fn insert(&mut self, mut start: u64, mut end: u64) {
        if start >= end {
            return;
        }
        while let Some((from, to)) = self.ranges.range(..=end).next_back().map(|(f, t)| (*f, *t)) {
            if to < start {
                break;
            }
            self.ranges.remove(&from);
            (start, end) = (start.min(from), end.max(to));
        }
        self.ranges.insert(start, end);
    }

    /// Whether `offset` is covered, and where that changes, at most at `limit`.
    pub(super) fn run(&self, offset: u64, limit: u64) -> (bool, u64) {
        if let Some((_, end)) = self.ranges.range(..=offset).next_back()
            && *end > offset
        {
            return (true, limit.min(*end));
        }
        let next = self.ranges.range(offset..).next().map_or(limit, |(start, _)| *start);
        (false, limit.min(next))
    }

    /// Ranges apart from each other.
    pub(super) fn count(&self) -> usize {
        self.ranges.len()
    }

    /// The ranges as start and end, lowest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ranges.iter().map(|(start, end)| (*start, *end))
    }
}
