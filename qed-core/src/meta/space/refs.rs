//! Which clusters of the file are referenced: a sparse bitmap.
//!
//! Memory follows what is referenced, never the length of the file: an image may claim 2^62 bytes
//! and name clusters at both ends. A chunk of 512 clusters costs some 70 bytes, so a dense image
//! takes an eighth of a byte a cluster. Nothing here walks clusters that nobody names one by one.
//!
//! Chunks are found by a directory where their numbers are small, as in all files but sparse
//! giants, and by a hash table beyond it.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;

const WORDS: usize = 8;
const WORD_BITS: u64 = u64::BITS as u64;
const CHUNK_CLUSTERS: u64 = WORDS as u64 * WORD_BITS;

type Chunk = [u64; WORDS];

/// A set of file clusters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refs {
    /// Where the chunk of a small number stands in `chunks`, plus one; 0: there is none.
    directory: Vec<usize>,
    /// Where the other chunks stand.
    index: HashMap<u64, usize, Seed>,
    chunks: Vec<Chunk>,
    /// The chunk used last: neighbouring entries name neighbouring clusters.
    last: Option<(u64, usize)>,
    count: u64,
    highest: Option<u64>,
}

impl Refs {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds `cluster`; answers whether it was there already.
    pub(crate) fn set(&mut self, cluster: u64) -> bool {
        let (word, bit) = place(cluster);
        let chunk = self.chunk_mut(cluster / CHUNK_CLUSTERS);
        let was_set = chunk[word] & bit != 0;
        chunk[word] |= bit;
        if !was_set {
            self.count += 1;
            self.highest = self.highest.max(Some(cluster));
        }
        was_set
    }

    /// Takes `cluster` out. The highest member that was ever there stays on record.
    pub(crate) fn clear(&mut self, cluster: u64) {
        if self.contains(cluster) {
            let (word, bit) = place(cluster);
            self.chunk_mut(cluster / CHUNK_CLUSTERS)[word] &= !bit;
            self.count -= 1;
        }
    }

    /// Adds `count` clusters from `first` on, unless one of them is there already; answers whether
    /// it did.
    pub(crate) fn set_run(&mut self, first: u64, count: u64) -> bool {
        let taken = pieces(first, count).any(|(number, mask)| {
            let chunk = self.chunk(number);
            chunk.is_some_and(|chunk| chunk.iter().zip(mask).any(|(word, bits)| word & bits != 0))
        });
        if taken || count == 0 {
            return !taken;
        }
        for (number, mask) in pieces(first, count) {
            for (word, bits) in self.chunk_mut(number).iter_mut().zip(mask) {
                *word |= bits;
            }
        }
        self.count += count;
        self.highest = self.highest.max(Some(first + count - 1));
        true
    }

    pub(crate) fn contains(&self, cluster: u64) -> bool {
        let (word, bit) = place(cluster);
        self.chunk(cluster / CHUNK_CLUSTERS).is_some_and(|chunk| chunk[word] & bit != 0)
    }

    /// The set for many questions about clusters that lie near each other.
    pub(crate) fn probe(&self) -> Probe<'_> {
        Probe { refs: self, found: None }
    }

    /// Clusters in the set.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The last cluster of the set.
    pub(crate) fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// The runs inside `range` that are not in the set, as `(start, length)`, lowest first.
    pub(crate) fn gaps(&self, range: Range<u64>) -> Gaps<'_> {
        let wanted = range.start / CHUNK_CLUSTERS..range.end.div_ceil(CHUNK_CLUSTERS);
        let in_directory = (0..).zip(&self.directory).filter(|(_, at)| **at != 0);
        let mut numbers: Vec<u64> = in_directory
            .map(|(number, _)| number)
            .chain(self.index.keys().copied())
            .filter(|number| wanted.contains(number))
            .collect();
        // Descending: the next chunk is the last of the list.
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        Gaps { refs: self, numbers, at: range.start, end: range.end }
    }

    fn chunk(&self, number: u64) -> Option<&Chunk> {
        let at = match small(number) {
            Some(place) => (*self.directory.get(place)?).checked_sub(1)?,
            None => *self.index.get(&number)?,
        };
        self.chunks.get(at)
    }

    fn chunk_mut(&mut self, number: u64) -> &mut Chunk {
        let at = match self.last {
            Some((last, at)) if last == number => at,
            _ => self.find_or_add(number),
        };
        self.last = Some((number, at));
        &mut self.chunks[at]
    }

    fn find_or_add(&mut self, number: u64) -> usize {
        let next = self.chunks.len();
        let at = match small(number) {
            Some(place) => {
                if self.directory.len() <= place {
                    self.directory.resize(place + 1, 0);
                }
                let slot = &mut self.directory[place];
                if *slot == 0 {
                    *slot = next + 1;
                }
                *slot - 1
            }
            None => *self.index.entry(number).or_insert(next),
        };
        if at == next {
            self.chunks.push([0; WORDS]);
        }
        at
    }
}

