//! From a plan that is done to the disk: publishing, syncs and what they cover, flushes, and the
//! thread that works ahead of them.

pub(crate) mod background;
pub(crate) mod clock;
pub(crate) mod debt;
pub(crate) mod flush;
pub(crate) mod images;
pub(crate) mod publish;
pub(crate) mod unstable;
