//! What must hold in every state that a crash may leave, as oracles by name.
//!
//! | name | asks |
//! |---|---|
//! | `structure` | header, tables: before any recovery |
//! | `no-foreign-data` | no byte from another address, no backing data under stable zeroes |
//! | `durable` | what was stable reads new, the rest old or new |
//! | `recovery` | opens, changes nothing that it need not, twice equals once |
//! | `life-goes-on` | more writes, flush, reopen: old and new hold, the structure is clean |
//! | `nested` | all of it again after a crash inside the session that follows |
//! | `backing-untouched` | the backing file is what it was |
//! | `qemu` | QEMU's tools open, check and read it, and write on (any format) |
//!
//! Faults without a crash are a workload's: [`crate::crash::workload::judge_faults`]. An oracle of
//! one's own is whatever implements [`Oracle`].

mod case;
mod life;
mod nested;
mod own;
mod panel;
mod qemu;
mod raw;
mod session;
mod subject;
mod tables;
mod tools;

pub use case::{Baseline, Case};
pub use life::{LifeGoesOn, Recovery};
pub use nested::Nested;
pub use own::Own;
pub use panel::Panel;
pub use qemu::{Qemu, subject_by_qemu};
pub use raw::{BackingUntouched, Durable, NoForeignData, Structure};
pub use subject::Subject;
pub use tables::{Entry, Shape, Tables};

use super::random::to_usize;
use crate::error::{Error, Result};
use crate::source::Format;
use std::fmt;
use std::sync::Arc;

/// What an oracle says of a state: nothing, or what is wrong.
pub type Verdict = std::result::Result<(), String>;

/// Judges states.
pub trait Oracle: Send + Sync + fmt::Debug {
    /// The name it is known by.
    fn name(&self) -> &str;

    /// Judges one state.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    fn judge(&self, case: &Case<'_>) -> Verdict;

    /// Judges several states: for oracles that run programs beside each other.
    fn judge_all(&self, cases: &[&Case<'_>]) -> Vec<Verdict> {
        cases.iter().map(|case| self.judge(case)).collect()
    }

    /// How many states it likes to get at once.
    fn batch(&self) -> usize {
        1
    }

    /// Whether its verdict depends on the crash point, not on the content alone.
    fn depends_on_time(&self) -> bool {
        false
    }

    /// Whether it can judge images of this format.
    fn serves(&self, format: Format) -> bool {
        format == Format::Qed
    }

    /// Looks at what is there before the first state is judged.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    fn begin(&self, _subject: &Subject) -> Verdict {
        Ok(())
    }

    /// Looks at what is there after the last state was judged.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    fn finish(&self, _subject: &Subject) -> Verdict {
        Ok(())
    }
}

/// The oracles that judge every state unless others are asked for, by name.
pub const DEFAULT: [&str; 6] =
    ["structure", "no-foreign-data", "durable", "recovery", "life-goes-on", "backing-untouched"];

/// The oracle of a name.
///
/// # Errors
/// No oracle is called so.
pub fn named(name: &str) -> Result<Arc<dyn Oracle>> {
    Ok(match name {
        "structure" => Arc::new(Structure),
        "no-foreign-data" => Arc::new(NoForeignData),
        "durable" => Arc::new(Durable),
        "recovery" => Arc::new(Recovery),
        "life-goes-on" => Arc::new(LifeGoesOn),
        "backing-untouched" => Arc::new(BackingUntouched),
        "nested" => Arc::new(Nested::new(1)),
        "qemu" => Arc::new(Qemu::default()),
        _ => {
            let known = DEFAULT.join(", ");
            let message = format!("no oracle is called {name:?}; there are {known}, nested, qemu");
            return Err(Error::invalid(message));
        }
    })
}

/// The oracles of these names, in this order.
///
/// # Errors
/// No oracle is called so.
pub fn by_name(names: &[&str]) -> Result<Vec<Arc<dyn Oracle>>> {
    names.iter().map(|name| named(name)).collect()
}
