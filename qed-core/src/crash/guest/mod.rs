//! The guest: what it does to its disk, and what it may read after a crash.
//!
//! [`Call`]s are data, [`Content`] is what they write, [`GuestModel`] says which versions of every
//! sector are legal at a crash point. Knows nothing of the file below.

mod call;
mod content;
mod model;

pub use call::Call;
pub use content::{AFTERWARDS, BACKING, Content, LOWER, identify, pattern, sector_of};
pub use model::{GuestModel, Initial, Wrong};

use super::random::to_usize;

/// No file and no disk that is explored is longer: 4 TiB.
pub const MOST_BYTES: u64 = 1 << 42;
