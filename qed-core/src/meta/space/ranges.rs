//! Sets of clusters kept as runs: free space, quarantine, what may be cut.
//!
//! Runs never touch or overlap: neighbours are joined. Memory grows with the number of runs, not
//! with their length. A second index by length finds a run that fits without walking: small runs
//! are used up first, so that long ones stay whole for tables.

use std::collections::{BTreeMap, BTreeSet};

/// A set of cluster indexes, stored as `(start, length)` runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RangeSet {
    runs: BTreeMap<u64, u64>,
    by_length: BTreeSet<(u64, u64)>,
    total: u64,
}

impl RangeSet {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Clusters in the set.
    #[cfg(test)]
    pub(crate) fn len_total(&self) -> u64 {
        self.total
    }

    /// Runs in the set.
    #[cfg(test)]
    pub(crate) fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// The runs as `(start, length)`, lowest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> + '_ {
        self.runs.iter().map(|(&start, &length)| (start, length))
    }

    pub(crate) fn contains(&self, cluster: u64) -> bool {
        self.overlaps(cluster, 1)
    }

    /// Whether any of `length` clusters from `start` is in the set.
    pub(crate) fn overlaps(&self, start: u64, length: u64) -> bool {
        let end = start.saturating_add(length);
        length != 0 && self.last_run_before(end).is_some_and(|(run, len)| run + len > start)
    }

    /// Adds clusters that must not be in the set: a cluster freed twice is a bug of the caller.
    pub(crate) fn insert(&mut self, start: u64, length: u64) {
        debug_assert!(!self.overlaps(start, length), "clusters {start}+{length} inserted twice");
        if length == 0 {
            return;
        }
        let (mut low, mut high) = (start, start.saturating_add(length));
        while let Some((run, len)) = self.last_run_before(high.saturating_add(1)) {
            if run + len < low {
                break;
            }
            self.unlink(run, len);
            low = low.min(run);
            high = high.max(run + len);
        }
        self.link(low, high - low);
    }

    /// Takes those of `length` clusters from `start` that are in the set out of it; answers how
    /// many.
    pub(crate) fn remove_range(&mut self, start: u64, length: u64) -> u64 {
        self.drain_range(start, length).into_iter().map(|(_, taken)| taken).sum()
    }

    /// As [`remove_range`](Self::remove_range); answers which runs they were, the last one first.
    pub(crate) fn drain_range(&mut self, start: u64, length: u64) -> Vec<(u64, u64)> {
        let mut taken = Vec::new();
        let end = start.saturating_add(length);
        while let Some((run, len)) = self.last_run_before(end) {
            if length == 0 || run + len <= start {
                break;
            }
            self.unlink(run, len);
            self.link(run, start.saturating_sub(run));
            self.link(end, (run + len).saturating_sub(end));
            let (low, high) = (run.max(start), (run + len).min(end));
            taken.push((low, high - low));
        }
        taken
    }

    /// Takes up to `wanted` neighbouring clusters: from the shortest run that holds them all, else
    /// the whole longest run.
    pub(crate) fn take_up_to(&mut self, wanted: u64) -> Option<(u64, u64)> {
        if wanted == 0 {
            return None;
        }
        let fitting = self.by_length.range((wanted, 0)..).next();
        let &(length, start) = fitting.or_else(|| self.by_length.last())?;
        Some((start, self.take_front(start, length, wanted)))
    }

    /// Takes exactly `wanted` neighbouring clusters; answers the first.
    pub(crate) fn take_exact(&mut self, wanted: u64) -> Option<u64> {
        if wanted == 0 {
            return None;
        }
        let &(length, start) = self.by_length.range((wanted, 0)..).next()?;
        self.take_front(start, length, wanted);
        Some(start)
    }

    /// The start of the run whose last cluster is `end - 1`: what a file that ends at `end` can
    /// lose.
    pub(crate) fn run_ending_at(&self, end: u64) -> Option<u64> {
        self.last_run_before(end).filter(|(run, len)| run + len == end).map(|(run, _)| run)
    }

    fn take_front(&mut self, start: u64, length: u64, wanted: u64) -> u64 {
        let taken = wanted.min(length);
        self.unlink(start, length);
        self.link(start + taken, length - taken);
        taken
    }

    fn last_run_before(&self, end: u64) -> Option<(u64, u64)> {
        self.runs.range(..end).next_back().map(|(&start, &length)| (start, length))
    }

    fn link(&mut self, start: u64, length: u64) {
        if length != 0 {
            self.runs.insert(start, length);
            self.by_length.insert((length, start));
            self.total += length;
        }
    }

    fn unlink(&mut self, start: u64, length: u64) {
        self.runs.remove(&start);
        self.by_length.remove(&(length, start));
        self.total -= length;
    }
}

