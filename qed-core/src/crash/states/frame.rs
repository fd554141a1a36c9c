//! The states that a power cut may leave within one window, as choices over settled content.
//!
//! A unit's settled version is the oldest that may be seen; every other version that may be seen is
//! a choice to lay on top. Leaving all choices out gives the least that must persist, taking all of
//! them what the running system saw. Any set of (choice, unit) pairs is a legal state, and no state
//! is legal that is not one; the file's length is one more unit of the operations that set it.

use super::history::{Change, History, Window};
use super::order::{Survivors, Version};
use super::state::State;
use crate::crash::medium::Medium;
use std::collections::{BTreeMap, HashMap};

/// What one operation may have left on the disk, or not.
#[derive(Debug)]
pub struct Choice {
    /// Index into [`History::changes`].
    pub change: usize,
    /// The units where it may be seen, ascending.
    pub units: Vec<u64>,
    /// The length, where it may be seen.
    pub length: Option<u64>,
    /// What the operation writes, at its place.
    patch: Medium,
}

impl Choice {
    /// What can be chosen one by one: its units, then its length.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.units.len() + usize::from(self.length.is_some())
    }
}

/// A window's settled content and its choices, which are in order of completion.
#[derive(Debug)]
pub struct Frame<'a> {
    /// The window, and its number among the log's.
    pub window: Window,
    /// The window's number among the log's.
    pub index: usize,
    /// What may persist or not.
    pub choices: Vec<Choice>,
    history: &'a History,
    /// The content with the first 0, [`STEP`], 2 * [`STEP`]... choices taken.
    prefixes: Vec<Medium>,
    /// The choices of each unit, ascending.
    covers: HashMap<u64, Vec<usize>>,
    /// The choices that set the length, ascending.
    lengths: Vec<usize>,
}

/// Prefixes are kept at every so many choices.
const STEP: usize = 32;

impl<'a> Frame<'a> {
    /// Window number `index` of a history.
    #[must_use]
    pub fn new(history: &'a History, window: Window, index: usize) -> Self {
        let mut builder = Builder::new(history);
        let issued: Vec<usize> = (0..history.changes.len())
            .filter(|index| history.changes[*index].span.issued_by(window.last))
            .collect();
        let mut covering: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for change in &issued {
            for unit in history.units_of(*change) {
                covering.entry(unit).or_default().push(*change);
            }
        }
        for (unit, changes) in covering {
            let Survivors { settled, choices } = builder.survivors(&changes, window);
            if let Some(change) = settled {
                builder.settle(change, unit);
            }
            choices.into_iter().for_each(|change| builder.choice(change).units.push(unit));
        }
        let sets_length = |change: &usize| history.changes[*change].length.is_some();
        let lengths: Vec<usize> = issued.into_iter().filter(sets_length).collect();
        let Survivors { settled, choices } = builder.survivors(&lengths, window);
        if let Some(length) = settled.and_then(|change| history.changes[change].length) {
            builder.settled.set_length(length);
        }
        for change in choices {
            builder.choice(change).length = history.changes[change].length;
        }
        builder.finish(window, index)
    }

