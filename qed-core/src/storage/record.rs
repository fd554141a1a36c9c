//! A storage that keeps a log of every change, for judging what a power cut could have left.
//!
//! Each change and each sync is logged twice, when it is issued and when it has completed: a crash
//! may fall between the two, and a sync covers only what completed before it was issued. What the
//! guest did is logged beside it as marks. The log holds the content at the start too, so that any
//! state can be built from the log alone. Reads are not logged. Knows nothing of QED, and judges
//! nothing.

use super::span::to_usize;
use super::{Limits, Storage, StoredExtent, WriteFlags};
use crate::sync::{Mutex, Rank};
use std::io::{self, IoSlice, IoSliceMut};
use std::ops::Range;
use std::sync::Arc;

/// Logs every change that goes through it to another storage.
///
/// The log lives in memory, payloads included, and grows until the recorder is dropped and every
/// holder of its tape is.
#[derive(Debug)]
pub struct Recorder {
    inner: Arc<dyn Storage>,
    tape: Arc<Tape>,
}

/// What a [`Recorder`] writes on: it outlives the recorder, and holds no file.
#[derive(Debug)]
pub struct Tape {
    base: Arc<Base>,
    journal: Mutex<Journal>,
    limits: Limits,
}

/// What a [`Recorder`] saw up to one moment.
#[derive(Clone, Debug)]
pub struct Log {
    /// The content before the first event.
    pub base: Arc<Base>,
    /// Everything that happened, in order. Crash point `t` lies behind the first `t` events.
    pub events: Vec<Event>,
    /// Facts about the storage that was recorded.
    pub limits: Limits,
}

/// The content of a storage before recording began.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// Bytes of the file.
    pub length: u64,
    /// The blocks that hold anything but zeroes, ascending: offset and bytes.
    pub blocks: Vec<(u64, Vec<u8>)>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An operation was handed to the storage.
    Issued {
        /// Counts the operations of this log from 0.
        id: u64,
        /// What was asked for.
        operation: Operation,
    },
    /// The storage answered.
    Completed {
        /// The operation's number.
        id: u64,
        /// What the storage answered; an error is logged by its kind.
        result: Result<(), io::ErrorKind>,
    },
    /// A guest operation was called.
    Begin {
        /// The caller's number for it.
        payload: u64,
    },
    /// A guest operation returned.
    End {
        /// The caller's number for it.
        payload: u64,
        /// It returned without an error.
        done: bool,
    },
    /// A remark.
    Mark(String),
}

/// A change or a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// See [`Storage::write`].
    Write {
        /// The first byte written.
        offset: u64,
        /// All bytes written.
        data: Arc<[u8]>,
        /// As the caller gave them.
        flags: WriteFlags,
    },
    /// See [`Storage::zero_range`]: a write of zeroes.
    ZeroRange {
        /// The first byte zeroed.
        offset: u64,
        /// Bytes zeroed.
        length: u64,
    },
    /// See [`Storage::punch`].
    Punch {
        /// The first byte given back.
        offset: u64,
        /// Bytes given back.
        length: u64,
    },
    /// See [`Storage::set_len`].
    SetLength {
        /// The new length of the file in bytes.
        length: u64,
    },
    /// See [`Storage::sync`].
    Sync,
}

#[derive(Debug, Default)]
struct Journal {
    events: Vec<Event>,
    operations: u64,
}

/// Base content is kept in blocks of this many bytes.
const BLOCK: usize = 4096;
/// Base content is read in runs of this many bytes.
const RUN: usize = 16 * BLOCK;

impl Recorder {
    /// Records what happens to `inner` from now on; nobody else may change it meanwhile.
    ///
    /// # Errors
    /// What `inner` reports while its content is read.
    pub fn new(inner: Arc<dyn Storage>) -> io::Result<Self> {
        let base = Arc::new(Base::read(&*inner)?);
        let journal = Mutex::new(Rank::Storage, Journal::default());
        let tape = Arc::new(Tape { base, journal, limits: inner.limits() });
        Ok(Self { inner, tape })
    }

    /// What this records on.
    #[must_use]
    pub fn tape(&self) -> Arc<Tape> {
        Arc::clone(&self.tape)
    }

    /// See [`Tape::log`].
    #[must_use]
    pub fn log(&self) -> Log {
        self.tape.log()
    }

