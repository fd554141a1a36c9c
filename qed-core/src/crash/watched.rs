//! Judging that can be called off: a signal has come, or nobody wants the verdicts any more.
//!
//! The walk goes on to its end, but nothing is asked of any further state.

use super::explore::{CrashState, Finding, Judge};
use super::oracle::Panel;
use super::states::Frame;

/// A panel that can be told to stop: it then lets everything pass.
pub(super) struct Watched<'a> {
    pub(super) panel: Panel<'a>,
    /// Whether to go on.
    pub(super) watch: &'a mut dyn FnMut() -> bool,
    pub(super) stopped: bool,
}

impl Judge for Watched<'_> {
    fn enter(&mut self, frame: &Frame<'_>) {
        if !self.stopped {
            self.panel.enter(frame);
        }
    }

    fn judge(&mut self, states: &[CrashState<'_>]) -> Vec<std::result::Result<(), Finding>> {
        self.stopped = self.stopped || !(self.watch)();
        if self.stopped {
            return states.iter().map(|_| Ok(())).collect();
        }
        self.panel.judge(states)
    }

    fn batch(&self) -> usize {
        self.panel.batch()
    }

    fn call(&self, number: u64) -> Option<String> {
        self.panel.call(number)
    }

    fn finish(&mut self) -> std::result::Result<(), Finding> {
        if self.stopped { Ok(()) } else { self.panel.finish() }
    }
}
