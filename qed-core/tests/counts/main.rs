//! What guest operations cost in calls and bytes, to the last one.
//!
//! Goal: the costs that `docs/crash-consistency.md` promises hold exactly, whatever the machine.
//! Method: the engine works on a storage in memory that counts, without its own thread.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod cold;
mod counting;
mod writes;

use std::sync::Arc;

use counting::Counting;
use qed_core::format::Geometry;
use qed_core::{CreateSpec, Image, ImageSettings, format_storage};

const CLUSTER: u64 = 65536;
const BLOCK: u64 = 4096;

/// An empty image of `size` guest bytes.
fn empty(size: u64) -> Arc<Counting> {
    formatted(Counting::default(), size)
}

fn formatted(storage: Counting, size: u64) -> Arc<Counting> {
    let spec = CreateSpec::new(Geometry::new(CLUSTER, 4).unwrap(), size).unwrap();
    format_storage(&storage, &spec).unwrap();
    Arc::new(storage)
}

fn open(storage: &Arc<Counting>, read_only: bool) -> Image {
    let settings = ImageSettings { read_only, background: false, ..ImageSettings::default() };
    Image::from_storage(storage.clone(), None, settings).unwrap()
}
