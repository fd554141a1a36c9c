//! A disk's content that is cheap to copy: one crash state among thousands.
//!
//! Pages are shared between copies until one of them is written, and remember the digests of their
//! sectors; two copies are compared by what they do not share. A [`Medium`] is a plain value;
//! [`MediumStorage`](super::MediumStorage) is one behind the engine's storage trait. Knows nothing
//! of QED.

use super::random::{digest, mix, to_usize};
use crate::storage::{Base, StoredExtent};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// Bytes of a sector, the smallest unit that persists as a whole.
pub const SECTOR: u64 = 512;
const PAGE_BYTES: usize = 4096;
const SECTOR_BYTES: usize = 512;
/// Pages of a chunk.
const CHUNK: usize = 64;

/// The bytes and the length of a file. Bytes past the length are kept until [`Medium::cut`].
#[derive(Clone, Debug, Default)]
pub struct Medium {
    chunks: Vec<Option<Arc<Chunk>>>,
    length: u64,
}

/// Neighbouring pages, shared as one.
#[derive(Clone, Debug)]
struct Chunk {
    pages: [Option<Arc<Page>>; CHUNK],
    digest: OnceLock<u64>,
}

#[derive(Clone, Debug)]
struct Page {
    bytes: [u8; PAGE_BYTES],
    /// The digest of each sector, as far as it was asked for.
    digests: [OnceLock<u64>; 8],
}

impl Medium {
    /// What a log began with.
    #[must_use]
    pub fn new(base: &Base) -> Self {
        let mut medium = Self { chunks: Vec::new(), length: base.length };
        for (offset, bytes) in &base.blocks {
            medium.write(*offset, bytes);
        }
        medium
    }

