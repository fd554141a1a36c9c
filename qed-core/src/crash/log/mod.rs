//! Logs as files: dm-log-writes, version 1.
//!
//! Our own logs come back with every event and the guest's calls; logs of the kernel's target and
//! of QEMU's blklogwrites come in as far as they say. Parsing takes bytes and gives values that are
//! bounded by them: no log makes a reader reserve more than it holds.

mod entries;
mod file;
mod load;
mod marks;
mod save;
mod v1;

pub use entries::{Entries, Entry, Leniency};
pub use file::{digest_of, parse_workload};
pub use load::{LoadOptions, Loaded, load};
pub use save::save;
pub use v1::{Head, Superblock, flags};
