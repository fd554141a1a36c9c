//! The crash explorer's half of `qed._qed`: what the package `qed.crash` stands on.
//!
//! One file a class. Handles and conversions only; walking, judging and shrinking are the engine's
//! (`qed_core::crash`). Judging runs detached from the interpreter; an oracle written in Python is
//! called attached, one state at a time.

pub(crate) mod history;
pub(crate) mod log;
mod oracles;
mod plan;
pub(crate) mod prepared;
pub(crate) mod recorder;
mod results;
pub(crate) mod state;
pub(crate) mod tally;
pub(crate) mod view;
pub(crate) mod workload;