/// The place in the directory of a chunk with a small number.
fn small(number: u64) -> Option<usize> {
    usize::try_from(number).ok().filter(|place| *place < DIRECTORY)
}

/// Chunks that a directory of at most 8 MiB finds: of 32 TiB at 64 KiB clusters.
const DIRECTORY: usize = 1 << 20;

/// The chunks that `count` clusters from `first` on lie in, and which bits of each they are.
fn pieces(first: u64, count: u64) -> impl Iterator<Item = (u64, Chunk)> {
    let end = first.saturating_add(count);
    let numbers = first / CHUNK_CLUSTERS..end.div_ceil(CHUNK_CLUSTERS);
    numbers.map(move |number| {
        let start = number * CHUNK_CLUSTERS;
        let mut mask = [0; WORDS];
        for (word, from) in mask.iter_mut().zip((start..).step_by(64)) {
            let low = first.saturating_sub(from).min(WORD_BITS);
            let high = end.saturating_sub(from).min(WORD_BITS);
            *word = ones(high) & !ones(low);
        }
        (number, mask)
    })
}

/// The lowest `count` bits, at most 64.
fn ones(count: u64) -> u64 {
    if count == WORD_BITS { u64::MAX } else { (1 << count) - 1 }
}

/// See [`Refs::probe`].
pub(crate) struct Probe<'a> {
    refs: &'a Refs,
    /// The number of the chunk looked at last, and the chunk.
    found: Option<(u64, Option<&'a Chunk>)>,
}

impl Probe<'_> {
    pub(crate) fn contains(&mut self, cluster: u64) -> bool {
        let number = cluster / CHUNK_CLUSTERS;
        let chunk = match self.found {
            Some((last, chunk)) if last == number => chunk,
            _ => self.refs.chunk(number),
        };
        self.found = Some((number, chunk));
        let (word, bit) = place(cluster);
        chunk.is_some_and(|chunk| chunk[word] & bit != 0)
    }
}

/// Secret numbers, so that no image can choose clusters that collide. The default hasher does as
/// much with more work: a check of an image written in random order took six times as long.
#[derive(Clone, Copy, Debug)]
struct Seed {
    mask: u64,
    factor: u64,
}

impl Default for Seed {
    fn default() -> Self {
        let random = RandomState::new();
        Self { mask: random.hash_one(0), factor: random.hash_one(1) | 1 }
    }
}

impl BuildHasher for Seed {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer { seed: *self, hash: 0 }
    }
}

/// Folds the product of two words, so that every bit of a number reaches the whole hash.
#[derive(Debug)]
struct Mixer {
    seed: Seed,
    hash: u64,
}

impl Hasher for Mixer {
    #[allow(clippy::cast_possible_truncation)] // the halves of the product are what is wanted
    fn write_u64(&mut self, number: u64) {
        let word = self.hash ^ number ^ self.seed.mask;
        let product = u128::from(word) * u128::from(self.seed.factor);
        self.hash = (product ^ (product >> u64::BITS)) as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((*byte).into());
        }
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}

/// The runs that a [`Refs`] leaves free; see [`Refs::gaps`].
#[derive(Debug)]
pub(crate) struct Gaps<'a> {
    refs: &'a Refs,
    numbers: Vec<u64>,
    at: u64,
    end: u64,
}

impl Iterator for Gaps<'_> {
    type Item = (u64, u64);

    fn next(&mut self) -> Option<(u64, u64)> {
        let start = self.find(self.at, false).filter(|&start| start < self.end)?;
        self.at = self.find(start, true).map_or(self.end, |stop| stop.min(self.end));
        Some((start, self.at - start))
    }
}

impl Gaps<'_> {
    /// The first cluster from `from` on that is in the set (`set`) or not in it.
    fn find(&mut self, from: u64, set: bool) -> Option<u64> {
        let mut at = from;
        loop {
            let number = at / CHUNK_CLUSTERS;
            while self.numbers.last().is_some_and(|&next| next < number) {
                self.numbers.pop();
            }
            let next = self.numbers.last().copied();
            if next == Some(number) {
                let chunk = self.refs.chunk(number)?;
                if let Some(bit) = find_in_chunk(chunk, at % CHUNK_CLUSTERS, set) {
                    return Some(number * CHUNK_CLUSTERS + bit);
                }
                at = number.checked_add(1)?.checked_mul(CHUNK_CLUSTERS)?;
            } else if set {
                at = next?.checked_mul(CHUNK_CLUSTERS)?;
            } else {
                return Some(at);
            }
        }
    }
}

/// The word of its chunk, and the bit in that word, that stand for `cluster`.
#[allow(clippy::cast_possible_truncation)] // below WORDS
fn place(cluster: u64) -> (usize, u64) {
    let word = (cluster % CHUNK_CLUSTERS / WORD_BITS) as usize;
    (word, 1 << (cluster % WORD_BITS))
}

