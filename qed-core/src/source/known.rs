//! What has been learnt of where a disk of constant content reads as zeroes.
//!
//! An optimisation, never an authority: what is not known has to be asked for. Bounded in memory;
//! looking takes no lock and writes to no memory that threads share.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// Runs that have been told of.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// In ascending order, apart from each other.
    runs: ArcSwap<Vec<Run>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    start: u64,
    end: u64,
    zero: bool,
}

impl Known {
    /// Where what is known of the run that holds `offset` ends, and whether it reads as zeroes.
    pub(crate) fn run_at(&self, offset: u64) -> Option<(u64, bool)> {
        let runs = self.runs.load();
        let after = runs.partition_point(|run| run.start <= offset);
        let run = runs.get(after.checked_sub(1)?)?;
        (offset < run.end).then_some((run.end, run.zero))
    }

    /// Remembers that `start..end` reads as zeroes, or is data.
    pub(crate) fn learn(&self, start: u64, end: u64, zero: bool) {
        self.runs.rcu(|runs| Arc::new(with(runs, Run { start, end, zero })));
    }
}

/// `runs` and `new`, joined where they go on alike. Where the two differ, `new` was told later.
fn with(runs: &[Run], mut new: Run) -> Vec<Run> {
    let mut all = Vec::with_capacity(runs.len() + 1);
    for run in runs {
        if run.zero == new.zero && run.start <= new.end && new.start <= run.end {
            new = Run { start: new.start.min(run.start), end: new.end.max(run.end), ..new };
        } else if run.end <= new.start || new.end <= run.start {
            all.push(*run);
        }
    }
    if all.len() >= MOST_RUNS {
        // What is asked for again is what is needed.
        all.clear();
    }
    let place = all.partition_point(|run| run.start < new.start);
    all.insert(place, new);
    all
}

/// 24 KiB of them.
const MOST_RUNS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_joined_where_they_go_on_alike() {
        let known = Known::default();
        assert_eq!(known.run_at(0), None);
        known.learn(100, 200, true);
        known.learn(300, 400, true);
        known.learn(200, 300, false);
        assert_eq!(known.run_at(99), None);
        assert_eq!(known.run_at(100), Some((200, true)));
        assert_eq!(known.run_at(199), Some((200, true)));
        assert_eq!(known.run_at(200), Some((300, false)));
        assert_eq!(known.run_at(300), Some((400, true)));
        assert_eq!(known.run_at(400), None);
        known.learn(400, 500, true);
        known.learn(50, 100, true);
        assert_eq!(known.run_at(60), Some((200, true)));
        assert_eq!(known.run_at(300), Some((500, true)));
        assert_eq!(known.runs.load().len(), 3);
    }

    #[test]
    fn what_was_told_later_stands() {
        let known = Known::default();
        known.learn(0, 100, true);
        known.learn(50, 60, false);
        assert_eq!(known.run_at(55), Some((60, false)));
        assert_eq!(known.run_at(0), None, "what it was part of is to be asked for again");
    }

    #[test]
    fn memory_is_bounded() {
        let known = Known::default();
        for number in 0..5000 {
            known.learn(10 * number, 10 * number + 5, number % 2 == 0);
            assert_eq!(known.run_at(10 * number), Some((10 * number + 5, number % 2 == 0)));
            assert!(known.runs.load().len() <= MOST_RUNS);
        }
    }
}
