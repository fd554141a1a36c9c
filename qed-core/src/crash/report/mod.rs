//! A failing state as a person reads it: shrunk, with the barrier that is missing, as a picture.

mod barrier;
mod failure;
mod shrink;
mod svg;
mod timeline;

pub use barrier::Barrier;
pub use failure::Failure;
pub use timeline::{Fate, Row, Timeline, describe};
