//! What lies under unallocated clusters: nothing, a hole, or data of the backing file.

use crate::error::Result;
use crate::meta::backing::Backing;

/// The backing file as a plan sees it; remembers the last run it was told of.
#[derive(Debug)]
pub(crate) struct Base<'a> {
    below: &'a Backing,
    last: (u64, u64, bool),
    /// The backing file is not asked.
    unasked: bool,
    /// What is not known has been taken for data.
    guessed: bool,
}

impl<'a> Base<'a> {
    pub(crate) fn new(below: &'a Backing) -> Self {
        Self { below, last: (0, 0, false), unasked: false, guessed: false }
    }

    /// The same, but what would have to be asked for is taken for data.
    pub(crate) fn unasked(below: &'a Backing) -> Self {
        Self { unasked: true, ..Self::new(below) }
    }

    /// Whether what is not known has been taken for data.
    pub(crate) fn has_guessed(&self) -> bool {
        self.guessed
    }

    /// Whether guest bytes `start..end` surely read as zeroes. `cheaply` forbids asking the backing
    /// file: what is not known is then taken for data.
    ///
    /// # Errors
    /// The backing file could not tell.
    pub(crate) fn reads_zero(&mut self, start: u64, end: u64, cheaply: bool) -> Result<bool> {
        let Some(source) = self.below.source() else { return Ok(true) };
        let end = end.min(source.size());
        let mut at = start;
        while at < end {
            let (from, to, zero) = self.last;
            if !(from..to).contains(&at) {
                let run = match cheaply || self.unasked {
                    true => self.below.run_now(at),
                    false => Some(self.below.run(source, at)?),
                };
                let Some((to, zero)) = run else {
                    self.guessed = true;
                    return Ok(false);
                };
                self.last = (at, to, zero);
                continue;
            }
            if !zero {
                return Ok(false);
            }
            at = to;
        }
        Ok(true)
    }
}
