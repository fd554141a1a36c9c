//! Opening: from a path or a descriptor to an [`Image`](crate::Image) over its backing files.
//!
//! An image is untrusted, and so is every name in it: which files are opened is decided by the
//! caller's [`BackingPolicy`], never by the image alone (`docs/security.md`). Chains are collected
//! in a loop from the top down, then built from the base up. `image` itself receives its backing
//! file as a source and knows nothing of names.

mod committing;
mod disk;
pub(crate) mod file;
mod layer;
mod layers;
mod link;
mod observe;
mod open;
mod options;
mod policy;
mod probe;
pub mod qcow2;
mod quiesce;
mod raw;
mod recipe;
mod resize;
mod resolve;
mod running;
mod straight;
#[allow(unsafe_code)] // System calls that the standard library does not offer.
pub(crate) mod sys;
mod whole;

pub(crate) use committing::{Committing, open_committing};
pub use disk::{Disk, DiskInfo, LayerName};
pub use layer::{Layer, inspect, inspect_file};
pub(crate) use link::{Purpose, file_mode, lock_and_wrap, open_new};
pub use observe::{GuestCall, Observer};
pub use open::{open, open_file};
pub use options::{DEFAULT_MAX_DEPTH, LockMode, MAX_DEPTH, OpenOptions};
pub use policy::{AskBacking, BackingPolicy, BackingRequest, BackingSource};
pub(crate) use probe::probe_storage;
pub use probe::{probe, probe_file};
pub(crate) use resolve::directory_of;
pub(crate) use straight::{Begun, FileKey};
