//! Requests in the ring: their memory, the entries that name it, and what has become of them.
//!
//! A request in flight owns its buffers and stands in a slot that does not move, so what the
//! kernel was told stays true until the last of the request's pieces is done.

use std::io;

use io_uring::{opcode, squeue, types};

use crate::chain::Begun;
use crate::image::{Copied, Forced, Piece};
use crate::queue::buffers::RawPart;
use crate::queue::request::{Operation, Request};
use crate::storage::{AlignedBuffer, Spare};

/// The requests in the ring, by slot.
#[derive(Debug)]
pub(super) struct Flights {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Memory for what is copied from below.
    spare: Spare,
    /// Bytes of it that are in use.
    copying: u64,
}

#[derive(Debug, Default)]
struct Slot {
    flight: Option<Flight>,
    memory: Memory,
}

/// What the kernel reads while a request is in flight; kept for the slot's next request.
#[derive(Debug, Default)]
struct Memory {
    parts: Vec<libc::iovec>,
    /// Bytes that each entry moves.
    expected: Vec<usize>,
}

// SAFETY: the addresses are those of buffers that the same slot owns.
unsafe impl Send for Memory {}

/// A request whose data the ring moves.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) request: Request,
    pub(super) begun: Begun,
    pub(super) outcome: Outcome,
    /// Entries not done.
    left: usize,
    copy: Option<Copy>,
}

/// What a write copies from below: read first, then written with the request's own bytes.
#[derive(Debug)]
struct Copy {
    memory: AlignedBuffer,
    length: u64,
    /// It is being read.
    reading: bool,
}

/// What has become of a request when one of its pieces is done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Done {
    /// It waits for other pieces.
    Waits,
    /// What the request in that slot copies has been read: it is to be
    /// [resumed](Flights::resume) or [abandoned](Flights::abandon).
    Filled(u32),
    /// The request in that slot has ended, and is to be [taken](Flights::take).
    Ended(u32),
}

/// What has become of a request's data so far.
#[derive(Debug)]
pub(super) enum Outcome {
    Moved,
    /// To be moved again by blocking calls: the kernel moved a part, or would rather not.
    Again,
    Failed(io::Error),
}

impl Flight {
    pub(super) fn new(request: Request, begun: Begun) -> Self {
        Self { request, begun, outcome: Outcome::Moved, left: 0, copy: None }
    }
}

impl Flights {
    /// Room for `depth` requests.
    pub(super) fn new(depth: usize) -> Self {
        let count = u32::try_from(depth).unwrap_or(u32::MAX);
        let slots = (0..depth).map(|_| Slot::default()).collect();
        let spare = Spare::new(AlignedBuffer::ALIGNMENT, SPARE);
        Self { slots, free: (0..count).rev().collect(), spare, copying: 0 }
    }

    pub(super) fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// How many bytes may be copied from below in addition.
    pub(super) fn room(&self) -> u64 {
        MOST_COPYING.saturating_sub(self.copying)
    }

    /// Takes a request in and gives the entries for its pieces, or for what it copies, to `push`. A
    /// request without any comes back at once: it reads zeroes alone, which are there now.
    pub(super) fn place(
        &mut self,
        flight: Flight,
        push: &mut dyn FnMut(squeue::Entry),
    ) -> Option<Flight> {
        // The queue is no deeper than there are slots.
        let Some(index) = self.free.pop() else { return Some(flight) };
        let slot = &mut self.slots[slot_of(u64::from(index))];
        let flight = slot.flight.insert(flight);
        if let Some(copied) = flight.begun.copied() {
            let mut memory = self.spare.lend(copied.whole);
            self.copying += copied.whole;
            slot.memory.expected.clear();
            slot.memory.expected.push(usize::try_from(copied.length).unwrap_or(usize::MAX));
            push(copy_entry(&copied, &mut memory).user_data(tag(index, 0)));
            flight.left = 1;
            flight.copy = Some(Copy { memory, length: copied.whole, reading: true });
            return None;
        }
        self.move_data(index, push)
    }

    /// Gives the entries that write what is in a slot to `push`: what it copies has been read.
    pub(super) fn resume(&mut self, index: u32, push: &mut dyn FnMut(squeue::Entry)) {
        let slot = self.slots.get_mut(slot_of(u64::from(index)));
        let flight = slot.and_then(|slot| slot.flight.as_mut());
        if let Some(copy) = flight.and_then(|flight| flight.copy.as_mut()) {
            copy.reading = false;
            // A write has pieces.
            let _ = self.move_data(index, push);
        }
    }

