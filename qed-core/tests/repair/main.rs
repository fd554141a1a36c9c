//! Repair: of random damage, through crashes, beside QEMU.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod crash;
mod damage;
mod random;
mod reading;
