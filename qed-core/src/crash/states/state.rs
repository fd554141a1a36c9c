//! One legal state: which choices persist, said as a deviation from the order of completion.
//!
//! Everything up to some choice persists and nothing behind it, but for the choices that are the
//! other way round, and those that persist in part. That is what a person reads in a failure, what
//! a replay line says, and how states are ordered: fewest deviations first.

use super::frame::Frame;
use crate::error::{Error, Result};
use std::fmt::Write;

/// A state of one [`Frame`].
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct State {
    /// The first so many choices persist.
    pub prefix: usize,
    /// Choices that do not as the prefix says, ascending: lost before its end, early behind it.
    pub flips: Vec<usize>,
    /// Choices that persist in part, ascending, and which elements of each do. No flip is torn.
    pub torn: Vec<(usize, Vec<usize>)>,
}

/// What kind of disorder a state shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Everything up to some point persists: what a replay of the log finds.
    Prefix,
    /// Whole operations persist in another order.
    Reorder,
    /// Some operation persists in part.
    Torn,
}

impl Mode {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Prefix, Self::Reorder, Self::Torn];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Reorder => "reorder",
            Self::Torn => "torn",
        }
    }
}

impl State {
    /// The first `prefix` choices, and no others.
    #[must_use]
    pub fn prefix(prefix: usize) -> Self {
        Self { prefix, ..Self::default() }
    }

    /// Whole choices, said by the nearest prefix.
    #[must_use]
    pub fn of(taken: &[bool]) -> Self {
        let (mut ones, mut best) = (taken.iter().filter(|taken| **taken).count(), 0);
        let mut least = ones;
        for (index, is_taken) in taken.iter().enumerate() {
            // One choice further: it counts if it is missing, no longer if it is there.
            ones = if *is_taken { ones - 1 } else { ones + 1 };
            if ones < least {
                (least, best) = (ones, index + 1);
            }
        }
        let flips = (0..taken.len()).filter(|index| taken[*index] != (*index < best)).collect();
        Self { prefix: best, flips, torn: Vec::new() }
    }

    /// What kind of disorder this is.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match (self.torn.is_empty(), self.flips.is_empty()) {
            (false, _) => Mode::Torn,
            (true, false) => Mode::Reorder,
            (true, true) => Mode::Prefix,
        }
    }

    /// Operations that are out of order or torn.
    #[must_use]
    pub fn deviation(&self) -> usize {
        self.flips.len() + self.torn.len()
    }

    /// Whether element `element` of a choice persists.
    #[must_use]
    pub fn takes(&self, choice: usize, element: usize) -> bool {
        match self.torn.binary_search_by_key(&choice, |(torn, _)| *torn) {
            Ok(index) => self.torn[index].1.contains(&element),
            Err(_) => self.takes_whole(choice),
        }
    }

    /// Whether anything of a choice persists.
    #[must_use]
    pub fn takes_any(&self, choice: usize) -> bool {
        self.is_torn(choice) || self.takes_whole(choice)
    }

    /// Whether a choice persists in part.
    #[must_use]
    pub fn is_torn(&self, choice: usize) -> bool {
        self.torn.binary_search_by_key(&choice, |(torn, _)| *torn).is_ok()
    }

    fn takes_whole(&self, choice: usize) -> bool {
        (choice < self.prefix) != self.flips.binary_search(&choice).is_ok()
    }

    /// The choices that are not as the prefix says.
    pub(super) fn deviating(&self) -> impl Iterator<Item = usize> + '_ {
        self.flips.iter().copied().chain(self.torn.iter().map(|(choice, _)| *choice))
    }
}

impl Frame<'_> {
    /// A state as one word, by the numbers that the log gives its operations:
    /// `window:prefix-lost+early~torn.part.part`.
    #[must_use]
    pub fn name(&self, state: &State) -> String {
        let mut name = format!("{}:{}", self.index, state.prefix);
        for flip in &state.flips {
            let sign = if *flip < state.prefix { '-' } else { '+' };
            let _ = write!(name, "{sign}{}", self.change(*flip).id);
        }
        for (choice, parts) in &state.torn {
            let _ = write!(name, "~{}", self.change(*choice).id);
            parts.iter().for_each(|part| {
                let _ = write!(name, ".{part}");
            });
        }
        name
    }

    /// The state that a name of this window says.
    ///
    /// # Errors
    /// Another window's name, or one that makes no sense here.
    pub fn parse(&self, name: &str) -> Result<State> {
        let wrong = |what: &str| Error::invalid(format!("state {name:?}: {what}"));
        let (window, rest) = split_name(name)?;
        if window != self.index {
            return Err(wrong("it is of another window"));
        }
        let signs = ['-', '+', '~'];
        let end = rest.find(signs).unwrap_or(rest.len());
        let number = |text: &str| text.parse::<usize>().map_err(|_| wrong("a number is missing"));
        let mut state = State::prefix(number(&rest[..end])?);
        let mut rest = &rest[end..];
        while let Some(sign) = rest.chars().next() {
            let end = rest[1..].find(signs).map_or(rest.len(), |end| end + 1);
            let mut words = rest[1..end].split('.');
            let id = number(words.next().unwrap_or(""))? as u64;
            let mut choices = 0..self.choices.len();
            let found = choices.find(|choice| self.change(*choice).id == id);
            let choice = found.ok_or_else(|| wrong(&format!("operation {id} is settled here")))?;
            match sign {
                '~' => state.torn.push((choice, words.map(number).collect::<Result<_>>()?)),
                _ => state.flips.push(choice),
            }
            rest = &rest[end..];
        }
        state.flips.sort_unstable();
        state.torn.sort();
        let elements = |(choice, parts): &(usize, Vec<usize>)| {
            parts.iter().all(|part| *part < self.choices[*choice].elements())
        };
        if state.prefix > self.choices.len() || !state.torn.iter().all(elements) {
            return Err(wrong("it asks for more than there is"));
        }
        Ok(state)
    }
}

/// The window of a state's name, and the rest of it.
///
/// # Errors
/// No window.
pub fn split_name(name: &str) -> Result<(usize, &str)> {
    let parts = name.split_once(':').and_then(|(window, rest)| Some((window.parse().ok()?, rest)));
    parts.ok_or_else(|| Error::invalid(format!("state {name:?}: it reads window:choices")))
}
