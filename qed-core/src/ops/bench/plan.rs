//! What a benchmark sends: a list of requests that is computed, or read from a trace.
//!
//! A plan is a function from a step's number to its request, so that any thread can ask for any
//! step and a plan of a million requests takes no memory. It knows the disk's size and names no
//! request outside of it. Steps begin in order; what else must be kept is the plan's [`Order`].

use super::trace;
use crate::error::{Error, Result};

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reads.
    Read,
    /// Writes; with `fua` the write is stable when it completes.
    Write {
        /// Forced unit access.
        fua: bool,
    },
    /// Makes a range read as zeroes.
    WriteZeroes,
    /// Gives a range back.
    Discard,
    /// Makes stable what has completed.
    Flush,
}

/// One request; a flush has neither offset nor length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it does.
    pub kind: Kind,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

impl Request {
    pub(super) const FLUSH: Self = Self { kind: Kind::Flush, offset: 0, length: 0 };

    /// Whether one of the two changes what the other reads or writes.
    pub(super) fn conflicts(&self, other: &Self) -> bool {
        let reads = self.kind == Kind::Read && other.kind == Kind::Read;
        let end = |request: &Self| request.offset.saturating_add(request.length);
        !reads && self.offset < end(other) && other.offset < end(self)
    }
}

/// Requests of one kind and one length, at offsets that follow a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Whether to write rather than read.
    pub write: bool,
    /// How many requests.
    pub count: u64,
    /// Bytes of each.
    pub length: u64,
    /// Where the first begins.
    pub offset: u64,
    /// Bytes from one request's begin to the next one's; 0 stands for `length`. Behind the end of
    /// the disk the rest of a step is counted from its start; where a request does not fit before
    /// the end, it begins at 0.
    pub step: u64,
    /// Offsets are drawn from the multiples of `step` behind `offset`, always the same ones for
    /// the same seed.
    pub random: Option<u64>,
    /// A flush where the requests left are a multiple of this; 0 for none.
    pub flush_interval: u64,
}

impl Default for Pattern {
    fn default() -> Self {
        Self {
            write: false,
            count: 75_000,
            length: 4096,
            offset: 0,
            step: 0,
            random: None,
            flush_interval: 0,
        }
    }
}

/// What must be kept beside the order in which steps begin: that of the plan, unless there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Nothing.
    Free,
    /// A flush begins when everything before it has completed, and nothing begins before it has.
    Drain,
    /// Requests that conflict run one after the other.
    Conflicts,
    /// Both.
    DrainAndConflicts,
}

impl Order {
    /// Whether `next` must wait for `running`, which began before it.
    pub(super) fn keeps_apart(self, next: &Request, running: &Request) -> bool {
        let drain = matches!(self, Self::Drain | Self::DrainAndConflicts);
        let conflicts = matches!(self, Self::Conflicts | Self::DrainAndConflicts);
        let flush = next.kind == Kind::Flush || running.kind == Kind::Flush;
        (drain && flush) || (conflicts && next.conflicts(running))
    }
}

/// The requests of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    source: Source,
    drain: bool,
}

#[derive(Clone, Debug)]
enum Source {
    Pattern { pattern: Pattern, disk: u64 },
    Trace { requests: Vec<Request>, longest: u64 },
}

impl Plan {
    /// The requests of a pattern on a disk of `disk` bytes.
    ///
    /// # Errors
    /// A pattern without requests, or whose first one passes the end of the disk.
    pub fn pattern(pattern: Pattern, disk: u64) -> Result<Self> {
        let Pattern { count, length, offset, .. } = pattern;
        if count == 0 || length == 0 {
            return Err(Error::invalid(format!("{count} requests of {length} bytes: none")));
        }
        if offset.checked_add(length).is_none_or(|end| end > disk) {
            return Err(Error::invalid(format!(
                "a request of {length} bytes at {offset} passes the end of the disk, {disk} bytes"
            )));
        }
        if pattern.flush_interval != 0 && !pattern.write {
            return Err(Error::invalid("a flush interval goes with writes only"));
        }
        let step = if pattern.step == 0 { length } else { pattern.step };
        let pattern = Pattern { step, ..pattern };
        Ok(Self { source: Source::Pattern { pattern, disk }, drain: true })
    }

