//! Walks through the legal states of a log and has each one judged.
//!
//! Within a window the order is by deviation: the fewest operations that persist early or are
//! missing, against the nearest state in which everything up to some point persisted (deviation 0
//! is what a replay of the log's prefixes finds). Small windows are walked in full, large ones by
//! low deviations and then by samples. Torn operations come last. Equal content is judged once.

use super::disk::{Disk, mix};
use super::history::History;
use super::report::{Failure, describe};
use super::states::{Frame, Pick, State};
use qed_core::storage::Log;
use std::collections::{BTreeSet, HashMap};

/// What to walk through.
#[derive(Clone, Debug)]
pub struct Options {
    /// 512 or 4096: bytes that persist as a whole.
    pub unit: u64,
    /// Which whole operations persist: all up to a point only, or any set.
    pub reorder: bool,
    /// Operations that persist in part.
    pub torn: bool,
    /// Decides every sample.
    pub seed: u64,
    /// Windows of at most so many choices are walked in full.
    pub full: usize,
    /// Windows of at most so many parts of operations are torn in every way.
    pub torn_full: usize,
    /// At most so many states of each kind in a larger window.
    pub samples: usize,
    /// Stop after so many failures.
    pub failures: usize,
    /// Judge this one state only: a failure's [`Failure::replay`].
    pub replay: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        let replay = std::env::var("QED_CRASH_REPLAY").ok();
        Self {
            unit: 512,
            reorder: true,
            torn: true,
            seed: 0,
            full: 10,
            torn_full: 8,
            samples: 1500,
            failures: 1,
            replay,
        }
    }
}

/// What was walked through.
#[derive(Debug, Default)]
pub struct Report {
    pub windows: usize,
    /// States built.
    pub generated: usize,
    /// States of distinct content.
    pub unique: usize,
    /// Judgements: a content is judged again where less is legal.
    pub judged: usize,
    /// Windows of which only samples were walked, and the most choices one had.
    pub sampled: usize,
    pub largest: usize,
    pub failures: Vec<Failure>,
}

impl Report {
    /// Fails the test with the first failure's whole story.
    pub fn assert_ok(&self, name: &str) {
        if let Some(failure) = self.failures.first() {
            panic!("{name}: {failure}");
        }
    }
}

/// Judges every state that a power cut may have left of `log`.
///
/// `boundaries` are events behind which `judge` is stricter. It gets a state and the first crash
/// point at which that state is legal.
pub fn explore(
    log: &Log,
    boundaries: &[usize],
    options: &Options,
    mut judge: impl FnMut(&Disk, usize) -> Result<(), String>,
) -> Report {
    let history = History::new(log, options.unit);
    let mut report = Report::default();
    let mut seen: HashMap<(u64, usize), usize> = HashMap::new();
    let mut contents = BTreeSet::new();
    for (index, window) in history.windows(boundaries).into_iter().enumerate() {
        let frame = Frame::new(&history, window);
        report.windows += 1;
        report.largest = report.largest.max(frame.choices.len());
        report.sampled += usize::from(frame.choices.len() > options.full);
        for state in states_of(&frame, index, options) {
            report.generated += 1;
            let disk = frame.disk(&state);
            let digest = disk.digest();
            report.unique += usize::from(contents.insert(digest));
            let t = frame.crash_point(&state);
            let before = seen.entry((digest, window.epoch)).or_insert(usize::MAX);
            if *before <= t {
                continue;
            }
            *before = t;
            report.judged += 1;
            if let Err(what) = judge(&disk, t) {
                report.failures.push(describe(log, &frame, index, &state, t, what));
                if report.failures.len() >= options.failures {
                    return report;
                }
            }
        }
    }
    report
}

fn states_of(frame: &Frame<'_>, index: usize, options: &Options) -> Vec<State> {
    if let Some(replay) = &options.replay {
        return super::report::parse(replay, index, frame).into_iter().collect();
    }
    let seed = mix(options.seed ^ mix(index as u64 + 1));
    let mut walk = Walk { choices: frame.choices.len(), random: Random(seed), options };
    let mut states: Vec<State> = walk.whole().iter().map(|chosen| picks(chosen)).collect();
    if options.torn {
        states.extend(walk.torn(frame));
    }
    states
}

fn picks(chosen: &[bool]) -> State {
    let taken = chosen.iter().enumerate().filter(|(_, taken)| **taken);
    taken.map(|(choice, _)| Pick { choice, elements: None }).collect()
}

struct Walk<'a> {
    choices: usize,
    random: Random,
    options: &'a Options,
}

