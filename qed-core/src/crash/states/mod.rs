//! Which states a power cut may legally leave, from a log alone.
//!
//! [`History`] says what each operation did and since when it must persist, [`Frame`] what may be
//! seen within one window of crash points, [`State`] is one answer, and [`Plan`] lists those that
//! are walked. Knows nothing of formats and judges nothing.

mod frame;
mod history;
mod order;
mod state;
mod walk;

pub use frame::{Choice, Frame};
pub(super) use history::run;
pub use history::{Change, History, Window};
pub use order::{Span, Survivors, Syncs, Version};
pub use state::{Mode, State, split_name};
pub use walk::Plan;