    /// The requests of a block trace on a disk of `disk` bytes. A line is `OP first count`, in
    /// sectors of 512 bytes; OP is R read, W write, WA write with forced unit access, Z write
    /// zeroes, D discard, F flush. Lines that begin with `#` and empty ones say nothing.
    ///
    /// # Errors
    /// A line that is no request, or one that passes the end of the disk, with its number.
    pub fn trace(text: &[u8], disk: u64) -> Result<Self> {
        let requests = trace::parse(text, disk)?;
        let moved = requests.iter().filter(|request| match request.kind {
            Kind::Read | Kind::Write { .. } => true,
            Kind::WriteZeroes | Kind::Discard | Kind::Flush => false,
        });
        let longest = moved.map(|request| request.length).max().unwrap_or(0);
        let source = Source::Trace { requests, longest };
        Ok(Self { source, drain: true })
    }

    /// The same requests, with flushes sent beside what is in flight instead of after it.
    #[must_use]
    pub fn without_drain(self) -> Self {
        Self { drain: false, ..self }
    }

    /// Steps of the plan: its requests, flushes among them.
    #[must_use]
    pub fn steps(&self) -> u64 {
        match &self.source {
            Source::Pattern { pattern, .. } => pattern.count + pattern.flushes(),
            Source::Trace { requests, .. } => requests.len() as u64,
        }
    }

    /// The request of a step; none behind the last.
    #[must_use]
    pub fn step(&self, step: u64) -> Option<Request> {
        match &self.source {
            Source::Pattern { pattern, disk } => {
                (step < self.steps()).then(|| pattern.step(step, *disk))
            }
            Source::Trace { requests, .. } => {
                usize::try_from(step).ok().and_then(|step| requests.get(step)).copied()
            }
        }
    }

    /// What must be kept in order.
    pub(super) fn order(&self) -> Order {
        match (&self.source, self.drain) {
            (Source::Pattern { pattern, .. }, true) if pattern.flush_interval != 0 => Order::Drain,
            (Source::Pattern { .. }, _) => Order::Free,
            (Source::Trace { .. }, true) => Order::DrainAndConflicts,
            (Source::Trace { .. }, false) => Order::Conflicts,
        }
    }

    /// Bytes of the longest read or write.
    pub(super) fn longest(&self) -> u64 {
        match &self.source {
            Source::Pattern { pattern, .. } => pattern.length,
            Source::Trace { longest, .. } => *longest,
        }
    }

    /// A request that all others but flushes are like, but for the offset; none where they differ.
    pub(super) fn only_shape(&self) -> Option<Request> {
        match &self.source {
            Source::Pattern { pattern, .. } => Some(pattern.request(pattern.offset)),
            Source::Trace { .. } => None,
        }
    }
}

impl Pattern {
    fn flushes(&self) -> u64 {
        if self.flush_interval == 0 { 0 } else { self.count.div_ceil(self.flush_interval) }
    }

    fn step(&self, step: u64, disk: u64) -> Request {
        let Some(index) = self.request_at(step) else { return Request::FLUSH };
        self.request(match self.random {
            Some(seed) => self.random_offset(seed, index, disk),
            None => self.next_offset(index, disk),
        })
    }

    fn request(&self, offset: u64) -> Request {
        let kind = if self.write { Kind::Write { fua: false } } else { Kind::Read };
        Request { kind, offset, length: self.length }
    }

    /// Which request a step is; none for a flush. The first group is what is over: a flush stands
    /// where the requests left are a multiple of the interval, and so behind the last one.
    fn request_at(&self, step: u64) -> Option<u64> {
        let interval = self.flush_interval;
        if interval == 0 {
            return Some(step);
        }
        let over = self.count % interval;
        let first = if over == 0 { interval } else { over };
        if step <= first {
            return (step < first).then_some(step);
        }
        let (group, within) =
            ((step - first - 1) / (interval + 1), (step - first - 1) % (interval + 1));
        (within < interval).then(|| first + group * interval + within)
    }

    /// The offset of a request of a sequence. Numbers of 128 bits: the product passes 64.
    fn next_offset(&self, index: u64, disk: u64) -> u64 {
        if index == 0 {
            return self.offset;
        }
        let far = u128::from(self.offset) + u128::from(index) * u128::from(self.step);
        let offset = u64::try_from(far % u128::from(disk)).unwrap_or(0);
        if disk - offset < self.length { 0 } else { offset }
    }

    fn random_offset(&self, seed: u64, index: u64, disk: u64) -> u64 {
        let places = (disk - self.offset - self.length) / self.step + 1;
        let drawn = scatter(seed.wrapping_add(scatter(index)));
        let place = (u128::from(drawn) * u128::from(places)) >> 64;
        self.offset + u64::try_from(place).unwrap_or(0) * self.step
    }
}

/// A number of 64 bits that looks drawn by lot, the same for the same `number` (splitmix64).
fn scatter(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