    /// As [`take`](Self::take), for calls to move the data.
    pub(super) fn abandon(&mut self, index: u32) -> Option<Flight> {
        let slot = self.slots.get_mut(slot_of(u64::from(index)))?;
        slot.flight.as_mut()?.outcome = Outcome::Again;
        self.take(index)
    }

    fn move_data(&mut self, index: u32, push: &mut dyn FnMut(squeue::Entry)) -> Option<Flight> {
        let slot = &mut self.slots[slot_of(u64::from(index))];
        let flight = slot.flight.as_mut()?;
        let ranges = slot.memory.fill(flight);
        flight.left = ranges.len();
        if ranges.is_empty() {
            return self.take(index);
        }
        let is_write = matches!(flight.request.operation, Operation::Write { .. });
        let by_flag = flight.begun.forced() == Forced::ByFlag;
        let rw_flags = if by_flag { libc::RWF_DSYNC } else { 0 };
        for (number, range) in (0..).zip(ranges) {
            let parts = &slot.memory.parts[range.first..range.end];
            let entry = match is_write {
                true => write_entry(parts, range.file, rw_flags),
                false => read_entry(parts, range.file),
            };
            push(entry.user_data(tag(index, number)));
        }
        None
    }

    /// The request to which the piece `tag` belongs.
    pub(super) fn flight_mut(&mut self, tag: u64) -> Option<&mut Flight> {
        self.slots.get_mut(slot_of(tag))?.flight.as_mut()
    }

    /// Notes what has become of the piece `tag` names, and so of its request.
    pub(super) fn done(&mut self, tag: u64, result: i32) -> Done {
        self.note(tag, result).unwrap_or(Done::Waits)
    }

    fn note(&mut self, tag: u64, result: i32) -> Option<Done> {
        let slot = self.slots.get_mut(slot_of(tag))?;
        let expected = slot.memory.expected.get(piece_of(tag)).copied()?;
        let flight = slot.flight.as_mut()?;
        let bad = match usize::try_from(result) {
            Ok(moved) if moved == expected => None,
            Ok(_) => Some(Outcome::Again),
            Err(_) if is_for_calls(-result) => Some(Outcome::Again),
            Err(_) => Some(Outcome::Failed(io::Error::from_raw_os_error(-result))),
        };
        // A failure stands, whatever else happens.
        if let Some(bad) = bad
            && !matches!(flight.outcome, Outcome::Failed(_))
        {
            flight.outcome = bad;
        }
        flight.left -= 1;
        if flight.left > 0 {
            return None;
        }
        let index = u32::try_from(slot_of(tag)).ok()?;
        if flight.copy.as_ref().is_some_and(|copy| copy.reading) {
            if matches!(flight.outcome, Outcome::Moved) {
                return Some(Done::Filled(index));
            }
            // The call says what is wrong, and with which file.
            flight.outcome = Outcome::Again;
        }
        Some(Done::Ended(index))
    }

    /// Takes a request out of its slot.
    pub(super) fn take(&mut self, index: u32) -> Option<Flight> {
        let mut flight = self.slots.get_mut(slot_of(u64::from(index)))?.flight.take()?;
        self.free.push(index);
        if let Some(copy) = flight.copy.take() {
            self.copying -= copy.length;
            self.spare.give_back(copy.memory);
        }
        Some(flight)
    }
}

/// What one entry moves: a run of parts, at an offset of the file.
struct Range {
    file: u64,
    first: usize,
    end: usize,
}

impl Memory {
    /// Lists what each piece of the request moves. Zeroes to be read are written right here.
    fn fill(&mut self, flight: &mut Flight) -> Vec<Range> {
        self.parts.clear();
        self.expected.clear();
        let mut memory = Vec::with_capacity(1);
        flight.request.buffers.raw_parts(&mut memory);
        let mut memory = Cursor { parts: &memory, used: 0 };
        let mut ranges = Vec::with_capacity(1);
        for piece in flight.begun.pieces() {
            match piece {
                // SAFETY: a read's memory is the request's own until its completion.
                Piece::Zero(length) => memory.next(length, |part| unsafe {
                    part.start.write_bytes(0, part.length);
                }),
                Piece::File { file, head, length, tail } => {
                    let first = self.parts.len();
                    let copy = flight.copy.as_ref();
                    self.around(copy, 0, head);
                    memory.next(length, |part| self.push(part.start, part.length));
                    self.around(copy, head + length, tail);
                    let moved = self.parts[first..].iter().map(|part| part.iov_len).sum();
                    self.expected.push(moved);
                    ranges.push(Range { file, first, end: self.parts.len() });
                }
            }
        }
        ranges
    }

