//! The crash explorer: what a power failure could legally leave of a recorded run, and what each
//! such state is worth.
//!
//! ```text
//!   Recorder / log file       History -> Frame -> State              Oracle
//!        |                         |                                    |
//!   Recording (log, calls) --> Explorer(Plan) -- Medium of a state --> Panel --> Report, Failure
//!        ^                         |
//!   Workload (data: run, shrink)   Shard (any cut, the same states)
//! ```
//!
//! - [`log`] reads and writes dm-log-writes files, [`workload`] runs guest calls that are data.
//! - [`states`] knows from a log alone which states are legal: a unit takes any version not older
//!   than its newest one that must persist, the length is one more unit. A state is a deviation
//!   from the order of completion; its content is a [`Medium`], which shares what it does not
//!   change.
//! - [`guest`] knows which versions of the guest's sectors may be read at a crash point.
//! - [`oracle`] judges, by name; [`explore`] walks, deduplicates and counts; [`report`] shrinks
//!   what fails and draws it.
//!
//! Invariants: the same log, plan and seed walk the same states, whoever walks which part; equal
//! content is judged once, and again only where less is legal; a state is built from shared pages
//! and never changes the recording; nothing here panics on a log, whatever it holds.

pub mod explore;
pub mod guest;
pub mod log;
mod materialise;
mod medium;
mod medium_storage;
pub mod oracle;
mod random;
mod recording;
pub mod report;
mod session;
pub mod states;
mod study;
mod watched;
pub mod workload;

pub use explore::{Explorer, Finding, Report, Shard, explore};
pub use guest::Call;
pub use medium::{Medium, PAGE, SECTOR};
pub use medium_storage::MediumStorage;
pub use oracle::{Oracle, Panel, Subject};
pub use random::{Random, digest, mix};
pub use recording::{Below, GuestDisk, Lower, Recording, UNREADABLE, Writer};
pub use report::Failure;
pub use session::Session;
pub use states::{Mode, Plan};
pub use study::{ExploredState, Study};
pub use workload::{Step, Workload};
