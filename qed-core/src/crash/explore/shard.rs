//! Work cut into pieces: each names its log, its seed and a range of states, and nothing else, so
//! that it can be sent anywhere. The pieces of any cut are the same states together.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// A range of the states of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// The digest of the log.
    pub log: u64,
    /// The plan's seed.
    pub seed: u64,
    /// Of each window at most so many states are walked.
    pub cap: usize,
    /// The first state: window, place in its list.
    pub first: (usize, usize),
    /// The state behind the last one.
    pub end: (usize, usize),
}

impl Shard {
    /// The places in a window's list that belong to this shard; the list is `count` long.
    #[must_use]
    pub fn range(&self, window: usize, count: usize) -> std::ops::Range<usize> {
        let count = count.min(self.cap);
        let first = match window.cmp(&self.first.0) {
            std::cmp::Ordering::Less => count,
            std::cmp::Ordering::Equal => self.first.1.min(count),
            std::cmp::Ordering::Greater => 0,
        };
        let end = match window.cmp(&self.end.0) {
            std::cmp::Ordering::Less => count,
            std::cmp::Ordering::Equal => self.end.1.min(count),
            std::cmp::Ordering::Greater => 0,
        };
        first..end.max(first)
    }

    /// Whether any state of a window may belong to this shard.
    #[must_use]
    pub fn touches(&self, window: usize) -> bool {
        (self.first.0..=self.end.0).contains(&window)
    }

    /// Cuts windows of so many states each into `parts` neighbouring ranges.
    #[must_use]
    pub fn cut(log: u64, seed: u64, cap: usize, counts: &[usize], parts: usize) -> Vec<Self> {
        let counts: Vec<usize> = counts.iter().map(|count| *count.min(&cap)).collect();
        let total: usize = counts.iter().sum();
        let parts = parts.clamp(1, total.max(1));
        let place = |ordinal: usize| {
            let mut rest = ordinal;
            for (window, count) in counts.iter().enumerate() {
                if rest < *count {
                    return (window, rest);
                }
                rest -= count;
            }
            (counts.len(), 0)
        };
        let bound = |part: usize| place(total / parts * part + (total % parts).min(part));
        (0..parts)
            .map(|part| Self { log, seed, cap, first: bound(part), end: bound(part + 1) })
            .collect()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { log, seed, cap, first, end } = self;
        write!(f, "{log:016x}/{seed}/{cap}/{}.{}-{}.{}", first.0, first.1, end.0, end.1)
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let words: Vec<&str> = text.split('/').collect();
            let [log, seed, cap, range] = words[..] else { return None };
            let (first, end) = range.split_once('-')?;
            let place = |text: &str| {
                let (window, ordinal) = text.split_once('.')?;
                Some((window.parse().ok()?, ordinal.parse().ok()?))
            };
            Some(Self {
                log: u64::from_str_radix(log, 16).ok()?,
                seed: seed.parse().ok()?,
                cap: cap.parse().ok()?,
                first: place(first)?,
                end: place(end)?,
            })
        };
        parse().ok_or_else(|| Error::invalid(format!("shard {text:?} makes no sense")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_is_the_same_states() {
        // Goal: no state is lost between shards and none is walked twice. Method: every number of
        // parts of some windows, each through its text.
        let counts = [5, 0, 1, 9, 3];
        for cap in [2, 4, 100] {
            for parts in 1..25 {
                let shards = Shard::cut(7, 3, cap, &counts, parts);
                let mut seen = Vec::new();
                for shard in &shards {
                    let shard: Shard = shard.to_string().parse().unwrap();
                    for (window, count) in counts.iter().enumerate() {
                        let range = shard.range(window, *count);
                        assert!(range.is_empty() || shard.touches(window));
                        seen.extend(range.map(|ordinal| (window, ordinal)));
                    }
                }
                let all = counts.iter().enumerate();
                let all =
                    all.flat_map(|(window, count)| (0..*count.min(&cap)).map(move |o| (window, o)));
                assert_eq!(seen, all.collect::<Vec<_>>(), "{parts} parts, at most {cap}");
            }
        }
        assert!("1/2/3".parse::<Shard>().is_err());
    }
}
