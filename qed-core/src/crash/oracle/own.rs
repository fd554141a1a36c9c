//! A user's own oracle: any function of a state.

use super::case::Case;
use super::{Oracle, Verdict};
use crate::source::Format;
use std::fmt;

/// Judges by a function: of the case, with its content, its crash point and what is stable then.
pub struct Own<F> {
    name: String,
    judge: F,
}

impl<F: Fn(&Case<'_>) -> Verdict + Send + Sync> Own<F> {
    /// An oracle of this name.
    pub fn new(name: &str, judge: F) -> Self {
        Self { name: name.to_owned(), judge }
    }
}

impl<F> fmt::Debug for Own<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<F: Fn(&Case<'_>) -> Verdict + Send + Sync> Oracle for Own<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn judge(&self, case: &Case<'_>) -> Verdict {
        (self.judge)(case)
    }

    fn depends_on_time(&self) -> bool {
        true
    }

    fn serves(&self, _: Format) -> bool {
        true
    }
}