    fn push(&mut self, start: *mut u8, length: usize) {
        self.parts.push(libc::iovec { iov_base: start.cast(), iov_len: length });
    }

    /// What a piece has at `at` that is not the request's own: copied, or else zeroes.
    fn around(&mut self, copy: Option<&Copy>, at: u64, length: u64) {
        let mut left = usize::try_from(length).unwrap_or(usize::MAX);
        if let Some(copy) = copy.filter(|_| left > 0) {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            // Only written: nobody writes there.
            return self.push(copy.memory[at..at + left].as_ptr().cast_mut(), left);
        }
        while left > 0 {
            let piece = left.min(ZEROES.0.len());
            // Only writes have zeroes around their bytes: nobody writes there.
            self.push(ZEROES.0.as_ptr().cast_mut(), piece);
            left -= piece;
        }
    }
}

/// Walks through memory in parts.
struct Cursor<'a> {
    parts: &'a [RawPart],
    /// Bytes of the first part that have been passed.
    used: usize,
}

impl Cursor<'_> {
    /// Gives the next `length` bytes to `each`, cut where parts end.
    fn next(&mut self, length: u64, mut each: impl FnMut(RawPart)) {
        let mut left = usize::try_from(length).unwrap_or(usize::MAX);
        while let (true, Some(first)) = (left > 0, self.parts.first()) {
            let length = left.min(first.length - self.used);
            if length > 0 {
                each(RawPart { start: first.start.wrapping_add(self.used), length });
            }
            left -= length;
            self.used += length;
            if self.used == first.length {
                self.parts = &self.parts[1..];
                self.used = 0;
            }
        }
    }
}

/// Reads what is copied to its place in `memory`.
fn copy_entry(copied: &Copied, memory: &mut AlignedBuffer) -> squeue::Entry {
    let at = usize::try_from(copied.at).unwrap_or(usize::MAX);
    let length = usize::try_from(copied.length).unwrap_or(usize::MAX);
    let part = &mut memory[at..at + length];
    let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
    let file = types::Fd(copied.from.descriptor);
    opcode::Read::new(file, part.as_mut_ptr(), length).offset(copied.offset).build()
}

fn read_entry(parts: &[libc::iovec], file: u64) -> squeue::Entry {
    match parts {
        [one] => {
            let length = u32::try_from(one.iov_len).unwrap_or(u32::MAX);
            opcode::Read::new(FILE, one.iov_base.cast(), length).offset(file).build()
        }
        _ => {
            let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
            opcode::Readv::new(FILE, parts.as_ptr(), count).offset(file).build()
        }
    }
}

fn write_entry(parts: &[libc::iovec], file: u64, rw_flags: i32) -> squeue::Entry {
    match parts {
        [one] => {
            let length = u32::try_from(one.iov_len).unwrap_or(u32::MAX);
            let entry = opcode::Write::new(FILE, one.iov_base.cast(), length).offset(file);
            entry.rw_flags(rw_flags).build()
        }
        _ => {
            let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
            let entry = opcode::Writev::new(FILE, parts.as_ptr(), count).offset(file);
            entry.rw_flags(rw_flags).build()
        }
    }
}

/// Whether a blocking call may do what the ring did not: the thread that submitted has ended, the
/// kernel has no memory for it, a piece is not aligned, or a flag is unknown.
fn is_for_calls(errno: i32) -> bool {
    let again = [libc::ECANCELED, libc::EINTR, libc::EAGAIN, libc::EINVAL, libc::EOPNOTSUPP];
    again.contains(&errno)
}

fn tag(slot: u32, piece: u32) -> u64 {
    u64::from(piece) << 32 | u64::from(slot)
}

fn slot_of(tag: u64) -> usize {
    usize::try_from(tag & 0xffff_ffff).unwrap_or(usize::MAX)
}

fn piece_of(tag: u64) -> usize {
    usize::try_from(tag >> 32).unwrap_or(usize::MAX)
}

/// Bytes that are copied from below at once; what would be more goes to the pool.
const MOST_COPYING: u64 = 8 << 20;
/// Bytes of memory that is kept for that.
const SPARE: usize = 2 << 20;
/// Where the disk's file is registered.
const FILE: types::Fixed = types::Fixed(0);

/// Zeroes to write, at an address that every disk accepts.
#[repr(align(4096))]
struct Zeroes([u8; 1 << 16]);

static ZEROES: Zeroes = Zeroes([0; 1 << 16]);
