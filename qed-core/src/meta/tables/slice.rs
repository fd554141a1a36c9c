//! A slice: 512 neighbouring entries of one table, the unit in which tables are cached and written.
//!
//! The newest words are atomics: readers take no lock. The versions of entries that are not stable
//! stand behind the slice's lock. At most one image of a slice is in flight (C8), so an older image
//! can never land on a newer one.
//!
//! A word that was found on disk and cannot be right is remembered as bad: using it is an error,
//! and only a repair replaces it.
//!
//! The cache gives a slice another part of a table when nobody holds it. Readers hold nothing: they
//! read through a [`View`], and believe what they read if the slice's sequence has not moved.
//! 1. The sequence is odd while words, number and offset change, and even while they belong
//!    together; it only grows.
//! 2. Whoever holds the slice by an `Arc` that the cache gave out finds it unchanged.

mod hold;
mod image;

use std::collections::BTreeMap;

use crate::addr::FileOffset;
use crate::meta::commit::clock::{Clock, Stamp};
use crate::meta::rules::Rules;
use crate::meta::tables::version::Version;
use crate::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
};
use crate::sync::{Apart, Condvar, Mutex, MutexGuard, Rank};

pub(crate) use hold::{HeldTable, HeldWrites};
pub(crate) use image::{NoImage, Reach, SliceImage, TableRun, write_runs};

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

/// Of which table a slice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    L1,
    L2,
}

#[derive(Debug)]
pub(crate) struct Slice {
    level: Level,
    sequence: AtomicU64,
    number: AtomicU64,
    /// Where it stands in the file; changed also while its writes are held.
    offset: AtomicU64,
    newest: Box<[AtomicU64; SLICE_ENTRIES]>,
    bad: [AtomicU64; SLICE_ENTRIES / 64],
    any_bad: AtomicBool,
    /// Looked at since the cache last swept past.
    referenced: AtomicBool,
    /// How many entries are not stable.
    unstable: AtomicUsize,
    /// Apart from what look-ups read.
    versions: Apart<Mutex<Versions>>,
    landed: Condvar,
}

/// A slice as it is found by somebody who does not hold it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    slice: &'a Slice,
    sequence: u64,
}

impl<'a> View<'a> {
    /// The slice. What is read from it counts only if the view [holds](Self::holds) afterwards.
    pub(crate) fn slice(&self) -> &'a Slice {
        self.slice
    }

    /// Whether everything read through this view so far is of the part that was looked for.
    pub(crate) fn holds(&self) -> bool {
        self.slice.sequence.load(SeqCst) == self.sequence
    }
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

impl Needs {
    /// What both need.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { image: self.image.max(other.image), wait: self.wait.max(other.wait) }
    }
}

impl Slice {
    /// A slice of no part of a table yet.
    pub(crate) fn empty(level: Level) -> Self {
        Self {
            level,
            sequence: AtomicU64::new(1),
            number: AtomicU64::new(0),
            offset: AtomicU64::new(0),
            newest: Box::new([const { AtomicU64::new(0) }; SLICE_ENTRIES]),
            bad: Default::default(),
            any_bad: AtomicBool::new(false),
            referenced: AtomicBool::new(false),
            unstable: AtomicUsize::new(0),
            versions: Apart(Mutex::new(Rank::Slice, Versions::default())),
            landed: Condvar::new(),
        }
    }

    /// Gives an empty slice its part of a table: the bytes found at `offset`. `is_bad` judges each
    /// word that is not 0.
    pub(crate) fn fill(
        &self,
        number: u64,
        offset: FileOffset,
        bytes: &[u8; SLICE_BYTES],
        mut is_bad: impl FnMut(u64) -> bool,
    ) {
        let sequence = self.sequence.load(Relaxed);
        debug_assert!(!sequence.is_multiple_of(2), "a slice in use is filled");
        debug_assert!(self.is_stable(), "a slice that is not stable is filled");
        // Release: who sees one of these words sees the odd sequence as well.
        self.number.store(number, Release);
        self.offset.store(offset.get(), Release);
        let is_new = sequence == 1;
        let (mut any_bad, words) = (false, bytes.as_chunks::<8>().0);
        for (block, words) in words.chunks_exact(64).enumerate() {
            let mut bad = 0;
            for (entry, chunk) in words.iter().enumerate() {
                let word = u64::from_le_bytes(*chunk);
                if word != 0 || !is_new {
                    self.newest[64 * block + entry].store(word, Release);
                }
                if word != 0 && is_bad(word) {
                    bad |= 1 << entry;
                }
            }
            if bad != 0 || !is_new {
                self.bad[block].store(bad, Release);
            }
            any_bad |= bad != 0;
        }
        self.any_bad.store(any_bad, Release);
        // One look counts for nothing yet: a walk over the disk does not push out what is in use.
        self.referenced.store(false, Relaxed);
        self.sequence.store(sequence + 1, SeqCst);
    }

    /// Takes a slice's part of a table away, which nobody holds.
    pub(crate) fn withdraw(&self) {
        // Changes are made under this lock: those of earlier holders come before what follows.
        let versions = self.versions.lock();
        debug_assert!(versions.entries.is_empty(), "a slice that is not stable is dropped");
        let sequence = self.sequence.load(Relaxed);
        if sequence.is_multiple_of(2) {
            self.sequence.store(sequence + 1, SeqCst);
        }
    }

    /// The slice for a reader who does not hold it, if it is slice `number` now.
    pub(crate) fn view(&self, number: u64) -> Option<View<'_>> {
        let sequence = self.sequence.load(SeqCst);
        let is_whole = sequence.is_multiple_of(2) && self.number.load(Acquire) == number;
        is_whole.then_some(View { slice: self, sequence })
    }

    /// Marks words that were believed when they were read, and that `is_bad` knows better.
    pub(crate) fn judge(&self, mut is_bad: impl FnMut(u64) -> bool) {
        for entry in 0..SLICE_ENTRIES {
            let word = self.newest[entry].load(SeqCst);
            if word != 0 && is_bad(word) {
                self.bad[entry / 64].fetch_or(1 << (entry % 64), SeqCst);
                self.any_bad.store(true, SeqCst);
            }
        }
    }

    /// Notes a use, for the cache's sweep; writes nothing where one is noted already.
    pub(crate) fn note_use(&self) {
        if !self.referenced.load(Relaxed) {
            self.referenced.store(true, Relaxed);
        }
    }

    /// Whether a use was noted since the last call.
    pub(crate) fn take_use(&self) -> bool {
        self.referenced.swap(false, Relaxed)
    }

    pub(crate) fn key(&self) -> SliceKey {
        let number = self.number.load(SeqCst);
        match self.level {
            Level::L1 => SliceKey::L1(number),
            Level::L2 => SliceKey::L2(number),
        }
    }

    pub(crate) fn offset(&self) -> FileOffset {
        FileOffset(self.offset.load(SeqCst))
    }

    /// Whether every entry is stable.
    pub(crate) fn is_stable(&self) -> bool {
        self.unstable.load(SeqCst) == 0
    }

    /// The newest word of `entry`, or the bad word that stands there.
    pub(crate) fn word(&self, entry: usize) -> std::result::Result<u64, u64> {
        // SeqCst pairs with `Grace`: who entered after an unlinking sees the new word.
        let word = self.newest[entry].load(SeqCst);
        if self.any_bad.load(SeqCst) && self.bad[entry / 64].load(SeqCst) & (1 << (entry % 64)) != 0
        {
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
        self.unstable.store(versions.unstable(), SeqCst);
        versions
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
        self.unstable.store(versions.unstable(), SeqCst);
        versions
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
