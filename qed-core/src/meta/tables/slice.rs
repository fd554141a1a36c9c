//! A slice: 512 neighbouring entries of one table, the unit in which tables are cached and written.
//!
//! The newest words are atomics: readers take no lock. The versions of entries that are not stable
//! stand behind the slice's lock. At most one image of a slice is in flight (C8), so an older image
//! can never land on a newer one.
//!
//! A word that was found on disk and cannot be right is remembered as bad: using it is an error,
//! and only a repair replaces it.

mod hold;

use std::collections::BTreeMap;
use std::io::IoSlice;

use crate::addr::FileOffset;
use crate::error::{Error, Result};
use crate::meta::commit::clock::{Clock, Stamp};
use crate::meta::rules::{Rule, Rules};
use crate::meta::tables::version::Version;
use crate::storage::{Storage, WriteFlags};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use crate::sync::{Condvar, Mutex, MutexGuard, Rank};

pub(crate) use hold::HeldWrites;

/// Entries in a slice. Every legal table is a whole number of slices.
pub(crate) const SLICE_ENTRIES: usize = 512;
/// Bytes of a slice on disk.
pub(crate) const SLICE_BYTES: usize = SLICE_ENTRIES * 8;

/// Which slice of which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum SliceKey {
    /// The n-th slice of the L1 table.
    L1(u64),
    /// The slice that maps guest clusters n * 512 and the 511 behind it.
    L2(u64),
}

/// A new value for an entry of a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) entry: usize,
    pub(crate) word: u64,
    /// Unordered where `None`: safe at once. Else ordered: safe when a sync covers the stamp.
    pub(crate) wait: Option<Stamp>,
    /// The word before named a cluster that nothing names any more.
    pub(crate) retires: bool,
}

#[derive(Debug)]
pub(crate) struct Slice {
    key: SliceKey,
    /// Where it stands in the file; changed while its writes are held.
    offset: AtomicU64,
    newest: Box<[AtomicU64; SLICE_ENTRIES]>,
    bad: [AtomicU64; SLICE_ENTRIES / 64],
    /// Looked at since the cache last swept past.
    pub(crate) referenced: AtomicBool,
    versions: Mutex<Versions>,
    landed: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct Versions {
    entries: BTreeMap<usize, Version>,
    /// An image is in flight.
    writing: bool,
}

impl Versions {
    /// How many entries are not stable.
    pub(crate) fn unstable(&self) -> usize {
        self.entries.len()
    }

    /// Whether every entry is stable.
    pub(crate) fn is_stable(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Which half of a flush writes an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Before S1: what is safe already.
    One,
    /// After S1: what S1 has made safe.
    Two,
}

/// What a sync must cover for a slice's images and waiting entries.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Needs {
    /// The newest completed image that is not stable.
    pub(crate) image: Option<Stamp>,
    /// The newest thing an entry waits for.
    pub(crate) wait: Option<Stamp>,
}

impl Slice {
    /// A slice with the bytes found at `offset`; `is_bad` judges each word that is not 0.
    pub(crate) fn parse(
        key: SliceKey,
        offset: FileOffset,
        bytes: &[u8; SLICE_BYTES],
        is_bad: impl Fn(u64) -> bool,
    ) -> Self {
        let slice = Self {
            key,
            offset: AtomicU64::new(offset.get()),
            newest: Box::new([const { AtomicU64::new(0) }; SLICE_ENTRIES]),
            bad: Default::default(),
            referenced: AtomicBool::new(true),
            versions: Mutex::new(Rank::Slice, Versions::default()),
            landed: Condvar::new(),
        };
        for (entry, chunk) in bytes.as_chunks::<8>().0.iter().enumerate() {
            let word = u64::from_le_bytes(*chunk);
            if word != 0 {
                slice.newest[entry].store(word, SeqCst);
                if is_bad(word) {
                    slice.bad[entry / 64].fetch_or(1 << (entry % 64), SeqCst);
                }
            }
        }
        slice
    }

    pub(crate) fn key(&self) -> SliceKey {
        self.key
    }

    fn offset(&self) -> u64 {
        self.offset.load(SeqCst)
    }

    /// The newest word of `entry`, or the bad word that stands there.
    pub(crate) fn word(&self, entry: usize) -> std::result::Result<u64, u64> {
        // SeqCst pairs with `Grace`: who entered after an unlinking sees the new word.
        let word = self.newest[entry].load(SeqCst);
        if self.bad[entry / 64].load(SeqCst) & (1 << (entry % 64)) != 0 {
            return Err(word);
        }
        Ok(word)
    }

    /// Makes `changes` visible to every later look-up. Words of clusters that can be released at
    /// once are given to `release`.
    pub(crate) fn publish(
        &self,
        changes: &[Change],
        release: impl FnMut(u64),
    ) -> MutexGuard<'_, Versions> {
        let mut versions = self.versions.lock();
        let released = changes.iter().filter_map(|change| {
            let old = self.newest[change.entry].load(SeqCst);
            let version =
                versions.entries.entry(change.entry).or_insert_with(|| Version::stable(old));
            let released = version.replace(old, change.word, change.wait, change.retires);
            self.newest[change.entry].store(change.word, SeqCst);
            self.bad[change.entry / 64].fetch_and(!(1 << (change.entry % 64)), SeqCst);
            released
        });
        released.for_each(release);
        versions
    }

