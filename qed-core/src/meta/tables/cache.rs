//! L2 slices in memory, within a budget of bytes, shared by all threads.
//!
//! A look-up takes a shard's lock for reading, never exclusively. A miss reads one slice.
//!
//! Invariants:
//! 1. A slice is in the map before its bytes are read, and whoever else wants it waits for that
//!    read: two readings of one slice never meet.
//! 2. A slice that anybody holds, the list of unstable slices included, is never evicted; so nobody
//!    changes one object while another is read again from the disk.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crate::error::Result;
use crate::meta::tables::slice::{SLICE_BYTES, Slice};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use crate::sync::{Mutex, Rank, RwLock};

const SHARDS: usize = 16;
/// What a cached slice takes beside its words, roughly.
const OVERHEAD: usize = 512;
/// A cache smaller than this would evict what one request needs.
const MIN_SLICES: usize = 4;

#[derive(Debug)]
pub(crate) struct Cache {
    shards: [RwLock<HashMap<u64, Arc<Slot>>>; SHARDS],
    slices: AtomicUsize,
    most: usize,
    hand: AtomicU64,
}

#[derive(Debug)]
struct Slot {
    slice: OnceLock<Arc<Slice>>,
    loading: Mutex<()>,
}

impl Cache {
    /// A cache of about `budget` bytes.
    pub(crate) fn new(budget: u64) -> Self {
        let bytes = usize::try_from(budget).unwrap_or(usize::MAX);
        Self {
            shards: std::array::from_fn(|_| RwLock::new(Rank::Cache, HashMap::new())),
            slices: AtomicUsize::new(0),
            most: (bytes / (SLICE_BYTES + OVERHEAD)).max(MIN_SLICES),
            hand: AtomicU64::new(0),
        }
    }

    /// Bytes it may take.
    pub(crate) fn budget(&self) -> usize {
        self.most * (SLICE_BYTES + OVERHEAD)
    }

    /// Slice `number`, read by `load` where it is not in memory.
    ///
    /// # Errors
    /// What `load` reports; the next look-up tries again.
    pub(crate) fn slice(
        &self,
        number: u64,
        load: impl FnOnce() -> Result<Slice>,
    ) -> Result<Arc<Slice>> {
        let slot = self.slot(number);
        if let Some(slice) = slot.slice.get() {
            if !slice.referenced.load(SeqCst) {
                slice.referenced.store(true, SeqCst);
            }
            return Ok(Arc::clone(slice));
        }
        let loading = slot.loading.lock();
        if let Some(slice) = slot.slice.get() {
            return Ok(Arc::clone(slice));
        }
        let slice = Arc::new(load()?);
        let slice = Arc::clone(slot.slice.get_or_init(|| slice));
        drop(loading);
        if self.slices.load(SeqCst) > self.most {
            self.evict();
        }
        Ok(slice)
    }

    /// Whether slice `number` is in memory.
    pub(crate) fn has(&self, number: u64) -> bool {
        let map = self.shards[shard_of(number)].read();
        map.get(&number).is_some_and(|slot| slot.slice.get().is_some())
    }

    fn slot(&self, number: u64) -> Arc<Slot> {
        let shard = &self.shards[shard_of(number)];
        if let Some(slot) = shard.read().get(&number) {
            return Arc::clone(slot);
        }
        let mut map = shard.write();
        let slot = map.entry(number).or_insert_with(|| {
            self.slices.fetch_add(1, SeqCst);
            Arc::new(Slot { slice: OnceLock::new(), loading: Mutex::new(Rank::Loading, ()) })
        });
        Arc::clone(slot)
    }

    /// Sweeps the shards in turn and drops slices that nobody holds and nobody has looked at since
    /// the last sweep, until the budget holds or two rounds have found nothing.
    fn evict(&self) {
        for _ in 0..2 * SHARDS {
            if self.slices.load(SeqCst) <= self.most {
                return;
            }
            let hand = self.hand.fetch_add(1, SeqCst);
            let mut map = self.shards[shard_of(hand)].write();
            let before = map.len();
            let mut surplus = self.slices.load(SeqCst).saturating_sub(self.most);
            map.retain(|_, slot| {
                let keep = surplus == 0 || is_held(slot) || was_referenced(slot);
                surplus -= usize::from(!keep);
                keep
            });
            self.slices.fetch_sub(before - map.len(), SeqCst);
        }
    }
}

fn shard_of(number: u64) -> usize {
    usize::try_from(number % SHARDS as u64).unwrap_or(0)
}

/// With the shard locked for writing, nobody can take a new hold through the map.
fn is_held(slot: &Arc<Slot>) -> bool {
    Arc::strong_count(slot) > 1
        || slot.slice.get().is_some_and(|slice| Arc::strong_count(slice) > 1)
}

fn was_referenced(slot: &Slot) -> bool {
    slot.slice.get().is_some_and(|slice| slice.referenced.swap(false, SeqCst))
}
