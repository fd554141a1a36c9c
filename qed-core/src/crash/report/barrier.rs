//! Which barrier is missing: what has to be on the disk before what else may be.

use super::shrink::Retry;
use crate::crash::explore::Finding;
use crate::crash::states::{Frame, State};

/// What a failing state says about order. Operations are named by their numbers in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// A sync is missing between any of the first ones and the others, which persist early.
    Between {
        /// Lost; had any of them persisted, nothing would be wrong.
        lost: Vec<u64>,
        /// On the disk although what is lost came before them.
        early: Vec<u64>,
    },
    /// These operations must persist as a whole or not at all.
    Whole(Vec<u64>),
    /// Everything up to a point persists: no barrier helps, the order itself is wrong.
    None,
}

/// The barrier that a failing state asks for, and a state that shows it with as little lost and as
/// little early as will do.
pub(super) fn infer(
    frame: &Frame<'_>,
    retry: &mut Retry<'_, '_>,
    state: &State,
    finding: Finding,
) -> (Barrier, State, Finding) {
    let id = |choice: &usize| frame.change(*choice).id;
    if !state.torn.is_empty() {
        let torn = state.torn.iter().map(|(choice, _)| id(choice)).collect();
        return (Barrier::Whole(torn), state.clone(), finding);
    }
    if state.flips.is_empty() {
        return (Barrier::None, state.clone(), finding);
    }
    let count = frame.choices.len();
    let mut taken: Vec<bool> = (0..count).map(|choice| state.takes_any(choice)).collect();
    let mut finding = finding;
    let end = last(&taken);
    // What need not be lost is not.
    for choice in 0..end {
        if !taken[choice] {
            taken[choice] = true;
            match retry.fails(&State::of(&taken)) {
                Some(again) => finding = again,
                None => taken[choice] = false,
            }
        }
    }
    let lost: Vec<usize> = (0..end).filter(|choice| !taken[*choice]).collect();
    let Some(first) = lost.first().copied() else {
        return (Barrier::None, State::of(&taken), finding);
    };
    // Early is what nothing is wrong without.
    let behind: Vec<usize> = (first..end).filter(|choice| taken[*choice]).collect();
    let mut early = behind.clone();
    early.retain(|choice| {
        let mut without = taken.clone();
        without[*choice] = false;
        retry.fails(&State::of(&without)).is_none()
    });
    let early = if early.is_empty() { &behind } else { &early };
    let barrier = Barrier::Between {
        lost: lost.iter().map(id).collect(),
        early: early.iter().map(id).collect(),
    };
    (barrier, State::of(&taken), finding)
}

/// Behind the last choice that is taken.
fn last(taken: &[bool]) -> usize {
    taken.iter().rposition(|taken| *taken).map_or(0, |last| last + 1)
}
