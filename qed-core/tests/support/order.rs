//! When operations ran, and which of them a sync made stable.
//!
//! The same rules serve the disk (writes and syncs) and the guest (calls and flushes). Times are
//! indexes of events; crash point `t` lies behind the first `t` events. Operation A comes before
//! B only if A had completed when B was issued: otherwise either may be on top.

/// One operation's life.
#[derive(Clone, Copy, Debug)]
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
    pub fn issued_by(&self, t: usize) -> bool {
        self.issue < t
    }

    /// Whether this had completed when `other` was issued.
    pub fn precedes(&self, other: &Self) -> bool {
        self.completion.is_some_and(|completion| completion < other.issue)
    }

    /// Sorts by completion; what never completed comes last, by issue.
    pub fn key(&self) -> (usize, usize) {
        (self.completion.unwrap_or(usize::MAX), self.issue)
    }

    /// The event since which this must persist, if any.
    ///
    /// A sync covers what completed before it was issued. A failed sync may have dropped whatever
    /// was unsynced then: no later sync covers that any more.
    pub fn stable_at(&self, syncs: &[Span]) -> Option<usize> {
        let completion = self.completion.filter(|_| self.done)?;
        let mut answered: Vec<_> = syncs.iter().filter(|sync| sync.completion.is_some()).collect();
        answered.sort_by_key(|sync| sync.key());
        let covering = answered.iter().find(|sync| {
            let dropped = !sync.done && sync.completion.is_some_and(|end| self.issue < end);
            dropped || sync.done && self.precedes(sync)
        });
        let synced = covering.filter(|sync| sync.done).and_then(|sync| sync.completion);
        if self.forced { Some(completion) } else { synced }
    }
}

/// A version of something: what `values` takes from the versions that were not overwritten for
/// good.
pub struct Survivors {
    /// The version that is there if no choice is taken; none: what was there at first.
    pub settled: Option<usize>,
    /// The versions that may lie on top, in order of completion.
    pub choices: Vec<usize>,
}

/// Which of `versions` may be seen. They come as (number, span, stable), in order of completion.
pub fn survivors(versions: &[(usize, Span, bool)]) -> Survivors {
    let overwritten =
        |span: &Span| versions.iter().any(|(_, later, stable)| *stable && span.precedes(later));
    let alive: Vec<_> = versions.iter().filter(|(_, span, _)| !overwritten(span)).collect();
    let settled = alive.iter().find(|(_, _, stable)| *stable).map(|(number, ..)| *number);
    let numbers = alive.iter().map(|(number, ..)| *number);
    Survivors { settled, choices: numbers.filter(|number| Some(*number) != settled).collect() }
}