    /// A file that holds `bytes`.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut medium = Self { chunks: Vec::new(), length: bytes.len() as u64 };
        for (offset, page) in (0..).step_by(PAGE_BYTES).zip(bytes.chunks(PAGE_BYTES)) {
            if page.iter().any(|byte| *byte != 0) {
                medium.write(offset, page);
            }
        }
        medium
    }

    /// The same content as a log begins with.
    #[must_use]
    pub fn to_base(&self) -> Base {
        let page = |(index, page): (u64, &Page)| {
            let inside = to_usize((self.length - index * PAGE).min(PAGE));
            (index * PAGE, page.bytes[..inside].to_vec())
        };
        let inside = self.present().filter(|(index, page)| {
            index * PAGE < self.length && page.bytes.iter().any(|byte| *byte != 0)
        });
        Base { length: self.length, blocks: inside.map(page).collect() }
    }

    /// Bytes of the file.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Says how long the file is; no byte changes.
    pub fn set_length(&mut self, length: u64) {
        self.length = length;
    }

    /// Removes what lies past the length.
    pub fn cut(&mut self) {
        let end = (self.chunks.len() * CHUNK) as u64 * PAGE;
        if self.length < end {
            self.zero(self.length, end - self.length);
            self.chunks.truncate(to_usize(self.length.div_ceil(PAGE)).div_ceil(CHUNK));
        }
    }

    /// Fills `buffer` from `offset`, whatever the length says.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) {
        for (page, within, piece) in pieces(offset, buffer.len()) {
            let part = &mut buffer[piece];
            match self.page(page) {
                Some(page) => part.copy_from_slice(&page.bytes[within..within + part.len()]),
                None => part.fill(0),
            }
        }
    }

    /// `length` bytes at `offset`, whatever the length says.
    #[must_use]
    pub fn bytes(&self, offset: u64, length: u64) -> Vec<u8> {
        let mut bytes = vec![0; to_usize(length)];
        self.read(offset, &mut bytes);
        bytes
    }

    /// The little-endian word at `offset`.
    #[must_use]
    pub fn word(&self, offset: u64) -> u64 {
        let mut word = [0; 8];
        self.read(offset, &mut word);
        u64::from_le_bytes(word)
    }

    /// The little-endian words of a range that are not 0, with their index. Both bounds are
    /// multiples of 8.
    pub fn words(&self, range: Range<u64>, mut each: impl FnMut(u64, u64)) {
        let first = range.start;
        for (page, within, piece) in pieces(range.start, to_usize(range.end - range.start)) {
            let Some(found) = self.page(page) else { continue };
            let index = (page * PAGE + within as u64 - first) / 8;
            for (word, bytes) in found.bytes[within..within + piece.len()].chunks(8).enumerate() {
                // Whole sectors of zeroes are common in tables.
                if found.digest((within + word * 8) / SECTOR_BYTES) == 0 {
                    continue;
                }
                let Ok(bytes) = <[u8; 8]>::try_from(bytes) else { continue };
                let value = u64::from_le_bytes(bytes);
                if value != 0 {
                    each(index + word as u64, value);
                }
            }
        }
    }

    /// Writes; the length stays.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (page, within, piece) in pieces(offset, bytes.len()) {
            let part = &bytes[piece];
            self.part_mut(page, within..within + part.len()).copy_from_slice(part);
        }
    }

    /// Makes a range read as zeroes.
    pub fn zero(&mut self, offset: u64, length: u64) {
        let end = offset.saturating_add(length).min((self.chunks.len() * CHUNK) as u64 * PAGE);
        let inside = to_usize(end.saturating_sub(offset));
        for (page, within, piece) in pieces(offset, inside) {
            if self.page(page).is_none() {
                continue;
            }
            if piece.len() == PAGE_BYTES {
                *self.slot(page) = None;
            } else {
                self.part_mut(page, within..within + piece.len()).fill(0);
            }
        }
    }

    /// Copies a range of another content; whole pages are shared with it from then on.
    pub fn copy(&mut self, from: &Self, offset: u64, length: u64) {
        for (page, within, piece) in pieces(offset, to_usize(length)) {
            match from.slot_of(page) {
                None => self.zero(page * PAGE + within as u64, piece.len() as u64),
                Some(source) if piece.len() == PAGE_BYTES => {
                    *self.slot(page) = Some(Arc::clone(source));
                }
                Some(source) => {
                    let part = within..within + piece.len();
                    self.part_mut(page, part.clone()).copy_from_slice(&source.bytes[part]);
                }
            }
        }
    }

    /// The digest of a sector (byte offset / 512): 0 for zeroes.
    #[must_use]
    pub fn sector_digest(&self, sector: u64) -> u64 {
        let page = self.page(sector * SECTOR / PAGE);
        page.map_or(0, |page| page.digest(to_usize(sector % (PAGE / SECTOR))))
    }

    /// Equal for equal content and length, whatever is a hole and whatever is zeroes.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let chunks = (0_u64..).zip(&self.chunks).filter_map(|(index, chunk)| {
            let digest = chunk.as_ref()?.digest();
            (digest != 0).then(|| mix(digest ^ mix(index)))
        });
        chunks.fold(mix(self.length ^ 0x5bd1_e995), u64::wrapping_add)
    }

    /// The pages (byte offset / 4096) that two contents do not share, ascending. Shared pages are
    /// equal; others may be.
    #[must_use]
    pub fn unshared(&self, other: &Self) -> Vec<u64> {
        let mut found = Vec::new();
        for index in 0..self.chunks.len().max(other.chunks.len()) {
            let of = |medium: &'_ Self| medium.chunks.get(index).cloned().flatten();
            let (ours, theirs) = (of(self), of(other));
            if same(ours.as_ref(), theirs.as_ref()) {
                continue;
            }
            for page in 0..CHUNK {
                let ours = ours.as_ref().and_then(|chunk| chunk.pages[page].as_ref());
                let theirs = theirs.as_ref().and_then(|chunk| chunk.pages[page].as_ref());
                if !same(ours, theirs) {
                    found.push((index * CHUNK + page) as u64);
                }
            }
        }
        found
    }

    /// Whether a range of pages (byte offset / 4096) is shared with `other` at `there`: then it is
    /// equal.
    #[must_use]
    pub fn shares(&self, pages: Range<u64>, other: &Self, there: u64) -> bool {
        let first = pages.start;
        pages.into_iter().all(|page| same(self.slot_of(page), other.slot_of(there + page - first)))
    }

    /// Runs of bytes that hold anything, inside the length, ascending.
    pub fn data(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let inside = self.present().filter(|(index, _)| index * PAGE < self.length);
        inside.map(|(index, page)| {
            let end = to_usize((self.length - index * PAGE).min(PAGE));
            (index * PAGE, &page.bytes[..end])
        })
    }

    /// The run of present or absent pages at `offset`: whether it is a hole, and its bytes.
    pub(super) fn run(&self, offset: u64, length: u64) -> StoredExtent {
        let first = offset / PAGE;
        let end = offset.saturating_add(length).div_ceil(PAGE);
        let hole = self.page(first).is_none();
        let known = ((self.chunks.len() * CHUNK) as u64).min(end);
        let next = (first..known).find(|page| self.page(*page).is_none() != hole);
        // Past what is known all is a hole.
        let next = next.unwrap_or(if hole || first >= known { end } else { known });
        StoredExtent { length: length.min(next * PAGE - offset), hole }
    }

    /// Bytes of the pages that are present.
    pub(super) fn usage(&self) -> u64 {
        self.present().count() as u64 * PAGE
    }

    fn present(&self) -> impl Iterator<Item = (u64, &Page)> {
        let chunks = self.chunks.iter().enumerate();
        let chunks = chunks.filter_map(|(index, chunk)| Some((index, chunk.as_ref()?)));
        chunks.flat_map(|(index, chunk)| {
            let pages = chunk.pages.iter().enumerate();
            pages.filter_map(move |(page, slot)| {
                Some(((index * CHUNK + page) as u64, slot.as_deref()?))
            })
        })
    }

    fn slot_of(&self, index: u64) -> Option<&Arc<Page>> {
        let index = to_usize(index);
        self.chunks.get(index / CHUNK)?.as_ref()?.pages[index % CHUNK].as_ref()
    }

    fn page(&self, index: u64) -> Option<&Page> {
        self.slot_of(index).map(|page| &**page)
    }

    fn slot(&mut self, index: u64) -> &mut Option<Arc<Page>> {
        let (chunk, page) = (to_usize(index) / CHUNK, to_usize(index) % CHUNK);
        if self.chunks.len() <= chunk {
            self.chunks.resize(chunk + 1, None);
        }
        let empty = || Arc::new(Chunk { pages: [const { None }; CHUNK], digest: OnceLock::new() });
        let chunk = Arc::make_mut(self.chunks[chunk].get_or_insert_with(empty));
        chunk.digest = OnceLock::new();
        &mut chunk.pages[page]
    }

    /// A part of a page, to be written: the digests of its sectors are forgotten.
    fn part_mut(&mut self, index: u64, part: Range<usize>) -> &mut [u8] {
        let empty = || Arc::new(Page { bytes: [0; PAGE_BYTES], digests: Default::default() });
        let page = Arc::make_mut(self.slot(index).get_or_insert_with(empty));
        for sector in part.start / SECTOR_BYTES..part.end.div_ceil(SECTOR_BYTES) {
            page.digests[sector] = OnceLock::new();
        }
        &mut page.bytes[part]
    }
}

impl Chunk {
    fn digest(&self) -> u64 {
        *self.digest.get_or_init(|| {
            let mut digest = 0_u64;
            for (index, page) in (0_u64..).zip(&self.pages) {
                let Some(page) = page else { continue };
                for (sector, found) in (0..8).map(|sector| (sector, page.digest(sector))) {
                    let sector = sector as u64;
                    if found != 0 {
                        digest = digest.wrapping_add(mix(found ^ mix(index * 8 + sector)));
                    }
                }
            }
            digest
        })
    }
}

impl Page {
    fn digest(&self, sector: usize) -> u64 {
        let start = sector * SECTOR_BYTES;
        *self.digests[sector].get_or_init(|| digest(&self.bytes[start..start + SECTOR_BYTES]))
    }
}

fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}

/// Splits a range by pages: page index, offset within the page, range within the buffer.
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let position = offset + done as u64;
        let within = to_usize(position % PAGE);
        let take = (length - done).min(PAGE_BYTES - within);
        (take > 0).then(|| {
            let piece = done..done + take;
            done += take;
            (position / PAGE, within, piece)
        })
    })
}