fn find_in_chunk(chunk: &Chunk, from: u64, set: bool) -> Option<u64> {
    let mut at = from;
    while at < CHUNK_CLUSTERS {
        let (word, bit) = place(at);
        let candidates = if set { chunk[word] } else { !chunk[word] } & !(bit - 1);
        if candidates != 0 {
            return Some(at - at % WORD_BITS + u64::from(candidates.trailing_zeros()));
        }
        at = at - at % WORD_BITS + WORD_BITS;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn of(clusters: impl IntoIterator<Item = u64>) -> Refs {
        let mut refs = Refs::new();
        for cluster in clusters {
            refs.set(cluster);
        }
        refs
    }

    #[test]
    fn setting_twice_is_reported_and_counted_once() {
        let mut refs = Refs::new();
        assert_eq!((refs.set(7), refs.set(7), refs.set(1 << 50)), (false, true, false));
        assert_eq!((refs.count(), refs.highest()), (2, Some(1 << 50)));
        assert!(refs.contains(7) && refs.contains(1 << 50) && !refs.contains(8));
        assert_eq!((Refs::new().highest(), Refs::new().count()), (None, 0));
    }

    #[test]
    fn gaps_jump_over_empty_space() {
        // Goal: 2^50 clusters that nobody names cost nothing. Method: the test ends.
        let refs = of([0, 1, 5, 1 << 50]);
        let gaps: Vec<_> = refs.gaps(0..(1 << 50) + 3).collect();
        assert_eq!(gaps, [(2, 3), (6, (1 << 50) - 6), ((1 << 50) + 1, 2)]);
        assert_eq!(Refs::new().gaps(3..1 << 62).collect::<Vec<_>>(), [(3, (1 << 62) - 3)]);
    }

    #[test]
    fn a_run_is_all_of_its_clusters() {
        // Goal: a run at any place, also past the directory, is as its clusters one by one.
        for base in [0, 64, 511, (DIRECTORY as u64 - 1) * CHUNK_CLUSTERS + 500, 1 << 50] {
            for count in [0, 1, 63, 64, 65, 700] {
                let mut run = of([base + 2000]);
                assert!(run.set_run(base, count));
                let each = of((base..base + count).chain([base + 2000]));
                let all = base..base + 3000;
                assert!(run.gaps(all.clone()).eq(each.gaps(all)), "{count} from {base}");
                assert_eq!((run.count(), run.highest()), (each.count(), each.highest()));
                assert_eq!(run.set_run(base, count), count == 0, "taken");
                assert_eq!(run.count(), each.count(), "nothing is added where one is taken");
            }
        }
    }

    #[test]
    fn gaps_stay_inside_their_range() {
        let refs = of((0..CHUNK_CLUSTERS * 2).chain([CHUNK_CLUSTERS * 3]));
        assert_eq!(refs.gaps(0..CHUNK_CLUSTERS * 2).next(), None);
        let tail: Vec<_> = refs.gaps(5..CHUNK_CLUSTERS * 3 + 1).collect();
        assert_eq!(tail, [(CHUNK_CLUSTERS * 2, CHUNK_CLUSTERS)]);
        assert_eq!(refs.gaps(9..9).next(), None);
        assert_eq!(of([u64::MAX]).gaps(u64::MAX - 2..u64::MAX).next(), Some((u64::MAX - 2, 2)));
    }

    proptest! {
        #[test]
        fn gaps_and_members_make_the_whole(
            clusters in prop::collection::btree_set(0_u64..2100, 0..300),
            low in 0_u64..2200,
            length in 0_u64..2200,
        ) {
            // Goal: every cluster is a member or in exactly one gap. Method: a plain set as the
            // model.
            let refs = of(clusters.iter().copied());
            let free: Vec<u64> =
                refs.gaps(low..low + length).flat_map(|(start, n)| start..start + n).collect();
            let expected: Vec<u64> =
                (low..low + length).filter(|cluster| !clusters.contains(cluster)).collect();
            prop_assert_eq!(free, expected);
            let mut last_end = None;
            for (start, n) in refs.gaps(low..low + length) {
                prop_assert!(n > 0 && last_end.is_none_or(|end| end < start), "gaps touch");
                last_end = Some(start + n);
            }
            let run = refs.clone().set_run(low, length);
            let overlaps = clusters.range(low..low + length).next().is_some();
            prop_assert_eq!(run, !overlaps);
            let members: BTreeSet<u64> = (0..2200).filter(|c| refs.contains(*c)).collect();
            prop_assert_eq!(refs.count(), members.len() as u64);
            prop_assert_eq!(refs.highest(), members.last().copied());
            prop_assert_eq!(members, clusters);
        }
    }
}