    /// See [`Tape::mark`].
    pub fn mark(&self, text: &str) {
        self.tape.mark(text);
    }

    /// See [`Tape::begin`].
    pub fn begin(&self, payload: u64) {
        self.tape.begin(payload);
    }

    /// See [`Tape::end`].
    pub fn end(&self, payload: u64, done: bool) {
        self.tape.end(payload, done);
    }

    /// Runs `call` between the two events of `operation`. The journal is not locked meanwhile.
    fn record(
        &self,
        operation: Operation,
        call: impl FnOnce(&dyn Storage) -> io::Result<()>,
    ) -> io::Result<()> {
        let id = self.tape.issue(operation);
        let answer = call(&*self.inner);
        let result = answer.as_ref().map_err(io::Error::kind).copied();
        self.tape.note(Event::Completed { id, result });
        answer
    }
}

impl Tape {
    /// Everything recorded so far.
    #[must_use]
    pub fn log(&self) -> Log {
        let events = self.journal.lock().events.clone();
        Log { base: Arc::clone(&self.base), events, limits: self.limits }
    }

    /// Writes a remark into the log.
    pub fn mark(&self, text: &str) {
        self.note(Event::Mark(text.to_owned()));
    }

    /// Notes that guest operation `payload` is about to be called.
    pub fn begin(&self, payload: u64) {
        self.note(Event::Begin { payload });
    }

    /// Notes that guest operation `payload` has returned, without an error if `done`.
    pub fn end(&self, payload: u64, done: bool) {
        self.note(Event::End { payload, done });
    }

    fn note(&self, event: Event) {
        self.journal.lock().events.push(event);
    }

    fn issue(&self, operation: Operation) -> u64 {
        let mut journal = self.journal.lock();
        let id = journal.operations;
        journal.operations += 1;
        journal.events.push(Event::Issued { id, operation });
        id
    }
}

impl Storage for Recorder {
    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    fn writes_directly(&self) -> bool {
        self.inner.writes_directly()
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        self.inner.read(buffers, offset)
    }

    fn write(&self, buffers: &[IoSlice<'_>], offset: u64, flags: WriteFlags) -> io::Result<()> {
        let data: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.iter().copied()).collect();
        let operation = Operation::Write { offset, data: data.into(), flags };
        self.record(operation, |inner| inner.write(buffers, offset, flags))
    }

    fn zero_range(&self, offset: u64, length: u64) -> io::Result<()> {
        let operation = Operation::ZeroRange { offset, length };
        self.record(operation, |inner| inner.zero_range(offset, length))
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        let operation = Operation::Punch { offset, length };
        self.record(operation, |inner| inner.punch(offset, length))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.record(Operation::SetLength { length }, |inner| inner.set_len(length))
    }

    fn sync(&self) -> io::Result<()> {
        self.record(Operation::Sync, |inner| inner.sync())
    }

    fn stored_extent(&self, offset: u64, length: u64) -> io::Result<StoredExtent> {
        self.inner.stored_extent(offset, length)
    }

    fn disk_usage(&self) -> io::Result<u64> {
        self.inner.disk_usage()
    }

    // No descriptor: what went past the recorder through it would be missing from the log.
}

impl Base {
    fn read(storage: &dyn Storage) -> io::Result<Self> {
        let length = storage.len()?;
        let mut blocks = Vec::new();
        let mut offset = 0;
        while offset < length {
            let extent = storage.stored_extent(offset, length - offset)?;
            let end = length.min(offset.saturating_add(extent.length.max(1)));
            if !extent.hole {
                read_run(storage, offset..end, &mut blocks)?;
            }
            offset = end;
        }
        Ok(Self { length, blocks })
    }
}

/// Appends the blocks of `range` that hold anything but zeroes.
fn read_run(
    storage: &dyn Storage,
    range: Range<u64>,
    blocks: &mut Vec<(u64, Vec<u8>)>,
) -> io::Result<()> {
    let mut buffer = vec![0; RUN];
    let mut offset = range.start;
    while offset < range.end {
        let take = to_usize(range.end - offset).min(RUN);
        let piece = &mut buffer[..take];
        storage.read(&mut [IoSliceMut::new(piece)], offset)?;
        for block in piece.chunks(BLOCK) {
            if block.iter().any(|byte| *byte != 0) {
                blocks.push((offset, block.to_vec()));
            }
            offset += block.len() as u64;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
