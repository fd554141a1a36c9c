//! The slices with entries that are not stable: what a flush owes (C7).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::meta::tables::slice::{Slice, SliceKey};
use crate::sync::{Mutex, Rank};

/// Memory that a slice of this list takes, and each of its unstable entries, roughly.
const SLICE_COST: usize = 4608;
const ENTRY_COST: usize = 160;

/// Slices that hold an unstable entry, in the order of the tables. A slice enters and leaves under
/// its own lock, so that its place here always agrees with its versions.
#[derive(Debug)]
pub(crate) struct Unstable {
    slices: Mutex<Slices>,
}

#[derive(Debug, Default)]
struct Slices {
    listed: BTreeMap<SliceKey, Listed>,
    bytes: usize,
}

#[derive(Debug)]
struct Listed {
    slice: Arc<Slice>,
    since: Instant,
    bytes: usize,
}

impl Unstable {
    pub(crate) fn new() -> Self {
        Self { slices: Mutex::new(Rank::Unstable, Slices::default()) }
    }

    /// Lists `slice` with its `entries` unstable entries, or takes it off where there are none.
    /// Called under the slice's lock. Answers the memory that all of them take.
    pub(crate) fn update(&self, slice: &Arc<Slice>, entries: usize) -> usize {
        let mut slices = self.slices.lock();
        let bytes = if entries == 0 { 0 } else { SLICE_COST + ENTRY_COST * entries };
        let before = match slices.listed.get_mut(&slice.key()) {
            Some(listed) => std::mem::replace(&mut listed.bytes, bytes),
            None => 0,
        };
        if entries == 0 {
            slices.listed.remove(&slice.key());
        } else if before == 0 {
            let listed = Listed { slice: Arc::clone(slice), since: Instant::now(), bytes };
            slices.listed.insert(slice.key(), listed);
        }
        slices.bytes = slices.bytes + bytes - before;
        slices.bytes
    }

    /// All of them, as they are now.
    pub(crate) fn all(&self) -> Vec<Arc<Slice>> {
        self.slices.lock().listed.values().map(|listed| Arc::clone(&listed.slice)).collect()
    }

    /// Those between two keys, both included.
    pub(crate) fn between(&self, keys: RangeInclusive<SliceKey>) -> Vec<Arc<Slice>> {
        let slices = self.slices.lock();
        slices.listed.range(keys).map(|(_, listed)| Arc::clone(&listed.slice)).collect()
    }

    /// The memory they take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.slices.lock().bytes
    }

    /// For how long the oldest of them has been here.
    pub(crate) fn oldest(&self) -> Option<Duration> {
        self.slices.lock().listed.values().map(|listed| listed.since.elapsed()).max()
    }
}
