//! L2 slices in memory, within a budget of bytes, shared by all threads.
//!
//! A look-up finds a slice without a lock and without writing to shared memory: it takes a
//! [`View`], reads, and asks the view whether that still holds. A miss reads one slice.
//!
//! ```text
//!   free --hold--> loading --read--> loaded --nobody holds it, sweep--> free
//!                     `----failed----------------------------------------^
//! ```
//!
//! Slices stand in sets of eight lines, and a number belongs to one set. A line keeps its `Slice`
//! for good; what the slice is of changes under the set's lock. Whoever changes entries, or keeps a
//! slice across I/O, holds it by an `Arc`.
//!
//! Invariants:
//! 1. A number has at most one line, from before its bytes are read until it is free again, and
//!    whoever else wants it waits for that read: two readings of one slice never meet.
//! 2. A slice that anybody holds, the list of unstable slices included, stays what it is; so nobody
//!    changes one object while another is read again from the disk.
//! 3. A hold begins under the set's lock. What that lock's holder finds unheld stays so.
//! 4. Where all eight are held a set grows by further lines, without a tag: they are found under
//!    its lock only, and go when nobody holds them.

use std::ops::Range;
use std::sync::Arc;

use crate::error::Result;
use crate::meta::tables::slice::{Level, SLICE_BYTES, Slice, View};
use crate::sync::atomic::{AtomicU64, Ordering::SeqCst};
use crate::sync::{Apart, Condvar, Mutex, MutexGuard, OnceLock, Rank};

/// Lines of a set that have a tag.
const WAYS: usize = 8;
/// What a cached slice takes beside its words, roughly.
const OVERHEAD: usize = 512;
/// A cache smaller than this would evict what one request needs.
const MIN_SLICES: usize = 4;
/// Spreads numbers that follow each other, or keep a distance, evenly over the sets.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Debug)]
pub(crate) struct Cache {
    /// Made when they are first needed: an image that is opened takes no memory for them.
    sets: Box<[OnceLock<Box<Set>>]>,
    /// Lines of a set, at most [`WAYS`] and fewer only where the budget is tiny.
    ways: usize,
}

#[derive(Debug)]
#[repr(align(64))]
struct Set {
    /// The number of the slice in each line, plus 1; 0 where there is none to be read.
    tags: [AtomicU64; WAYS],
    slices: [OnceLock<Arc<Slice>>; WAYS],
    ways: usize,
    lines: Apart<Mutex<Lines>>,
    loaded: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    lines: Vec<Line>,
    /// Where the next sweep begins.
    hand: usize,
}

#[derive(Debug)]
struct Line {
    number: u64,
    state: State,
    slice: Arc<Slice>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Loading,
    Loaded,
}

impl Cache {
    /// A cache of about `budget` bytes.
    pub(crate) fn new(budget: u64) -> Self {
        let bytes = usize::try_from(budget).unwrap_or(usize::MAX);
        let most = (bytes / (SLICE_BYTES + OVERHEAD)).max(MIN_SLICES);
        let sets = (most / WAYS).max(1);
        Self { sets: (0..sets).map(|_| OnceLock::new()).collect(), ways: most.min(WAYS) }
    }

    /// Bytes it may take.
    pub(crate) fn budget(&self) -> usize {
        self.sets.len() * self.ways * (SLICE_BYTES + OVERHEAD)
    }

