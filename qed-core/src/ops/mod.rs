//! Operations on whole images.

pub mod check;

pub use check::{CheckReport, check_storage};