    /// Writes the safe values of every sector in which one is not on disk yet, once the image that
    /// may be in flight has landed. Says what syncs must cover now.
    ///
    /// # Errors
    /// The write failed; the storage has latched.
    pub(crate) fn write_out(
        &self,
        storage: &dyn Storage,
        clock: &Clock,
        rules: Rules,
        phase: Phase,
    ) -> Result<Needs> {
        let mut versions = self.versions.lock();
        let races = rules.breaks(Rule::OneWriteInFlight) || rules.breaks(Rule::FlushAwaitsOthers);
        while versions.writing && !races {
            self.landed.wait(&mut versions);
        }
        self.promote(&mut versions, clock, rules, phase);
        let unit = usize::try_from(storage.limits().atomic_unit).unwrap_or(SLICE_BYTES);
        let image = self.compose(&mut versions, unit / 8);
        if image.is_empty() {
            let mut needs = needs(&versions);
            needs.image = needs.image.filter(|_| !rules.breaks(Rule::FlushOwesOthersWrites));
            return Ok(needs);
        }
        versions.writing = true;
        drop(versions);
        let written = self.write_runs(storage, &image);
        let mut versions = self.versions.lock();
        versions.writing = false;
        self.landed.notify_all();
        // An image that failed counts as landed, too: it has no sync yet, so every later flush owes
        // one, and the latch refuses that (C17).
        let stamp = clock.now();
        for version in versions.entries.values_mut() {
            version.landed(stamp);
        }
        written.map_err(|error| Error::io("writing a table", error).at(self.offset()))?;
        Ok(needs(&versions))
    }

    /// What syncs must cover, as it stands.
    pub(crate) fn needs(&self) -> Needs {
        needs(&self.versions.lock())
    }

    /// Drops the versions of entries that have become stable; clusters that are thereby released go
    /// to `release`. The guard tells whether all entries are stable now.
    pub(crate) fn settle(
        &self,
        clock: &Clock,
        rules: Rules,
        mut release: impl FnMut(u64),
    ) -> MutexGuard<'_, Versions> {
        let mut versions = self.versions.lock();
        versions.entries.retain(|_, version| !version.settle(clock, rules, &mut release));
        versions
    }

    pub(crate) fn versions(&self) -> MutexGuard<'_, Versions> {
        self.versions.lock()
    }

    /// Turns every newest value safe that a sync allows (C5, C6).
    fn promote(&self, versions: &mut Versions, clock: &Clock, rules: Rules, phase: Phase) {
        let uncovered = rules.breaks(Rule::SafeValuesOnly)
            || (phase == Phase::Two && rules.breaks(Rule::PhaseTwoCovered));
        for (entry, version) in &mut versions.entries {
            let newest = self.newest[*entry].load(SeqCst);
            if uncovered {
                version.promote_uncovered(newest);
            }
            version.promote(newest, clock);
        }
    }

    /// The runs of dirty blocks, as (first entry, bytes); `unit` is entries in a block.
    fn compose(&self, versions: &mut Versions, unit: usize) -> Vec<(usize, Vec<u8>)> {
        let mut dirty = [false; SLICE_ENTRIES / 64];
        for (entry, version) in &versions.entries {
            dirty[entry / unit] |= version.is_dirty();
        }
        let mut runs: Vec<(usize, Vec<u8>)> = Vec::new();
        for block in (0..SLICE_ENTRIES / unit).filter(|block| dirty[*block]) {
            let first = block * unit;
            if runs.last().is_none_or(|(start, bytes)| start + bytes.len() / 8 != first) {
                runs.push((first, Vec::new()));
            }
            let Some((_, bytes)) = runs.last_mut() else { continue };
            for entry in first..first + unit {
                let word = match versions.entries.get_mut(&entry) {
                    Some(version) => version.compose(),
                    None => self.newest[entry].load(SeqCst),
                };
                bytes.extend_from_slice(&word.to_le_bytes());
            }
        }
        runs
    }

    fn write_runs(&self, storage: &dyn Storage, runs: &[(usize, Vec<u8>)]) -> std::io::Result<()> {
        let flags = WriteFlags { metadata: true, fua: false };
        let start = self.offset();
        runs.iter().try_for_each(|(entry, bytes)| {
            let offset = start + 8 * *entry as u64;
            storage.write(&[IoSlice::new(bytes)], offset, flags)
        })
    }
}

fn needs(versions: &Versions) -> Needs {
    let mut needs = Needs::default();
    for version in versions.entries.values() {
        needs.image = needs.image.max(version.unsynced());
        needs.wait = needs.wait.max(version.wait());
    }
    needs
}
