//! The states that a power cut may leave within one window, as choices over settled content.
//!
//! A unit's settled version is the oldest that may be seen; every other version that may be seen is
//! a choice to lay on top. Leaving all choices out gives the least that must persist, taking all of
//! them what the running system saw. Any set of (choice, unit) pairs is a legal state, and no state
//! is legal that is not one; the file's length is one more unit of the operations that set it.

use super::disk::{Disk, at};
use super::history::{Change, History, Window};
use super::order::{Span, Survivors, survivors};
use std::collections::BTreeMap;

/// What one operation may have left on the disk, or not.
#[derive(Debug)]
pub struct Choice {
    /// Index into [`History::changes`].
    pub change: usize,
    /// The units where it may be seen.
    pub units: Vec<u64>,
    /// The length, where it may be seen.
    pub length: Option<u64>,
}

impl Choice {
    /// What can be chosen one by one: its units, then its length.
    pub fn elements(&self) -> usize {
        self.units.len() + usize::from(self.length.is_some())
    }
}

/// A choice taken, in whole or in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Index into [`Frame::choices`].
    pub choice: usize,
    /// Which elements of it; none: all.
    pub elements: Option<Vec<usize>>,
}

/// One state: picks in ascending order of their choices.
pub type State = Vec<Pick>;

/// A window's settled content and its choices, which are in order of completion.
pub struct Frame<'a> {
    pub window: Window,
    pub choices: Vec<Choice>,
    history: &'a History,
    settled: Disk,
}

impl<'a> Frame<'a> {
    pub fn new(history: &'a History, window: Window) -> Self {
        let mut builder = Builder { history, settled: history.base.clone(), choices: Vec::new() };
        let issued: Vec<usize> = (0..history.changes.len())
            .filter(|index| history.changes[*index].span.issued_by(window.last))
            .collect();
        let mut covering: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for index in &issued {
            for unit in history.changes[*index].units.clone() {
                covering.entry(unit).or_default().push(*index);
            }
        }
        for (unit, changes) in covering {
            let Survivors { settled, choices } = builder.survivors(&changes, window);
            if let Some(change) = settled {
                lay(&mut builder.settled, history, change, unit);
            }
            choices.into_iter().for_each(|change| builder.choice(change).units.push(unit));
        }
        let lengths: Vec<usize> =
            issued.into_iter().filter(|index| history.changes[*index].length.is_some()).collect();
        let Survivors { settled, choices } = builder.survivors(&lengths, window);
        if let Some(length) = settled.and_then(|change| history.changes[change].length) {
            builder.settled.set_length(length);
        }
        for change in choices {
            builder.choice(change).length = history.changes[change].length;
        }
        let Builder { settled, mut choices, .. } = builder;
        choices.sort_by_key(|choice| choice.change);
        Self { window, choices, history, settled }
    }

    /// The operation behind a choice.
    pub fn change(&self, choice: usize) -> &'a Change {
        &self.history.changes[self.choices[choice].change]
    }

    /// The content of `state`.
    pub fn disk(&self, state: &[Pick]) -> Disk {
        let mut disk = self.settled.clone();
        for pick in state {
            let choice = &self.choices[pick.choice];
            match &pick.elements {
                None => {
                    choice.units.iter().for_each(|unit| self.lay(&mut disk, choice, *unit));
                    choice.length.iter().for_each(|length| disk.set_length(*length));
                }
                Some(elements) => {
                    for element in elements {
                        match (choice.units.get(*element), choice.length) {
                            (Some(unit), _) => self.lay(&mut disk, choice, *unit),
                            (None, Some(length)) => disk.set_length(length),
                            (None, None) => panic!("choice {choice:?} has no element {element}"),
                        }
                    }
                }
            }
        }
        disk.cut();
        disk
    }

    /// The first crash point of the window at which `state` is legal.
    pub fn crash_point(&self, state: &[Pick]) -> usize {
        let issues = state.iter().map(|pick| self.change(pick.choice).span.issue + 1);
        issues.max().unwrap_or(0).max(self.window.first)
    }

    fn lay(&self, disk: &mut Disk, choice: &Choice, unit: u64) {
        lay(disk, self.history, choice.change, unit);
    }
}

struct Builder<'a> {
    history: &'a History,
    settled: Disk,
    choices: Vec<Choice>,
}

impl Builder<'_> {
    fn survivors(&self, changes: &[usize], window: Window) -> Survivors {
        let version = |index: &usize| -> (usize, Span, bool) {
            let change = &self.history.changes[*index];
            (*index, change.span, change.stable_at.is_some_and(|event| event < window.first))
        };
        survivors(&changes.iter().map(version).collect::<Vec<_>>())
    }

    fn choice(&mut self, change: usize) -> &mut Choice {
        let found = self.choices.iter().position(|choice| choice.change == change);
        let index = found.unwrap_or_else(|| {
            self.choices.push(Choice { change, units: Vec::new(), length: None });
            self.choices.len() - 1
        });
        &mut self.choices[index]
    }
}

/// Gives `unit` the version of `change`.
fn lay(disk: &mut Disk, history: &History, change: usize, unit: u64) {
    let change = &history.changes[change];
    let size = history.unit;
    match &change.bytes {
        None => disk.zero(unit * size, size),
        Some(bytes) => {
            let skip = at((unit - change.units.start) * size);
            disk.write(unit * size, &bytes[skip..skip + at(size)]);
        }
    }
}
