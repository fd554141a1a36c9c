//! The undo file's bytes: a head, then records, each with a checksum.

use std::io::{self, IoSlice, IoSliceMut};
use std::sync::Arc;

use crate::format::crc::Crc64;
use crate::storage::span::to_usize;
use crate::storage::{Storage, WriteFlags};

/// Payload of one record, at most.
pub(super) const PIECE: u64 = 1 << 20;
const SECTOR: u64 = 512;
const MAGIC: &[u8; 8] = b"QEDUNDO\0";
const VERSION: u64 = 1;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The bytes that stood at `place`.
    Bytes,
    /// At `place` stood `number` zeroes.
    Zeroes,
    /// The work is done: the file has `place` bytes, and those recorded have the digest `number`.
    End,
    /// Taking back has begun.
    Restoring,
    /// Taking back is done.
    Restored,
}

const KINDS: [Kind; 5] = [Kind::Bytes, Kind::Zeroes, Kind::End, Kind::Restoring, Kind::Restored];

/// A record that was read back.
#[derive(Debug)]
pub(super) struct Record {
    pub kind: Kind,
    pub place: u64,
    pub number: u64,
    pub payload: Vec<u8>,
}

/// Appends records.
#[derive(Debug)]
pub(super) struct Writer {
    storage: Arc<dyn Storage>,
    /// Where the next record goes.
    at: u64,
}

impl Writer {
    /// Begins the journal of a file of `length` bytes. Stable when this returns.
    pub(super) fn begin(storage: Arc<dyn Storage>, length: u64) -> io::Result<Self> {
        if storage.len()? != 0 {
            let text = "the undo file is not empty";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        let mut head = [0; 512];
        head[..8].copy_from_slice(MAGIC);
        head[8..16].copy_from_slice(&VERSION.to_le_bytes());
        head[16..24].copy_from_slice(&length.to_le_bytes());
        let checksum = Crc64::new().feed(&head[..24]).value();
        head[24..32].copy_from_slice(&checksum.to_le_bytes());
        let mut writer = Self { storage, at: 0 };
        writer.append(&[&head])?;
        writer.sync()?;
        Ok(writer)
    }

    /// Goes on behind the records of a journal.
    pub(super) fn resume(storage: Arc<dyn Storage>, at: u64) -> Self {
        Self { storage, at }
    }

    /// Adds a record, not synced.
    pub(super) fn add(
        &mut self,
        kind: Kind,
        place: u64,
        number: u64,
        payload: &[u8],
    ) -> io::Result<()> {
        let mut head = [0; 512];
        let code = KINDS.iter().position(|known| *known == kind).unwrap_or(0) as u64;
        for (field, value) in head.as_chunks_mut().0.iter_mut().zip([code, place, number]) {
            *field = u64::to_le_bytes(value);
        }
        let checksum = Crc64::new().feed(&head[..24]).feed(payload).value();
        head[24..32].copy_from_slice(&checksum.to_le_bytes());
        let rest = payload.len().next_multiple_of(512) - payload.len();
        self.append(&[&head, payload, &[0; 512][..rest]])
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.storage.sync()
    }

    fn append(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let end = self.at + parts.iter().map(|part| part.len() as u64).sum::<u64>();
        self.storage.set_len(end)?;
        let parts: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        self.storage.write(&parts, self.at, WriteFlags::default())?;
        self.at = end;
        Ok(())
    }
}

/// Reads a journal from its beginning.
pub(super) struct Reader<'a> {
    storage: &'a dyn Storage,
    /// Bytes of the file before the changes.
    pub length: u64,
    pub at: u64,
    end: u64,
}

impl<'a> Reader<'a> {
    /// # Errors
    /// It is no journal, or cannot be read.
    pub(super) fn new(storage: &'a dyn Storage) -> io::Result<Self> {
        let end = storage.len()?;
        let mut head = [0; 512];
        storage.read(&mut [IoSliceMut::new(&mut head)], 0)?;
        let [magic, version, length, checksum] = fields(&head);
        let sound = checksum == Crc64::new().feed(&head[..24]).value();
        if end < SECTOR || magic != u64::from_le_bytes(*MAGIC) || !sound {
            let text = "the undo file is none, or was cut off before anything changed";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        if version != VERSION {
            let text = format!("the undo file is of version {version}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        Ok(Self { storage, length, at: SECTOR, end })
    }

    /// The next whole record. One that is torn ends the journal: what it was to take back was never
    /// changed (U1).
    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        if self.end.saturating_sub(self.at) < SECTOR {
            return Ok(None);
        }
        let mut head = [0; 512];
        self.storage.read(&mut [IoSliceMut::new(&mut head)], self.at)?;
        let [code, place, number, checksum] = fields(&head);
        let kind = usize::try_from(code).ok().and_then(|code| KINDS.get(code).copied());
        let size = if kind == Some(Kind::Bytes) { number } else { 0 };
        let next = self.at + SECTOR + size.min(PIECE).next_multiple_of(SECTOR);
        let Some(kind) = kind.filter(|_| size <= PIECE && next <= self.end) else {
            return Ok(None);
        };
        let mut payload = vec![0; to_usize(size)];
        self.storage.read(&mut [IoSliceMut::new(&mut payload)], self.at + SECTOR)?;
        if checksum != Crc64::new().feed(&head[..24]).feed(&payload).value() {
            return Ok(None);
        }
        self.at = next;
        Ok(Some(Record { kind, place, number, payload }))
    }
}

fn fields(head: &[u8; 512]) -> [u64; 4] {
    let word = |at: usize| head[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
    [word(0), word(8), word(16), word(24)]
}

/// The checksum of what `storage` holds in these ranges, past its end zeroes.
pub(super) fn digest(
    storage: &dyn Storage,
    ranges: impl Iterator<Item = (u64, u64)>,
) -> io::Result<u64> {
    let mut crc = Crc64::new();
    let mut buffer = Vec::new();
    for (start, end) in ranges {
        let mut at = start;
        while at < end {
            buffer.resize(to_usize((end - at).min(PIECE)), 0);
            storage.read(&mut [IoSliceMut::new(&mut buffer)], at)?;
            crc = crc.feed(&buffer);
            at += buffer.len() as u64;
        }
    }
    Ok(crc.value())
}
