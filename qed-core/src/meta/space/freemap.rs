//! The saved free-space map (F1.5, C13): what was free when the image was closed, so that the next
//! session need not scan for it. Slices in, values out; the caller reads, writes and orders.
//!
//! It stands in the extension area of the header clusters. A map that does not fit the file's
//! length, the L1 table and its own checksum to the bit is no map. Free space is an optimisation:
//! where not all runs have room, the longest are kept.
//!
//! Layout, little-endian: magic 8, version u32, flags u32 (1: no free cluster is missing), runs
//! u64, file length u64, L1 checksum u64, own checksum u64 (over the map with this field zero),
//! then `(start, length)` in clusters, ascending; zeroes up to a multiple of 512.

use crate::format::crc::Crc64;
use crate::format::{HEADER_BYTES, Header};
use crate::meta::space::ranges::RangeSet;
use std::ops::Range;

const MAGIC: [u8; 8] = *b"QEDFREE\0";
const VERSION: u32 = 1;
const FLAG_COMPLETE: u32 = 1;
const FIXED_BYTES: usize = 48;
const CHECKSUM_AT: Range<usize> = 40..FIXED_BYTES;
const RUN_BYTES: usize = 16;
const SECTOR: usize = 512;
/// No map is larger, whatever the header reserves: 65,533 runs.
const MAX_AREA: u64 = 1 << 20;

/// What a map must match to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tie {
    /// Bytes of the file.
    pub file_length: u64,
    /// Of the L1 words that the image uses; see [`l1_checksum`].
    pub l1_checksum: u64,
}

/// A map that was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SavedMap {
    /// Free clusters of the file.
    pub free: RangeSet,
    /// No free cluster was left out: a scan would find nothing more.
    pub complete: bool,
}

/// Where a map may stand: from the first 512-byte boundary behind the header and the backing name
/// to the end of the header clusters. `None` where that leaves no room.
pub(crate) fn area(header: &Header) -> Option<Range<u64>> {
    let name_end =
        header.backing_name().map_or(0, |name| u64::from(name.offset) + u64::from(name.size));
    let start = name_end.max(HEADER_BYTES as u64).next_multiple_of(SECTOR as u64);
    let end = header.header_bytes().min(start.saturating_add(MAX_AREA));
    (start < end).then_some(start..end)
}

/// Whether these first bytes of the area may be overwritten: ours, or nobody's (F1.2).
pub(crate) fn may_replace(area: &[u8]) -> bool {
    area.starts_with(&MAGIC) || area.iter().all(|byte| *byte == 0)
}

/// The checksum of an L1 table's words.
pub(crate) fn l1_checksum(words: impl IntoIterator<Item = u64>) -> u64 {
    let feed = |crc: Crc64, word: u64| crc.feed(&word.to_le_bytes());
    words.into_iter().fold(Crc64::new(), feed).value()
}

/// The map of `free` in at most `capacity` bytes, a multiple of 512; `None` where not even an empty
/// one has room. `complete` says that nothing free is missing in `free`.
pub(crate) fn encode(
    free: &RangeSet,
    complete: bool,
    tie: Tie,
    capacity: usize,
) -> Option<Vec<u8>> {
    let capacity = capacity - capacity % SECTOR;
    let room = capacity.checked_sub(FIXED_BYTES)? / RUN_BYTES;
    let mut runs: Vec<(u64, u64)> = free.iter().collect();
    let complete = complete && runs.len() <= room;
    if runs.len() > room {
        runs.sort_unstable_by_key(|&(start, length)| (std::cmp::Reverse(length), start));
        runs.truncate(room);
        runs.sort_unstable();
    }
    let mut bytes = Vec::with_capacity(capacity.min(encoded_bytes(runs.len())?));
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(if complete { FLAG_COMPLETE } else { 0 }.to_le_bytes());
    for word in [runs.len() as u64, tie.file_length, tie.l1_checksum, 0] {
        bytes.extend(word.to_le_bytes());
    }
    for (start, length) in runs {
        bytes.extend(start.to_le_bytes());
        bytes.extend(length.to_le_bytes());
    }
    bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
    let checksum = own_checksum(&bytes);
    bytes[CHECKSUM_AT].copy_from_slice(&checksum.to_le_bytes());
    Some(bytes)
}

/// The map that `area` begins with, if it is one, whole, and of this very image.
pub(crate) fn decode(area: &[u8], header: &Header, tie: Tie) -> Option<SavedMap> {
    let (fixed, _) = area.split_first_chunk::<FIXED_BYTES>()?;
    let (words, _) = fixed.as_chunks::<8>();
    let [magic, form, count, file_length, checksum_of_l1, checksum] = *words else { return None };
    let [version, flags] = halves(form);
    let known = magic == MAGIC && version == VERSION && flags & !FLAG_COMPLETE == 0;
    let ours = u64::from_le_bytes(file_length) == tie.file_length
        && u64::from_le_bytes(checksum_of_l1) == tie.l1_checksum;
    if !known || !ours {
        return None;
    }
    let count = usize::try_from(u64::from_le_bytes(count)).ok()?;
    let map = area.get(..encoded_bytes(count)?)?;
    if own_checksum(map) != u64::from_le_bytes(checksum) {
        return None;
    }
    let (runs, _) = map.get(FIXED_BYTES..FIXED_BYTES + count * RUN_BYTES)?.as_chunks::<RUN_BYTES>();
    let free = decode_runs(runs, header, tie.file_length)?;
    Some(SavedMap { free, complete: flags & FLAG_COMPLETE != 0 })
}

/// What the map in `area` says it was tied to: only tests that break C13 believe that.
pub(crate) fn recorded_tie(area: &[u8]) -> Option<Tie> {
    let [_, _, _, file_length, l1_checksum, _] = *area.as_chunks::<8>().0.first_chunk()?;
    Some(Tie {
        file_length: u64::from_le_bytes(file_length),
        l1_checksum: u64::from_le_bytes(l1_checksum),
    })
}

/// Runs that ascend without touching, inside the file, outside the header and the L1 table.
fn decode_runs(runs: &[[u8; RUN_BYTES]], header: &Header, file_length: u64) -> Option<RangeSet> {
    let geometry = header.geometry;
    let l1_start = geometry.file_cluster(header.l1_table_offset).get();
    let l1_end = l1_start + geometry.table_clusters();
    let file_end = geometry.usable_length(file_length) / geometry.cluster_size();
    let mut free = RangeSet::new();
    let mut least = u64::from(header.header_clusters);
    for run in runs {
        let word = |at: usize| run.as_chunks::<8>().0.get(at).map(|word| u64::from_le_bytes(*word));
        let (start, length) = (word(0)?, word(1)?);
        let end = start.checked_add(length)?;
        let in_l1 = start < l1_end && l1_start < end;
        if length == 0 || start < least || end > file_end || in_l1 {
            return None;
        }
        free.insert(start, length);
        least = end + 1;
    }
    Some(free)
}

/// Bytes of a map of `count` runs.
fn encoded_bytes(count: usize) -> Option<usize> {
    let bytes = count.checked_mul(RUN_BYTES)?.checked_add(FIXED_BYTES)?;
    bytes.checked_next_multiple_of(SECTOR)
}

fn own_checksum(map: &[u8]) -> u64 {
    let (before, rest) = map.split_at(CHECKSUM_AT.start);
    Crc64::new().feed(before).feed(&[0; 8]).feed(&rest[CHECKSUM_AT.len()..]).value()
}

fn halves(word: [u8; 8]) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = word;
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]
}

#[cfg(test)]
mod tests;
