//! A disk's content that is cheap to copy: one crash state among thousands.
//!
//! Pages are shared between copies until one of them is written, and remember their digest. A
//! [`Disk`] is a plain value; [`DiskStorage`] is one behind the engine's storage trait.

use qed_core::storage::{Base, Limits, Storage, StoredExtent, WriteFlags};
use std::io::{self, IoSlice, IoSliceMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

const PAGE: usize = 4096;
const PAGE_BYTES: u64 = PAGE as u64;

#[derive(Clone, Debug)]
struct Page {
    bytes: [u8; PAGE],
    digest: OnceLock<u64>,
}

/// The bytes and the length of a file. Bytes past the length are kept until [`Disk::cut`].
#[derive(Clone, Debug, Default)]
pub struct Disk {
    pages: Vec<Option<Arc<Page>>>,
    length: u64,
}

impl Disk {
    pub fn new(base: &Base) -> Self {
        let mut disk = Self { pages: Vec::new(), length: base.length };
        for (offset, bytes) in &base.blocks {
            disk.write(*offset, bytes);
        }
        disk
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn set_length(&mut self, length: u64) {
        self.length = length;
    }

    /// Removes what lies past the length.
    pub fn cut(&mut self) {
        let end = self.pages.len() as u64 * PAGE_BYTES;
        if self.length < end {
            self.zero(self.length, end - self.length);
            self.pages.truncate(at(self.length.div_ceil(PAGE_BYTES)));
        }
    }

    /// The bytes at `offset`, whatever the length says.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) {
        for (page, within, piece) in pieces(offset, buffer.len()) {
            let part = &mut buffer[piece];
            match self.pages.get(page).and_then(Option::as_ref) {
                Some(page) => part.copy_from_slice(&page.bytes[within..within + part.len()]),
                None => part.fill(0),
            }
        }
    }

    pub fn bytes(&self, offset: u64, length: u64) -> Vec<u8> {
        let mut bytes = vec![0; at(length)];
        self.read(offset, &mut bytes);
        bytes
    }

    pub fn word(&self, offset: u64) -> u64 {
        let mut word = [0; 8];
        self.read(offset, &mut word);
        u64::from_le_bytes(word)
    }

    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (page, within, piece) in pieces(offset, bytes.len()) {
            let part = &bytes[piece];
            self.page(page).bytes[within..within + part.len()].copy_from_slice(part);
        }
    }

    pub fn zero(&mut self, offset: u64, length: u64) {
        for (page, within, piece) in pieces(offset, at(length)) {
            let Some(slot) = self.pages.get_mut(page) else { break };
            if piece.len() == PAGE {
                *slot = None;
            } else if slot.is_some() {
                self.page(page).bytes[within..within + piece.len()].fill(0);
            }
        }
    }

    /// Equal for equal content, whatever is a hole and whatever is zeroes.
    pub fn digest(&self) -> u64 {
        let mut digest = mix(self.length ^ 0x5bd1_e995);
        for (index, page) in self.pages.iter().enumerate() {
            let page =
                page.as_ref().map_or(0, |page| *page.digest.get_or_init(|| hash(&page.bytes)));
            if page != 0 {
                digest = digest.wrapping_add(mix(page ^ mix(index as u64)));
            }
        }
        digest
    }

    /// The run of present or absent pages at `offset`: whether it is a hole, and its bytes.
    fn run(&self, offset: u64, length: u64) -> StoredExtent {
        let present = |page: u64| self.pages.get(at(page)).is_some_and(Option::is_some);
        let first = offset / PAGE_BYTES;
        let end = (offset + length).div_ceil(PAGE_BYTES);
        let next = (first..end).find(|page| present(*page) != present(first)).unwrap_or(end);
        StoredExtent { length: length.min(next * PAGE_BYTES - offset), hole: !present(first) }
    }

    fn page(&mut self, index: usize) -> &mut Page {
        if self.pages.len() <= index {
            self.pages.resize(index + 1, None);
        }
        let empty = || Arc::new(Page { bytes: [0; PAGE], digest: OnceLock::new() });
        let page = Arc::make_mut(self.pages[index].get_or_insert_with(empty));
        page.digest = OnceLock::new();
        page
    }
}

/// A [`Disk`] as the engine's storage. Counts what changes it.
#[derive(Debug)]
pub struct DiskStorage {
    disk: Mutex<Disk>,
    limits: Limits,
    changes: AtomicU64,
}

impl DiskStorage {
    pub fn new(disk: Disk, atomic_unit: u64) -> Self {
        let limits = Limits { atomic_unit, zeroes_new_space: true, can_punch: true };
        Self { disk: Mutex::new(disk), limits, changes: AtomicU64::new(0) }
    }

    /// The same on a disk that cannot punch holes.
    pub fn without_punch(mut self) -> Self {
        self.limits.can_punch = false;
        self
    }

    /// The content as it is now.
    pub fn disk(&self) -> Disk {
        self.disk.lock().unwrap().clone()
    }

    /// Calls that could have changed a byte or the length.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    fn change(&self, change: impl FnOnce(&mut Disk)) -> io::Result<()> {
        self.changes.fetch_add(1, Ordering::Relaxed);
        change(&mut self.disk.lock().unwrap());
        Ok(())
    }
}

impl Storage for DiskStorage {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.lock().unwrap().length)
    }

    fn read(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        let disk = self.disk.lock().unwrap();
        let mut offset = offset;
        for buffer in buffers {
            disk.read(offset, buffer);
            offset += buffer.len() as u64;
        }
        Ok(())
    }

    fn write(&self, buffers: &[IoSlice<'_>], offset: u64, _: WriteFlags) -> io::Result<()> {
        self.change(|disk| {
            let mut offset = offset;
            for buffer in buffers {
                disk.write(offset, buffer);
                offset += buffer.len() as u64;
            }
            disk.length = disk.length.max(offset);
        })
    }

    fn zero_range(&self, offset: u64, length: u64) -> io::Result<()> {
        self.change(|disk| disk.zero(offset, length))
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        if !self.limits.can_punch {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.change(|disk| disk.zero(offset, length))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(|disk| {
            disk.length = length;
            disk.cut();
        })
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn stored_extent(&self, offset: u64, length: u64) -> io::Result<StoredExtent> {
        Ok(self.disk.lock().unwrap().run(offset, length))
    }

    fn disk_usage(&self) -> io::Result<u64> {
        let disk = self.disk.lock().unwrap();
        Ok(disk.pages.iter().flatten().count() as u64 * PAGE_BYTES)
    }
}

/// A number of bytes or units as an index.
pub fn at(number: u64) -> usize {
    usize::try_from(number).expect("a number that indexes memory")
}

/// Spreads a word over all bits (the finaliser of splitmix64).
pub fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// 0 for nothing but zeroes.
fn hash(bytes: &[u8; PAGE]) -> u64 {
    let mut hash = 0_u64;
    for (index, chunk) in bytes.chunks_exact(8).enumerate() {
        let word = u64::from_le_bytes(chunk.try_into().unwrap());
        if word != 0 {
            hash = hash.wrapping_add(mix(word ^ mix(index as u64 + 1)));
        }
    }
    hash
}

/// Splits a range by pages: page index, offset within the page, range within the buffer.
fn pieces(
    offset: u64,
    length: usize,
) -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let position = offset + done as u64;
        let within = at(position % PAGE_BYTES);
        let take = (length - done).min(PAGE - within);
        (take > 0).then(|| {
            let piece = done..done + take;
            done += take;
            (at(position / PAGE_BYTES), within, piece)
        })
    })
}
