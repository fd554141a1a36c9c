//! libqed's engine: QED disk images that are never dirty after a crash.
//!
//! Layers, left to right; each uses only what stands left of it (`docs/architecture.md`):
//! `error, addr, sync -> format -> storage -> source -> meta -> image -> chain -> ops`.

pub mod addr;
pub mod error;
pub mod format;
pub mod image;
pub mod meta;
pub mod ops;
pub mod source;
pub mod storage;
mod sync;

pub use error::{Corruption, Error, ErrorKind, Result};
pub use image::{
    BackingInfo, CacheMode, DetectZeroes, DiscardMode, Extent, ExtentKind, Extents, Flags, Image,
    ImageSettings, Info,
};
pub use meta::{Rule, Rules, Trust};
