//! What the crash suites share: logs written by hand, and the explorer with its usual oracles.
//!
//! Each suite is a crate of its own and uses a part of this.

// Used in part by each suite; a helper that fails is a test that fails.
#![allow(dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod judged;
pub mod lines;
pub mod script;
