//! Where the reference implementation is wrong, libqed is right: one test for each known defect.
//!
//! The numbers are those of `docs/format.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]
#![allow(clippy::cast_possible_truncation)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/qemu.rs"]
mod qemu;

mod beside_qemu;
mod engine;
