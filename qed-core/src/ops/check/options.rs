//! What a check is to do beside looking.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::meta::Rules;

/// What a check repairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repair {
    /// Clusters that nothing names are given back.
    Leaks,
    /// Bad entries as well: what is referenced twice is copied, what names nothing is cleared.
    All,
}

/// How [`check_with`](super::check_with) goes about it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CheckOptions {
    /// What is repaired; nothing by default.
    pub repair: Option<Repair>,
    /// The repair is made in memory alone: the report says what it would do.
    pub dry_run: bool,
    /// A file, not yet there, that keeps what the repair overwrites.
    pub undo: Option<PathBuf>,
    /// The most bytes by which the file may grow where things are copied; by default as many as it
    /// holds, and 1 GiB more.
    pub max_growth: Option<u64>,
    /// The rules of the commit protocol that hold: all of them, but in tests that break one.
    pub rules: Rules,
}

impl CheckOptions {
    /// Fails where something is asked that only a repair can do.
    pub(super) fn check(&self) -> Result<()> {
        let asked = self.dry_run || self.undo.is_some() || self.max_growth.is_some();
        if self.repair.is_none() && asked {
            return Err(Error::invalid("dry_run, undo and max_growth are for a repair"));
        }
        if self.dry_run && self.undo.is_some() {
            return Err(Error::invalid("dry_run changes nothing that undo could keep"));
        }
        Ok(())
    }

    /// Whether the file itself is changed.
    pub(super) fn changes(&self) -> bool {
        self.repair.is_some() && !self.dry_run
    }
}
