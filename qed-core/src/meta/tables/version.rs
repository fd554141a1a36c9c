//! The versions of one table entry between memory and disk (rules C5, C7, C9).
//!
//! The newest value lives in the slice, where readers find it without a lock. An entry that is not
//! stable has a [`Version`] beside it:
//!
//! ```text
//!   newest --(a sync covers `wait`)--> safe --(compose)--> imaged --(landed, sync)--> stable
//! ```
//!
//! 1. `safe` may be on disk at any moment; a written sector is composed of safe values alone.
//! 2. `wait` is there if and only if `newest` is not safe yet; a waiting value is never replaced by
//!    another waiting one (it "never stacks"): 0 and 1 are safe at once, data is written in place.
//! 3. `imaged` is what the last image of the sector, issued or landed, holds.
//! 4. A replaced cluster is released when an image that does not name it has landed and a sync
//!    covers that; at once if no image ever named it.

use crate::meta::commit::clock::{Clock, Stamp};
use crate::meta::rules::{Rule, Rules};

/// How far an image of a sector has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// No image has been composed since.
    Waiting,
    /// Composed and issued.
    InFlight,
    /// Completed at this stamp.
    Landed(Stamp),
}

/// An entry that is not stable.
#[derive(Debug)]
pub(crate) struct Version {
    safe: u64,
    wait: Option<Stamp>,
    imaged: u64,
    /// The state of the image that holds `imaged`; `None` when that is stable.
    image: Option<Progress>,
    /// Words this entry named before and a disk may still name, with the image that leaves them
    /// out.
    retired: Vec<(u64, Progress)>,
}

impl Version {
    /// An entry whose stable value is `word`.
    pub(crate) fn stable(word: u64) -> Self {
        Self { safe: word, wait: None, imaged: word, image: None, retired: Vec::new() }
    }

    /// The entry's newest value changes from `old` to `new`, safe after `wait` or at once.
    /// `retires` says that `old` names a cluster which is thereby unlinked; it is given back where
    /// it can be released at once.
    pub(crate) fn replace(
        &mut self,
        old: u64,
        new: u64,
        wait: Option<Stamp>,
        retires: bool,
    ) -> Option<u64> {
        debug_assert!(self.wait.is_none() || wait.is_none(), "a waiting value stacks on another");
        let released = if !retires {
            None
        } else if self.imaged == old || wait.is_some() {
            // While the new value waits, the old one is what images are composed of.
            self.retired.push((old, Progress::Waiting));
            None
        } else {
            Some(old)
        };
        self.wait = wait;
        if wait.is_none() {
            self.safe = new;
        }
        released
    }

    /// Turns the newest value safe if a sync covers what it waits for.
    pub(crate) fn promote(&mut self, newest: u64, clock: &Clock) {
        if self.wait.is_some_and(|wait| clock.covers(wait)) {
            self.safe = newest;
            self.wait = None;
        }
    }

    /// As [`promote`](Self::promote), without the sync: only tests that break C5 or C6 do this.
    pub(crate) fn promote_uncovered(&mut self, newest: u64) {
        self.safe = newest;
        self.wait = None;
    }

    /// Whether the next image must be written: what is safe is not what was imaged last.
    pub(crate) fn is_dirty(&self) -> bool {
        self.safe != self.imaged
    }

    /// The word for an image that is being issued.
    pub(crate) fn compose(&mut self) -> u64 {
        self.imaged = self.safe;
        self.image = Some(Progress::InFlight);
        for (word, progress) in &mut self.retired {
            if *word != self.safe {
                *progress = Progress::InFlight;
            }
        }
        self.safe
    }

    /// The image in flight has completed.
    pub(crate) fn landed(&mut self, stamp: Stamp) {
        if self.image == Some(Progress::InFlight) {
            self.image = Some(Progress::Landed(stamp));
        }
        for (_, progress) in &mut self.retired {
            if *progress == Progress::InFlight {
                *progress = Progress::Landed(stamp);
            }
        }
    }

    /// What the newest value waits for.
    pub(crate) fn wait(&self) -> Option<Stamp> {
        self.wait
    }

    /// What a sync must cover for the last image to be stable.
    pub(crate) fn unsynced(&self) -> Option<Stamp> {
        match self.image {
            Some(Progress::Landed(stamp)) => Some(stamp),
            _ => None,
        }
    }

    /// Gives the words that are released by what syncs have covered to `release`, and says whether
    /// the entry is stable and needs no version any more.
    pub(crate) fn settle(
        &mut self,
        clock: &Clock,
        rules: Rules,
        mut release: impl FnMut(u64),
    ) -> bool {
        let done = |progress: Progress| match progress {
            Progress::Landed(stamp) => clock.covers(stamp) || rules.breaks(Rule::ReleaseAfterSync),
            _ => rules.breaks(Rule::ReleaseByValue),
        };
        self.retired.retain(|(word, progress)| {
            if done(*progress) {
                release(*word);
            }
            !done(*progress)
        });
        if let Some(Progress::Landed(stamp)) = self.image
            && clock.covers(stamp)
        {
            self.image = None;
        }
        self.image.is_none() && self.wait.is_none() && !self.is_dirty() && self.retired.is_empty()
    }
}