    /// Slice `number`, where it is in memory.
    pub(crate) fn view(&self, number: u64) -> Option<View<'_>> {
        let set = self.sets[self.set_of(number)].get()?;
        let way = set.tags.iter().position(|tag| tag.load(SeqCst) == number + 1)?;
        let slice = set.slices[way].get()?;
        slice.note_use();
        // The line may have changed since its tag was read: the view looks at the slice itself.
        slice.view(number)
    }

    /// Holds slice `number`; where it is not in memory `load` fills it.
    ///
    /// # Errors
    /// What `load` reports; the next hold tries again.
    pub(crate) fn hold(
        &self,
        number: u64,
        load: impl FnOnce(&Slice) -> Result<()>,
    ) -> Result<Arc<Slice>> {
        let set = self.sets[self.set_of(number)].get_or_init(|| Box::new(Set::new(self.ways)));
        let mut lines = set.lines.lock();
        while let Some(at) = lines.find(number) {
            if lines.lines[at].state == State::Loaded {
                lines.lines[at].slice.note_use();
                return Ok(Arc::clone(&lines.lines[at].slice));
            }
            set.loaded.wait(&mut lines);
        }
        let at = set.vacate(&mut lines);
        let line = &mut lines.lines[at];
        (line.number, line.state) = (number, State::Loading);
        let slice = Arc::clone(&line.slice);
        drop(lines);
        let filled = load(&slice);
        set.settle(set.lines.lock(), number, filled.is_ok());
        filled.map(|()| slice)
    }

    /// Calls `visit` for every slice in memory, also for those that were being read when this was
    /// called.
    pub(crate) fn visit(&self, visit: impl Fn(&Slice)) {
        for set in self.sets.iter().filter_map(OnceLock::get) {
            let mut lines = set.lines.lock();
            while lines.lines.iter().any(|line| line.state == State::Loading) {
                set.loaded.wait(&mut lines);
            }
            let loaded = lines.lines.iter().filter(|line| line.state == State::Loaded);
            loaded.for_each(|line| visit(&line.slice));
        }
    }

    /// Takes the slices of `numbers` out of memory, but for those that somebody holds or reads;
    /// whether none is left.
    pub(crate) fn forget(&self, numbers: &Range<u64>) -> bool {
        let mut left = false;
        for set in self.sets.iter().filter_map(OnceLock::get) {
            let mut lines = set.lines.lock();
            lines.drop_beyond(set.ways);
            for at in 0..lines.lines.len() {
                let line = &lines.lines[at];
                if line.state == State::Free || !numbers.contains(&line.number) {
                    continue;
                }
                if line.state == State::Loading || lines.is_held(at, set.ways) {
                    left = true;
                } else {
                    set.free(&mut lines, at);
                }
            }
        }
        !left
    }

    fn set_of(&self, number: u64) -> usize {
        let spread = u128::from(number.wrapping_mul(GOLDEN)) * self.sets.len() as u128;
        usize::try_from(spread >> u64::BITS).unwrap_or(0)
    }
}

impl Set {
    fn new(ways: usize) -> Self {
        Self {
            tags: Default::default(),
            slices: Default::default(),
            ways,
            lines: Apart(Mutex::new(Rank::Cache, Lines::default())),
            loaded: Condvar::new(),
        }
    }

    /// A free line: one that is free already, a new one, one whose slice nobody holds and nobody
    /// has looked at since the last sweep, or one beyond the set's size.
    fn vacate(&self, lines: &mut Lines) -> usize {
        let ways = self.ways;
        lines.drop_beyond(ways);
        if let Some(at) = lines.lines.iter().position(|line| line.state == State::Free) {
            return at;
        }
        if lines.lines.len() < ways {
            let slice = Arc::new(Slice::empty(Level::L2));
            let at = lines.push(Arc::clone(&slice));
            // Nobody else sets it: a set's own lines come one after the other, under its lock.
            let _ = self.slices[at].set(slice);
            return at;
        }
        for _ in 0..2 * ways {
            let at = lines.hand % ways;
            lines.hand = at + 1;
            if !lines.is_held(at, ways) && !lines.lines[at].slice.take_use() {
                self.free(lines, at);
                return at;
            }
        }
        lines.push(Arc::new(Slice::empty(Level::L2)))
    }

    fn free(&self, lines: &mut Lines, at: usize) {
        self.tags[at].store(0, SeqCst);
        lines.lines[at].slice.withdraw();
        lines.lines[at].state = State::Free;
    }

    /// Ends a reading: the slice is there for everybody, or its line is free again.
    fn settle(&self, mut lines: MutexGuard<'_, Lines>, number: u64, filled: bool) {
        if let Some(at) = lines.find(number) {
            lines.lines[at].state = if filled { State::Loaded } else { State::Free };
            if filled && at < self.ways {
                self.tags[at].store(number + 1, SeqCst);
            }
        }
        self.loaded.notify_all();
    }
}

impl Lines {
    fn find(&self, number: u64) -> Option<usize> {
        let is_it = |line: &Line| line.state != State::Free && line.number == number;
        self.lines.iter().position(is_it)
    }

    fn push(&mut self, slice: Arc<Slice>) -> usize {
        self.lines.push(Line { number: 0, state: State::Free, slice });
        self.lines.len() - 1
    }

    /// Whether anybody but the set itself holds the slice of line `at`.
    fn is_held(&self, at: usize, ways: usize) -> bool {
        let own = if at < ways { 2 } else { 1 };
        Arc::strong_count(&self.lines[at].slice) > own
    }

    fn drop_beyond(&mut self, ways: usize) {
        let mut at = ways;
        while at < self.lines.len() {
            if self.is_held(at, ways) {
                at += 1;
            } else {
                self.lines.swap_remove(at);
            }
        }
    }
}

#[cfg(test)]
mod tests;
