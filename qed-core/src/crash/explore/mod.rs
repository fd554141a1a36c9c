//! Walks through the legal states of a log and has each one judged.
//!
//! States come window by window, and within one by deviation ([`Plan`](super::states::Plan)).
//! Equal content is judged once, and once more only where less is legal. A run is a [`Shard`]: the
//! whole of it, or a part. Knows nothing of what a judge asks.

mod report;
mod run;
mod shard;

pub use report::{Counts, Report};
pub use run::{CrashState, Explorer, Finding, Judge, Plainly, explore};
pub use shard::Shard;
