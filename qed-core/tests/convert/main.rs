//! Goal: a copy reads as its source in every format, and a comparison finds the first difference.
//! Method: random disks in all directions, through files and real pipes, judged by `qemu-img
//! compare` and `check`; storages and streams that fail; copies that are cancelled.

#![allow(clippy::unwrap_used)] // clippy knows tests by their attribute, not their helpers

#[path = "../interop/dice.rs"]
#[allow(dead_code)]
mod dice;
#[path = "../support/qemu.rs"]
mod qemu;

mod comparing;
mod disks;
mod failing;
mod keeping;
mod measuring;
mod random;
mod streams;
