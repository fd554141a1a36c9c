//! Queues: what holds of each engine, and what holds of requests beside each other.

#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

mod conformance;
mod model;
#[allow(unsafe_code)] // A filter of system calls.
mod refused;
mod rig;
mod stalls;
mod stress;
