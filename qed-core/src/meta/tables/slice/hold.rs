//! Keeping the one write in flight of a slice (C8) for oneself: so a table is moved.

use std::ops::Range;
use std::sync::Arc;

use super::{Phase, Reach, SLICE_ENTRIES, Slice, SliceKey, write_runs};
use crate::addr::FileOffset;
use crate::error::Result;
use crate::meta::commit::clock::Clock;
use crate::meta::rules::Rules;
use crate::storage::Storage;
use crate::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Nobody else writes the slice until this is dropped. What was composed meanwhile counts as landed
/// then: by that time it is stable wherever the disk may look for it.
#[derive(Debug)]
pub(crate) struct HeldWrites<'a> {
    slice: Arc<Slice>,
    clock: &'a Clock,
}

/// The L2 table that is being moved, by the numbers of its slices: nobody writes one of them, in
/// memory or not.
#[derive(Debug, Default)]
pub(crate) struct HeldTable {
    first: AtomicU64,
    /// 0 where no table is.
    end: AtomicU64,
}

impl HeldTable {
    /// From here on no image of these slices is begun.
    pub(crate) fn set(&self, slices: &Range<u64>) {
        self.first.store(slices.start, SeqCst);
        self.end.store(slices.end, SeqCst);
    }

    /// Images of all slices may be begun again; who waits for that has to be woken.
    pub(crate) fn clear(&self) {
        self.end.store(0, SeqCst);
    }

    /// Whether a table is held.
    #[cfg(feature = "crash")]
    pub(crate) fn is_set(&self) -> bool {
        self.end.load(SeqCst) != 0
    }

    pub(super) fn covers(&self, key: SliceKey) -> bool {
        let SliceKey::L2(number) = key else { return false };
        number < self.end.load(SeqCst) && number >= self.first.load(SeqCst)
    }
}

impl Slice {
    /// Wakes who waits to begin an image of the slice.
    pub(crate) fn wake(&self) {
        let _versions = self.versions.lock();
        self.landed.notify_all();
    }

    /// Takes the one write in flight of `slice`, once the one under way has landed.
    pub(crate) fn hold_writes<'a>(slice: &Arc<Self>, clock: &'a Clock) -> HeldWrites<'a> {
        let mut versions = slice.versions.lock();
        while versions.writing {
            slice.landed.wait(&mut versions);
        }
        versions.writing = true;
        drop(versions);
        HeldWrites { slice: Arc::clone(slice), clock }
    }

    /// Whether the newest value of `entry` waits for a sync.
    pub(crate) fn is_waiting(&self, entry: usize) -> bool {
        let versions = self.versions.lock();
        versions.entries.get(&entry).is_some_and(|version| version.wait().is_some())
    }

    /// Whether an image of the slice is in flight, or its writes are held.
    #[cfg(feature = "crash")]
    pub(crate) fn is_held(&self) -> bool {
        self.versions.lock().writing
    }

    /// Adds all of the slice's safe values to `bytes`, as an image of it that is issued now.
    pub(crate) fn compose_whole(&self, clock: &Clock, bytes: &mut Vec<u8>) {
        let mut versions = self.versions.lock();
        self.promote(&mut versions, clock, Rules::default(), Phase::One);
        for entry in 0..SLICE_ENTRIES {
            let word = match versions.entries.get_mut(&entry) {
                Some(version) => version.compose(),
                None => self.newest[entry].load(SeqCst),
            };
            bytes.extend_from_slice(&word.to_le_bytes());
        }
    }

    /// From here on the slice stands at `offset`. Its writes are held.
    pub(crate) fn move_to(&self, offset: FileOffset) {
        self.offset.store(offset.get(), SeqCst);
    }
}

impl HeldWrites<'_> {
    /// Writes what is safe by now.
    ///
    /// # Errors
    /// The write failed; the storage has latched.
    pub(crate) fn write_out(&self, storage: &dyn Storage, rules: Rules) -> Result<()> {
        let slice = &self.slice;
        let image = {
            let mut versions = slice.versions.lock();
            slice.promote(&mut versions, self.clock, rules, Phase::One);
            let unit = usize::try_from(storage.limits().atomic_unit).unwrap_or(super::SLICE_BYTES);
            slice.compose(&mut versions, unit, Reach::Dirty)
        };
        write_runs(storage, &image.iter().collect::<Vec<_>>())
    }
}

impl Drop for HeldWrites<'_> {
    fn drop(&mut self) {
        let mut versions = self.slice.versions.lock();
        let stamp = self.clock.now();
        for version in versions.entries.values_mut() {
            version.landed(stamp);
        }
        versions.writing = false;
        self.slice.landed.notify_all();
    }
}
