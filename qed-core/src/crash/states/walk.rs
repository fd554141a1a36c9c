//! Which states of a window are walked, and in which order: fewest deviations first.
//!
//! Small windows are walked in full. Of large ones all prefixes, one deviation from each (a sample
//! where those are many), then samples of several deviations. Torn operations come last. The same
//! plan and window give the same list.

use super::frame::Frame;
use super::state::{Mode, State};
use crate::crash::random::{Random, mix};
use std::collections::BTreeSet;

/// What to walk through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// 512 or 4096: bytes that persist as a whole.
    pub unit: u64,
    /// Kinds of disorder that are tried.
    pub modes: BTreeSet<Mode>,
    /// Decides every sample.
    pub seed: u64,
    /// Windows of at most so many choices are walked in full (at most 16).
    pub full: usize,
    /// Windows of at most so many parts of operations are torn in every way (at most 16).
    pub torn_full: usize,
    /// At most so many states of each kind in a larger window.
    pub samples: usize,
    /// At most so many states of all windows together, spread over them.
    pub states: Option<usize>,
    /// Stop after so many failures.
    pub failures: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            unit: 512,
            modes: BTreeSet::from(Mode::ALL),
            seed: 0,
            full: 10,
            torn_full: 8,
            samples: 1500,
            states: None,
            failures: 1,
        }
    }
}

/// More choices than this are never walked in full, whatever a plan says.
const MOST: usize = 16;

impl Plan {
    /// Whether a window of so many choices is walked in full, as far as whole operations go.
    #[must_use]
    pub fn walks_in_full(&self, choices: usize) -> bool {
        choices <= self.full.min(MOST)
    }

    /// Whether every way to tear the operations of a window is walked, where that is asked for.
    #[must_use]
    pub fn tears_in_full(&self, frame: &Frame<'_>) -> bool {
        let mut elements = frame.choices.iter().map(super::Choice::elements);
        !self.modes.contains(&Mode::Torn)
            || elements.clone().all(|elements| elements < 2)
            || elements.by_ref().sum::<usize>() <= self.torn_full.min(MOST)
    }

    /// The states of a window, in order.
    #[must_use]
    pub fn states(&self, frame: &Frame<'_>) -> Vec<State> {
        let seed = mix(self.seed ^ mix(frame.index as u64 + 1));
        let mut walk = Walk {
            plan: self,
            elements: frame.choices.iter().map(super::Choice::elements).collect(),
            random: Random::new(seed),
        };
        let mut states = walk.whole();
        if self.modes.contains(&Mode::Torn) {
            states.extend(walk.torn());
        }
        states.retain(|state| self.modes.contains(&state.mode()));
        states
    }
}

struct Walk<'a> {
    plan: &'a Plan,
    /// The parts of each choice.
    elements: Vec<usize>,
    random: Random,
}

