//! The counterexample behind every rule of the commit protocol (`docs/crash-consistency.md`).
//!
//! Goal: each rule is needed and kept. Method: each test plays the rule's counterexample twice,
//! under all rules, where every crash must leave a legal state, and with that one rule switched
//! off, where a loss must show.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

mod files;
mod moving;
mod mutants;
mod order;
mod races;
mod rig;
mod space;
