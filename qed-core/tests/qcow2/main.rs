//! qcow2 images beside QEMU's tools: what both read must agree, what we write QEMU must find sound.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/qemu.rs"]
mod qemu;

mod chains;
mod crash;
mod damage;
mod power;
mod reading;
mod refusals;
mod rig;
mod writing;