impl Walk<'_> {
    /// Sets of whole operations, by deviation.
    fn whole(&mut self) -> Vec<Vec<bool>> {
        let count = self.choices;
        let prefixes: Vec<Vec<bool>> =
            (0..=count).map(|k| (0..count).map(|choice| choice < k).collect()).collect();
        if !self.options.reorder {
            return prefixes;
        }
        if count <= self.options.full {
            let mut all: Vec<Vec<bool>> = (0..1_u64 << count)
                .map(|mask| (0..count).map(|choice| mask >> choice & 1 == 1).collect())
                .collect();
            all.sort_by_cached_key(|chosen| deviation(chosen));
            return all;
        }
        let mut found: BTreeSet<Vec<bool>> = prefixes.iter().cloned().collect();
        let mut walked = prefixes.clone();
        // One deviation: every one of them, or a sample where the window is huge.
        let mut flips: Vec<(usize, usize)> =
            (0..=count).flat_map(|k| (0..count).map(move |choice| (k, choice))).collect();
        self.random.shuffle_beyond(&mut flips, 2 * self.options.samples);
        for (k, choice) in flips {
            let mut chosen = prefixes[k].clone();
            chosen[choice] = !chosen[choice];
            if found.insert(chosen.clone()) {
                walked.push(chosen);
            }
        }
        for _ in 0..self.options.samples {
            let chosen = self.sample(&prefixes);
            if found.insert(chosen.clone()) {
                walked.push(chosen);
            }
        }
        walked
    }

    /// A few deviations from some prefix, or anything.
    fn sample(&mut self, prefixes: &[Vec<bool>]) -> Vec<bool> {
        let mut chosen = prefixes[self.random.below(prefixes.len())].clone();
        match self.random.below(3) {
            0 => chosen.iter_mut().for_each(|taken| *taken = self.random.below(2) == 0),
            _ => {
                for _ in 0..2 + self.random.below(3) {
                    let choice = self.random.below(chosen.len());
                    chosen[choice] = !chosen[choice];
                }
            }
        }
        chosen
    }

    /// States in which operations persist in part.
    fn torn(&mut self, frame: &Frame<'_>) -> Vec<State> {
        let elements: Vec<usize> = frame.choices.iter().map(|choice| choice.elements()).collect();
        if elements.iter().sum::<usize>() <= self.options.torn_full {
            return every_part(&elements);
        }
        let mut states = Vec::new();
        for (choice, count) in elements.iter().enumerate().filter(|(_, count)| **count > 1) {
            for part in self.parts(*count) {
                let pick = || Pick { choice, elements: Some(part.clone()) };
                // After all before it, alone, and among all others.
                for (before, after) in [(true, false), (false, false), (true, true)] {
                    let mut state = vec![before; choice];
                    state.resize(self.choices, after);
                    state[choice] = false;
                    let mut state = picks(&state);
                    let place = state.partition_point(|other| other.choice < choice);
                    state.insert(place, pick());
                    states.push(state);
                }
            }
        }
        if elements.iter().any(|count| *count > 1) {
            let samples = self.options.samples.min(16 * self.choices);
            states.extend((0..samples).map(|_| self.mixed(&elements)));
        }
        states
    }

    /// Proper parts of an operation of `count` elements: all where there are few.
    fn parts(&mut self, count: usize) -> Vec<Vec<usize>> {
        let of = |test: &dyn Fn(usize) -> bool| (0..count).filter(|e| test(*e)).collect::<Vec<_>>();
        if count <= 4 {
            return (1..(1 << count) - 1).map(|mask: usize| of(&|e| mask >> e & 1 == 1)).collect();
        }
        let half = count / 2;
        let mut parts = vec![
            of(&|e| e == 0),
            of(&|e| e == count - 1),
            of(&|e| e < half),
            of(&|e| e >= half),
            of(&|e| e != 0),
            of(&|e| e != count - 1),
            of(&|e| e % 2 == 0),
            of(&|e| e % 2 == 1),
        ];
        for _ in 0..4 {
            let random: Vec<bool> = (0..count).map(|_| self.random.below(2) == 0).collect();
            parts.push(of(&|e| random[e]));
        }
        parts
    }

    /// Each operation not at all, whole, or in any part.
    fn mixed(&mut self, elements: &[usize]) -> State {
        let mut state = State::new();
        for (choice, count) in elements.iter().enumerate() {
            match self.random.below(4) {
                0 => {}
                1 => state.push(Pick { choice, elements: None }),
                _ => {
                    let part: Vec<usize> =
                        (0..*count).filter(|_| self.random.below(2) == 0).collect();
                    if !part.is_empty() {
                        state.push(Pick { choice, elements: Some(part) });
                    }
                }
            }
        }
        state
    }
}

/// Every set of elements in which an operation is torn, the fewest torn ones first.
fn every_part(elements: &[usize]) -> Vec<State> {
    let state = |mask: u64| {
        let mut rest = mask;
        let mut state = State::new();
        for (choice, count) in elements.iter().enumerate() {
            let part: Vec<usize> = (0..*count).filter(|element| rest >> element & 1 == 1).collect();
            rest >>= count;
            if !part.is_empty() {
                state.push(Pick { choice, elements: (part.len() < *count).then_some(part) });
            }
        }
        state
    };
    let torn = |state: &State| state.iter().filter(|pick| pick.elements.is_some()).count();
    let masks = 0..1_u64 << elements.iter().sum::<usize>();
    let mut states: Vec<State> = masks.map(state).filter(|state| torn(state) > 0).collect();
    states.sort_by_key(torn);
    states
}

/// How many operations are out of order against the nearest prefix.
pub fn deviation(chosen: &[bool]) -> usize {
    let taken = |chosen: &[bool]| chosen.iter().filter(|taken| **taken).count();
    let against = |k: usize| k - taken(&chosen[..k]) + taken(&chosen[k..]);
    (0..=chosen.len()).map(against).min().unwrap_or(0)
}

/// The same numbers for the same seed, everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        let limit = limit.max(1) as u64;
        super::disk::at(self.next() % limit)
    }

    /// Keeps `limit` of `list`, chosen at random, where it is longer.
    fn shuffle_beyond<T>(&mut self, list: &mut Vec<T>, limit: usize) {
        if list.len() > limit {
            for kept in 0..limit {
                let other = kept + self.below(list.len() - kept);
                list.swap(kept, other);
            }
            list.truncate(limit);
        }
    }
}
