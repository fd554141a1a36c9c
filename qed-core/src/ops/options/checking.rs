//! What a check that may repair takes: how the image is opened, and what is to be done.

use super::{NamedOptions, Setting};
use crate::chain::OpenOptions;
use crate::error::Result;
use crate::ops::check::CheckOptions;

/// How [`check_with`](crate::check_with) is to go about it.
#[derive(Clone, Debug, Default)]
pub struct CheckPlan {
    /// How the image's file is opened.
    pub open: OpenOptions,
    /// What is repaired, and how.
    pub how: CheckOptions,
}

impl NamedOptions {
    /// What [`check_with`](crate::check_with) is to do.
    ///
    /// # Errors
    /// An option is set that neither opening nor checking has.
    pub fn to_check(&self) -> Result<CheckPlan> {
        self.check_all_apply("check", |calls| calls.open || calls.check)?;
        let mut plan = CheckPlan::default();
        for (calls, setting) in self.set.values() {
            if calls.open {
                setting.apply_to_open(&mut plan.open);
            } else {
                setting.apply_to_check(&mut plan.how);
            }
        }
        Ok(plan)
    }
}

impl Setting {
    fn apply_to_check(&self, options: &mut CheckOptions) {
        match self {
            Self::Repair(what) => options.repair = *what,
            Self::DryRun(on) => options.dry_run = *on,
            Self::Undo(path) => options.undo = Some(path.clone()),
            Self::MaxGrowth(bytes) => options.max_growth = Some(*bytes),
            _ => debug_assert!(false, "{self:?} is none of a check's"),
        }
    }
}
