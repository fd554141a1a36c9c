//! Comparing what two disks read as, whatever their formats.
//!
//! Several threads take pieces from the front; what both disks know to be zero is not read. The
//! first place that differs is found for sure: pieces are handed out in ascending order until one
//! differs, and those before it have been taken by then and are compared to their ends.

use super::work::{DEFAULT_WORKERS, Job, Progress, check_workers};
use crate::error::{Error, Result};
use crate::source::{ExtentKind, Source, all_zero};
use crate::storage::AlignedBuffer;
use crate::sync::{Mutex, Rank};

/// How two disks differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// They read differently, first at this byte.
    Content {
        /// Bytes from the start.
        offset: u64,
    },
    /// They have different sizes (strict comparisons alone).
    Size,
    /// One has data, zeroes or nothing where the other has not, first here (strict ones alone).
    Allocation {
        /// Bytes from the start.
        offset: u64,
    },
}

/// How disks are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompareOptions {
    /// Sizes and allocation have to be the same, too. Else the shorter disk counts as padded with
    /// zeroes.
    pub strict: bool,
    /// Threads that read.
    pub workers: usize,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self { strict: false, workers: DEFAULT_WORKERS }
    }
}

/// The first difference between `a` and `b`; none where they are identical. `progress` is called
/// as [`convert`](super::convert) calls it.
///
/// # Errors
/// What reading reports; [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) where `progress`
/// breaks off.
pub fn compare(
    a: &dyn Source,
    b: &dyn Source,
    options: &CompareOptions,
    progress: &mut Progress<'_>,
) -> Result<Option<Difference>> {
    check_workers(options.workers)?;
    if options.strict && a.size() != b.size() {
        return Ok(Some(Difference::Size));
    }
    let size = a.size().max(b.size());
    let state = State { next: 0, a: Run::default(), b: Run::default(), found: None };
    let search =
        Search { a, b, size, strict: options.strict, state: Mutex::new(Rank::Work, state) };
    let job = Job::new(size);
    job.run(options.workers, progress, &|| search.work(&job))?;
    let found = search.state.lock().found;
    Ok(found)
}

/// What the workers share.
#[derive(Debug)]
struct Search<'a> {
    a: &'a dyn Source,
    b: &'a dyn Source,
    size: u64,
    strict: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u64,
    a: Run,
    b: Run,
    found: Option<Difference>,
}

/// What is known of the run of one disk that holds the next byte.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    end: u64,
    /// Reads as zeroes for sure.
    zero: bool,
    stored: Stored,
}

/// How a run is stored, as far as a strict comparison looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stored {
    Data,
    Zero,
    #[default]
    Nothing,
}

/// Bytes that are to be compared.
#[derive(Clone, Copy, Debug)]
struct Pair {
    offset: u64,
    length: usize,
    zero: (bool, bool),
}

impl Search<'_> {
    fn work(&self, job: &Job) -> Result<()> {
        let (mut left, mut right) = (AlignedBuffer::new(PIECE), AlignedBuffer::new(PIECE));
        while let Some(pair) = self.next(job)? {
            job.check()?;
            let left = read(self.a, pair.offset, pair.zero.0, &mut left[..pair.length])?;
            let right = read(self.b, pair.offset, pair.zero.1, &mut right[..pair.length])?;
            if let Some(at) = first_difference(left, right) {
                self.note(Difference::Content { offset: pair.offset + at as u64 });
            }
            job.advance(pair.length as u64);
        }
        Ok(())
    }

    /// The next bytes that have to be read from one of the disks at least.
    fn next(&self, job: &Job) -> Result<Option<Pair>> {
        let mut state = self.state.lock();
        loop {
            job.check()?;
            let at = state.next;
            if at >= self.size || state.found.is_some() {
                return Ok(None);
            }
            state.a.follow(self.a, at, self.size)?;
            state.b.follow(self.b, at, self.size)?;
            let (a, b) = (state.a, state.b);
            let end = a.end.min(b.end);
            if self.strict && a.stored != b.stored {
                state.note(Difference::Allocation { offset: at });
                return Ok(None);
            }
            if a.zero && b.zero {
                job.advance(end - at);
                state.next = end;
                continue;
            }
            let limit = (at / PIECE as u64 + 1) * PIECE as u64;
            let end = end.min(limit);
            state.next = end;
            let length = usize::try_from(end - at).unwrap_or(PIECE);
            return Ok(Some(Pair { offset: at, length, zero: (a.zero, b.zero) }));
        }
    }

    fn note(&self, difference: Difference) {
        self.state.lock().note(difference);
    }
}

impl State {
    /// Keeps the first difference.
    fn note(&mut self, difference: Difference) {
        let place = |difference: Difference| match difference {
            Difference::Content { offset } | Difference::Allocation { offset } => offset,
            Difference::Size => u64::MAX,
        };
        if self.found.is_none_or(|found| place(difference) < place(found)) {
            self.found = Some(difference);
        }
    }
}

impl Run {
    /// Looks at `disk`, padded with zeroes up to `size`, from `at` on.
    fn follow(&mut self, disk: &dyn Source, at: u64, size: u64) -> Result<()> {
        if at < self.end {
            return Ok(());
        }
        if at >= disk.size() {
            *self = Self { end: size, zero: true, stored: Stored::Nothing };
            return Ok(());
        }
        let extent = disk.extent(at, disk.size() - at)?;
        let stored = match extent.kind {
            ExtentKind::Data { .. } => Stored::Data,
            ExtentKind::Zero { .. } => Stored::Zero,
            ExtentKind::Unallocated => Stored::Nothing,
        };
        let end = at.checked_add(extent.length).filter(|end| *end > at);
        let end = end.ok_or_else(|| Error::invalid("an extent without bytes").at(at))?;
        *self = Self { end: end.min(disk.size()), zero: extent.reads_zero(), stored };
        Ok(())
    }
}

/// The bytes of a disk; none where they are zeroes for sure.
fn read<'b>(
    disk: &dyn Source,
    offset: u64,
    zero: bool,
    buffer: &'b mut [u8],
) -> Result<Option<&'b [u8]>> {
    if zero {
        return Ok(None);
    }
    disk.read(buffer, offset)?;
    Ok(Some(buffer))
}

/// Where two runs of one length differ first; none stands for zeroes.
fn first_difference(a: Option<&[u8]>, b: Option<&[u8]>) -> Option<usize> {
    match (a, b) {
        (Some(a), Some(b)) if a == b => None,
        (Some(a), Some(b)) => a.iter().zip(b).position(|(a, b)| a != b),
        (Some(bytes), None) | (None, Some(bytes)) if all_zero(bytes) => None,
        (Some(bytes), None) | (None, Some(bytes)) => bytes.iter().position(|byte| *byte != 0),
        (None, None) => None,
    }
}

/// Bytes compared at once.
const PIECE: usize = AlignedBuffer::HUGE;
