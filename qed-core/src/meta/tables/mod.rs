//! L1 and L2 tables in memory: the words that readers see, the versions between them and the disk,
//! the cache of slices, and the header's block.

pub(crate) mod cache;
pub(crate) mod header;
pub(crate) mod l1;
pub(crate) mod slice;
pub(crate) mod version;
pub(crate) mod words;