    /// The operation behind a choice.
    #[must_use]
    pub fn change(&self, choice: usize) -> &'a Change {
        &self.history.changes[self.choices[choice].change]
    }

    /// The least that must persist.
    #[must_use]
    pub fn settled(&self) -> Medium {
        self.medium(&State::default())
    }

    /// The content of `state`.
    #[must_use]
    pub fn medium(&self, state: &State) -> Medium {
        let step = (state.prefix / STEP).min(self.prefixes.len() - 1);
        let mut medium = self.prefixes[step].clone();
        for choice in step * STEP..state.prefix {
            self.lay_whole(&mut medium, choice);
        }
        let mut units: Vec<(u64, Option<usize>)> = Vec::new();
        for choice in state.deviating() {
            let unit = |unit: &u64| (*unit, self.top(state, *unit));
            units.extend(self.choices[choice].units.iter().map(unit));
        }
        units.sort_unstable();
        for run in units.chunk_by(|(one, top), (next, other)| next - one <= 1 && top == other) {
            let source = run[0].1.map_or(&self.prefixes[0], |top| &self.choices[top].patch);
            self.copy(&mut medium, source, run[0].0..run[run.len() - 1].0 + 1);
        }
        let takes = |choice: &&usize| state.takes(**choice, self.choices[**choice].units.len());
        let top = self.lengths.iter().rev().find(takes);
        let length = top.and_then(|choice| self.choices[*choice].length);
        medium.set_length(length.unwrap_or(self.prefixes[0].length()));
        medium.cut();
        medium
    }

    /// The first crash point of the window at which `state` is legal.
    #[must_use]
    pub fn crash_point(&self, state: &State) -> usize {
        let taken = (0..self.choices.len()).filter(|choice| state.takes_any(*choice));
        let issues = taken.map(|choice| self.change(choice).span.issue + 1);
        issues.max().unwrap_or(0).max(self.window.first)
    }

    /// The topmost choice that `state` takes for a unit.
    fn top(&self, state: &State, unit: u64) -> Option<usize> {
        let covering = self.covers.get(&unit)?;
        let takes = |choice: &&usize| {
            let element = self.choices[**choice].units.binary_search(&unit);
            element.is_ok_and(|element| state.takes(**choice, element))
        };
        covering.iter().rev().find(takes).copied()
    }

    fn lay_whole(&self, medium: &mut Medium, choice: usize) {
        let Choice { units, patch, .. } = &self.choices[choice];
        for run in units.chunk_by(|one, next| next - one == 1) {
            self.copy(medium, patch, run[0]..run[run.len() - 1] + 1);
        }
    }

    fn copy(&self, medium: &mut Medium, source: &Medium, units: std::ops::Range<u64>) {
        let size = self.history.unit;
        medium.copy(source, units.start * size, (units.end - units.start) * size);
    }
}

struct Builder<'a> {
    history: &'a History,
    settled: Medium,
    /// What the changes write that units are settled by.
    patches: HashMap<usize, Medium>,
    choices: BTreeMap<usize, Choice>,
}

impl<'a> Builder<'a> {
    fn new(history: &'a History) -> Self {
        let settled = history.base.clone();
        Self { history, settled, patches: HashMap::new(), choices: BTreeMap::new() }
    }

    fn survivors(&self, changes: &[usize], window: Window) -> Survivors {
        let version = |index: &usize| -> Version {
            let change = &self.history.changes[*index];
            (*index, change.span, change.stable_at.is_some_and(|event| event < window.first))
        };
        Survivors::of(&changes.iter().map(version).collect::<Vec<_>>())
    }

    fn choice(&mut self, change: usize) -> &mut Choice {
        let patch = || self.history.patch(change);
        let empty = || Choice { change, units: Vec::new(), length: None, patch: patch() };
        self.choices.entry(change).or_insert_with(empty)
    }

    /// Gives a unit the version of a change.
    fn settle(&mut self, change: usize, unit: u64) {
        let patch = self.patches.entry(change).or_insert_with(|| self.history.patch(change));
        let size = self.history.unit;
        self.settled.copy(patch, unit * size, size);
    }

    fn finish(self, window: Window, index: usize) -> Frame<'a> {
        let Self { history, settled, choices, .. } = self;
        let choices: Vec<Choice> = choices.into_values().collect();
        let mut covers: HashMap<u64, Vec<usize>> = HashMap::new();
        let mut lengths = Vec::new();
        for (number, choice) in choices.iter().enumerate() {
            choice.units.iter().for_each(|unit| covers.entry(*unit).or_default().push(number));
            lengths.extend(choice.length.map(|_| number));
        }
        let prefixes = vec![settled];
        let mut frame = Frame { window, index, choices, history, prefixes, covers, lengths };
        for step in 1..=frame.choices.len() / STEP {
            let mut medium = frame.prefixes[step - 1].clone();
            ((step - 1) * STEP..step * STEP)
                .for_each(|choice| frame.lay_whole(&mut medium, choice));
            frame.prefixes.push(medium);
        }
        frame
    }
}
