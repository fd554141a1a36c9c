//! What the crash suites share: legal states of a recorded disk, and judges of each state.
//!
//! A suite records a run ([`workload`]), enumerates what a power cut could have left of it
//! ([`history`], [`states`], [`explore`]) and judges each state ([`structure`], [`guest`],
//! [`oracle`]). Each suite is a crate of its own and uses a part of this.

// Used in part by each suite; a helper that fails is a test that fails.
#![allow(dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod disk;
pub mod explore;
pub mod guest;
pub mod history;
pub mod oracle;
pub mod order;
pub mod report;
pub mod script;
pub mod states;
pub mod structure;
pub mod workload;
