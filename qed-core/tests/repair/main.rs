//! Repair: of random damage, through crashes, beside QEMU.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod beside_qemu;
mod crash;
mod damage;
mod linting;
mod logs;
#[path = "../support/qemu.rs"]
mod qemu;
mod random;
mod reading;
#[path = "../support/recorded.rs"]
mod recorded;
