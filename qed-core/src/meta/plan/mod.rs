//! From a request to what it does: where bytes are, what is written where, and what keeps that so
//! while data moves: claims on guest clusters, and requests in flight.

pub(crate) mod base;
pub(crate) mod claims;
pub(crate) mod detached;
pub(crate) mod early;
pub(crate) mod few;
pub(crate) mod fill;
pub(crate) mod grace;
pub(crate) mod l1;
pub(crate) mod lookup;
pub(crate) mod mover;
pub(crate) mod moving;
pub(crate) mod relocate;
pub(crate) mod table;
pub(crate) mod write;
pub(crate) mod zero;
