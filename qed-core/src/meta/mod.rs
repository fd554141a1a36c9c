//! L1 and L2 tables, their cache, allocation, free space and publishing.

mod crc;
pub(crate) mod freemap;
mod pieces;
pub(crate) mod ranges;
pub(crate) mod refs;
pub(crate) mod scan;