impl FromIterator<(u64, u64)> for RangeSet {
    fn from_iter<I: IntoIterator<Item = (u64, u64)>>(runs: I) -> Self {
        let mut set = Self::new();
        for (start, length) in runs {
            set.insert(start, length);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn runs(set: &RangeSet) -> Vec<(u64, u64)> {
        set.iter().collect()
    }

    #[test]
    fn neighbours_join() {
        let mut set = RangeSet::new();
        set.insert(10, 2);
        set.insert(14, 2);
        assert_eq!(runs(&set), [(10, 2), (14, 2)]);
        set.insert(12, 2);
        assert_eq!(runs(&set), [(10, 6)]);
        assert_eq!((set.len_total(), set.run_count()), (6, 1));
        assert_eq!(set.run_ending_at(16), Some(10));
        assert_eq!(set.run_ending_at(15), None);
        assert_eq!(set.run_ending_at(17), None);
        assert!(set.contains(10) && set.contains(15) && !set.contains(16) && !set.contains(9));
    }

    #[test]
    fn taking_prefers_the_shortest_run_that_fits() {
        let mut set: RangeSet = [(0, 8), (20, 3), (40, 1)].into_iter().collect();
        assert_eq!(set.take_up_to(2), Some((20, 2)));
        assert_eq!(set.take_up_to(1), Some((22, 1)));
        assert_eq!(set.take_up_to(100), Some((0, 8)), "nothing fits: the longest");
        assert_eq!(set.take_exact(2), None);
        assert_eq!(set.take_exact(1), Some(40));
        assert_eq!((set.take_exact(1), set.take_up_to(1)), (None, None));
        assert!(set.is_empty());
    }

    #[test]
    fn asking_for_nothing_takes_nothing() {
        let mut set: RangeSet = [(5, 5)].into_iter().collect();
        set.insert(100, 0);
        assert_eq!((set.take_up_to(0), set.take_exact(0), set.remove_range(6, 0)), (None, None, 0));
        assert_eq!(runs(&set), [(5, 5)]);
    }

    #[test]
    #[should_panic(expected = "inserted twice")]
    #[cfg(debug_assertions)]
    fn freeing_twice_is_caught() {
        let mut set: RangeSet = [(5, 5)].into_iter().collect();
        set.insert(9, 2);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64, u64),
        Remove(u64, u64),
        UpTo(u64),
        Exact(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0_u64..60, 0_u64..9).prop_map(|(s, n)| Step::Insert(s, n)),
            1 => (0_u64..60, 0_u64..20).prop_map(|(s, n)| Step::Remove(s, n)),
            1 => (0_u64..9).prop_map(Step::UpTo),
            1 => (0_u64..9).prop_map(Step::Exact),
        ];
        prop::collection::vec(step, 0..60)
    }

    /// Every maximal run of the model, as the set must show it.
    fn model_runs(model: &BTreeSet<u64>) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for &cluster in model {
            match runs.last_mut() {
                Some((start, length)) if *start + *length == cluster => *length += 1,
                _ => runs.push((cluster, 1)),
            }
        }
        runs
    }

    proptest! {
        #[test]
        fn any_sequence_equals_a_set_of_numbers(steps in steps()) {
            // Goal: runs, totals and both indexes never drift. Method: a plain set as the model.
            let (mut set, mut model) = (RangeSet::new(), BTreeSet::new());
            for step in steps {
                let longest = model_runs(&model).iter().map(|run| run.1).max().unwrap_or(0);
                match step {
                    Step::Insert(start, length) => {
                        if !set.overlaps(start, length) {
                            prop_assert!((start..start + length).all(|c| model.insert(c)));
                            set.insert(start, length);
                        }
                    }
                    Step::Remove(start, length) => {
                        let gone = (start..start + length).filter(|c| model.remove(c)).count();
                        prop_assert_eq!(set.remove_range(start, length), gone as u64);
                    }
                    Step::UpTo(wanted) => {
                        let (start, length) = set.take_up_to(wanted).unwrap_or((0, 0));
                        prop_assert_eq!(length, wanted.min(longest));
                        prop_assert!((start..start + length).all(|c| model.remove(&c)));
                    }
                    Step::Exact(wanted) => {
                        let taken = set.take_exact(wanted);
                        prop_assert_eq!(taken.is_some(), wanted != 0 && wanted <= longest);
                        let clusters = taken.map_or(0..0, |start| start..start + wanted);
                        prop_assert!(clusters.into_iter().all(|c| model.remove(&c)));
                    }
                }
                prop_assert_eq!(runs(&set), model_runs(&model));
                prop_assert_eq!(set.len_total(), model.len() as u64);
                prop_assert_eq!(set.by_length.len(), set.runs.len());
                prop_assert!((0..80).all(|c| set.contains(c) == model.contains(&c)));
            }
        }
    }
}
