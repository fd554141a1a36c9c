//! The bytes of the QED format and the values they stand for (`docs/format.md`, clauses F1 to F5).
//!
//! Parsing takes slices in and gives values out that cannot be invalid. No I/O, no locks, no
//! unsafe.

pub(crate) mod crc;
mod entry;
mod features;
mod geometry;
mod header;

pub use entry::{L1Entry, L2Entry};
pub use features::{
    AUTOCLEAR_FREE_MAP, AUTOCLEAR_KNOWN, AUTOCLEAR_TABLES_VOUCHED, FEATURE_BACKING_FILE,
    FEATURE_NEED_CHECK, FEATURE_RAW_BACKING, FEATURES_KNOWN,
};
pub use geometry::{DEFAULT_CLUSTER_SIZE, DEFAULT_TABLE_SIZE, Geometry, MAX_FILE_OFFSET};
pub use header::{BackingName, HEADER_BYTES, Header, MAGIC, MAX_BACKING_NAME};
