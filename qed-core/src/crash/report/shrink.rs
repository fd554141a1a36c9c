//! From a failing state to one with the fewest operations out of order that fails the same oracle.

use crate::crash::explore::{CrashState, Finding, Judge};
use crate::crash::states::{Frame, State};

/// Asks again about states of one window, within bounds.
pub(super) struct Retry<'a, 'f> {
    frame: &'f Frame<'f>,
    judge: &'a mut dyn Judge,
    oracle: String,
    /// Judgements that are left.
    left: usize,
}

/// No failure is worth more judgements than this.
const MOST: usize = 800;

impl<'a, 'f> Retry<'a, 'f> {
    pub(super) fn new(frame: &'f Frame<'f>, judge: &'a mut dyn Judge, oracle: &str) -> Self {
        Self { frame, judge, oracle: oracle.to_owned(), left: MOST }
    }

    /// What the same oracle says about `state`, if it objects.
    pub(super) fn fails(&mut self, state: &State) -> Option<Finding> {
        self.left = self.left.checked_sub(1)?;
        let (medium, t) = (self.frame.medium(state), self.frame.crash_point(state));
        let built = CrashState { frame: self.frame, state: state.clone(), medium, t };
        let verdict = self.judge.judge(std::slice::from_ref(&built)).pop()?;
        verdict.err().filter(|finding| finding.oracle == self.oracle)
    }

    /// The simplest state that fails, beginning with one that does.
    pub(super) fn shrink(&mut self, mut state: State, mut finding: Finding) -> (State, Finding) {
        // Operations are untorn, then put in order, one by one.
        let mut index = 0;
        while index < state.torn.len() {
            let mut lost = state.clone();
            let (choice, _) = lost.torn.remove(index);
            let mut whole = lost.clone();
            flip(&mut whole, choice);
            match self.first_failing([lost, whole]) {
                Some(simpler) => (state, finding) = simpler,
                None => index += 1,
            }
        }
        index = 0;
        while index < state.flips.len() {
            let mut simpler = state.clone();
            simpler.flips.remove(index);
            match self.first_failing([simpler]) {
                Some(simpler) => (state, finding) = simpler,
                None => index += 1,
            }
        }
        if state.torn.is_empty() {
            let count = self.frame.choices.len();
            let taken: Vec<bool> = (0..count).map(|choice| state.takes_any(choice)).collect();
            state = State::of(&taken);
        }
        self.one_deviation(state, finding)
    }

    /// Of states with one operation out of order the first that fails, where there is one.
    fn one_deviation(&mut self, state: State, finding: Finding) -> (State, Finding) {
        let count = self.frame.choices.len();
        if state.deviation() < 2 || count * count > self.left {
            return (state, finding);
        }
        for prefix in 0..=count {
            for choice in 0..count {
                let one = State { flips: vec![choice], ..State::prefix(prefix) };
                if let Some(finding) = self.fails(&one) {
                    return (one, finding);
                }
            }
        }
        (state, finding)
    }

    fn first_failing<const N: usize>(&mut self, states: [State; N]) -> Option<(State, Finding)> {
        states.into_iter().find_map(|state| self.fails(&state).map(|finding| (state, finding)))
    }
}

/// Turns a choice round.
fn flip(state: &mut State, choice: usize) {
    match state.flips.binary_search(&choice) {
        Ok(place) => drop(state.flips.remove(place)),
        Err(place) => state.flips.insert(place, choice),
    }
}
