//! The slices with entries that are not stable: what a flush owes (C7).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::slice::{Slice, SliceKey};
use crate::sync::{Mutex, Rank};

/// Slices that hold an unstable entry, in the order of the tables. A slice enters and leaves under
/// its own lock, so that its place here always agrees with its versions.
#[derive(Debug)]
pub(crate) struct Unstable {
    slices: Mutex<BTreeMap<SliceKey, (Arc<Slice>, Instant)>>,
}

impl Unstable {
    pub(crate) fn new() -> Self {
        Self { slices: Mutex::new(Rank::Unstable, BTreeMap::new()) }
    }

    /// Adds `slice`; returns how many there are now. Called under the slice's lock.
    pub(crate) fn insert(&self, slice: &Arc<Slice>) -> usize {
        let mut slices = self.slices.lock();
        slices.entry(slice.key()).or_insert_with(|| (Arc::clone(slice), Instant::now()));
        slices.len()
    }

    /// Removes a slice whose entries are all stable. Called under the slice's lock.
    pub(crate) fn remove(&self, key: SliceKey) {
        self.slices.lock().remove(&key);
    }

    /// All of them, as they are now.
    pub(crate) fn all(&self) -> Vec<Arc<Slice>> {
        self.slices.lock().values().map(|(slice, _)| Arc::clone(slice)).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.slices.lock().len()
    }

    /// For how long the oldest of them has been here.
    pub(crate) fn oldest(&self) -> Option<Duration> {
        self.slices.lock().values().map(|(_, since)| since.elapsed()).max()
    }
}