impl Walk<'_> {
    /// Sets of whole operations, by deviation.
    fn whole(&mut self) -> Vec<State> {
        let count = self.elements.len();
        let prefixes = (0..=count).map(State::prefix);
        if !self.plan.modes.contains(&Mode::Reorder) {
            return prefixes.collect();
        }
        if self.plan.walks_in_full(count) {
            let taken =
                |mask: u64| (0..count).map(|choice| mask >> choice & 1 == 1).collect::<Vec<_>>();
            let mut all: Vec<State> =
                (0..1_u64 << count).map(|mask| State::of(&taken(mask))).collect();
            all.sort_by_key(State::deviation);
            return all;
        }
        let mut walked: Vec<State> = prefixes.collect();
        let mut found = BTreeSet::new();
        let limit = 2 * self.plan.samples;
        for (prefix, choice) in self.pairs(count, limit) {
            let state = State { flips: vec![choice], ..State::prefix(prefix) };
            // The last of a prefix lost, or the first behind it early, is another prefix.
            let is_prefix = choice + 1 == prefix || choice == prefix;
            if !is_prefix && found.insert(state.clone()) {
                walked.push(state);
            }
        }
        for _ in 0..self.plan.samples {
            let state = self.sample(count);
            if state.deviation() > 1 && found.insert(state.clone()) {
                walked.push(state);
            }
        }
        walked
    }

    /// A prefix and a choice that deviates: every pair, or `limit` of them.
    fn pairs(&mut self, count: usize, limit: usize) -> Vec<(usize, usize)> {
        if (count + 1).saturating_mul(count) <= limit {
            return (0..=count).flat_map(|k| (0..count).map(move |choice| (k, choice))).collect();
        }
        (0..limit).map(|_| (self.random.below(count + 1), self.random.below(count))).collect()
    }

    /// A few deviations from some prefix, or anything.
    fn sample(&mut self, count: usize) -> State {
        let prefix = self.random.below(count + 1);
        if self.random.once_in(3) {
            let flips = (0..count).filter(|_| self.random.once_in(2)).collect();
            return State { flips, ..State::prefix(prefix) };
        }
        let mut flips = BTreeSet::new();
        for _ in 0..2 + self.random.below(3) {
            flips.insert(self.random.below(count));
        }
        State { flips: flips.into_iter().collect(), ..State::prefix(prefix) }
    }

    /// States in which operations persist in part.
    fn torn(&mut self) -> Vec<State> {
        let count = self.elements.len();
        if self.elements.iter().sum::<usize>() <= self.plan.torn_full.min(MOST) {
            return every_part(&self.elements);
        }
        let mut states = Vec::new();
        for choice in (0..count).filter(|choice| self.elements[*choice] > 1).collect::<Vec<_>>() {
            for part in self.parts(self.elements[choice]) {
                // After all before it, alone, and among all others.
                for prefix in [choice, 0, count] {
                    let torn = vec![(choice, part.clone())];
                    states.push(State { torn, ..State::prefix(prefix) });
                }
            }
        }
        if self.elements.iter().any(|elements| *elements > 1) {
            let samples = self.plan.samples.min(16 * count);
            states.extend((0..samples).map(|_| self.mixed()));
        }
        // Where much can be torn, a sample of it, in order.
        let limit = 4 * self.plan.samples;
        if states.len() > limit {
            let mut kept = BTreeSet::new();
            while kept.len() < limit {
                kept.insert(self.random.below(states.len()));
            }
            states = kept.into_iter().map(|index| states[index].clone()).collect();
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
            parts.push((0..count).filter(|_| self.random.once_in(2)).collect());
        }
        parts
    }

    /// Each operation not at all, whole, or in any part.
    fn mixed(&mut self) -> State {
        let mut state = State::default();
        for choice in 0..self.elements.len() {
            match self.random.below(4) {
                0 => {}
                1 => state.flips.push(choice),
                _ => {
                    let count = self.elements[choice];
                    let part: Vec<usize> = (0..count).filter(|_| self.random.once_in(2)).collect();
                    match part.len() {
                        0 => {}
                        all if all == count => state.flips.push(choice),
                        _ => state.torn.push((choice, part)),
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
        let mut taken = Vec::new();
        let mut torn = Vec::new();
        for (choice, count) in elements.iter().enumerate() {
            let part: Vec<usize> = (0..*count).filter(|element| rest >> element & 1 == 1).collect();
            rest >>= count;
            taken.push(part.len() == *count);
            if !part.is_empty() && part.len() < *count {
                torn.push((choice, part));
            }
        }
        let flips = (0..taken.len()).filter(|choice| taken[*choice]).collect();
        State { prefix: 0, flips, torn }
    };
    let masks = 0..1_u64 << elements.iter().sum::<usize>();
    let mut states: Vec<State> = masks.map(state).filter(|state| !state.torn.is_empty()).collect();
    states.sort_by_key(|state| state.torn.len());
    states
}
