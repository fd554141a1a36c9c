//! When operations ran, and which of them a sync made stable.
//!
//! The same rules serve the disk (writes and syncs) and the guest (calls and flushes). Times are
//! indexes of events; crash point `t` lies behind the first `t` events. Operation A comes before
//! B only if A had completed when B was issued: otherwise either may be on top.

/// One operation's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The event of its issue.
    pub issue: usize,
    /// The event of its completion, if it came to that.
    pub completion: Option<usize>,
    /// It completed without an error.
    pub done: bool,
    /// It is stable by itself when it completes (forced unit access).
    pub forced: bool,
}

impl Span {
    /// Whether a crash at `t` comes after its issue.
    #[must_use]
    pub fn issued_by(&self, t: usize) -> bool {
        self.issue < t
    }

    /// Whether this had completed when `other` was issued.
    #[must_use]
    pub fn precedes(&self, other: &Self) -> bool {
        self.completion.is_some_and(|completion| completion < other.issue)
    }

    /// Sorts by completion; what never completed comes last, by issue.
    #[must_use]
    pub fn key(&self) -> (usize, usize) {
        (self.completion.unwrap_or(usize::MAX), self.issue)
    }
}

/// The syncs of a log, or the flushes of a guest, as far as they were answered.
#[derive(Clone, Debug, Default)]
pub struct Syncs {
    /// In order of completion.
    answered: Vec<Span>,
}

impl Syncs {
    /// Those of `syncs` that were answered.
    #[must_use]
    pub fn new(mut syncs: Vec<Span>) -> Self {
        syncs.retain(|sync| sync.completion.is_some());
        syncs.sort_by_key(Span::key);
        Self { answered: syncs }
    }

    /// The event since which `span` must persist, if any.
    ///
    /// A sync covers what completed before it was issued. A failed sync may have dropped whatever
    /// was unsynced then: no later sync covers that any more.
    #[must_use]
    pub fn stable_at(&self, span: &Span) -> Option<usize> {
        let completion = span.completion.filter(|_| span.done)?;
        if span.forced {
            return Some(completion);
        }
        // What ended before this was issued neither covers nor drops it.
        let first = self.answered.partition_point(|sync| sync.key().0 < span.issue);
        let deciding = self.answered[first..].iter().find(|sync| !sync.done || span.precedes(sync));
        deciding.filter(|sync| sync.done).and_then(|sync| sync.completion)
    }
}

/// A version of something: a number, when it was made, and whether it is stable.
pub type Version = (usize, Span, bool);

/// The versions of one thing that may be seen.
#[derive(Debug, Default)]
pub struct Survivors {
    /// The version that is there if no choice is taken; none: what was there at first.
    pub settled: Option<usize>,
    /// The versions that may lie on top, in order of completion.
    pub choices: Vec<usize>,
}

impl Survivors {
    /// Which of `versions` may be seen. They come in order of completion.
    #[must_use]
    pub fn of(versions: &[Version]) -> Self {
        let overwritten =
            |span: &Span| versions.iter().any(|(_, later, stable)| *stable && span.precedes(later));
        let mut found = Self::default();
        for (number, span, stable) in versions {
            if overwritten(span) {
                continue;
            }
            if *stable && found.settled.is_none() {
                found.settled = Some(*number);
            } else {
                found.choices.push(*number);
            }
        }
        found
    }
}
