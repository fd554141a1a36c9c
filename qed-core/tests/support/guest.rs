//! What the guest may read after a crash: the versions of every sector, and which are stable.
//!
//! Every sector that is written carries who wrote it and where, so that a byte from another
//! address, or from a call that is long overwritten, is told from the right one. A sector reads as
//! any version since its last stable one.

use super::disk::mix;
use super::order::{Span, Survivors, survivors};
use qed_core::storage::{Event, Log};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

pub const SECTOR: u64 = 512;
const SECTOR_BYTES: usize = 512;

/// What a guest call does to the disk it sees. Offsets and lengths are multiples of [`SECTOR`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Write {
        offset: u64,
        length: u64,
        forced: bool,
    },
    Zeroes {
        offset: u64,
        length: u64,
        forced: bool,
        unmap: bool,
    },
    Discard {
        offset: u64,
        length: u64,
    },
    Flush,
    /// The process was killed: nothing that was not stable is covered by a later flush. These
    /// sectors, ascending, read so in the next process, and that is covered.
    Killed(Vec<(u64, Value)>),
}

/// What a sector reads as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    Zeroes,
    /// The backing file's sector of the same number.
    Backing,
    /// What this call wrote there.
    Written(u64),
}

/// The disk as the guest sees it, over time.
#[derive(Debug)]
pub struct GuestModel {
    cluster: u64,
    backing_sectors: u64,
    calls: Vec<Issued>,
    /// For each sector that was ever touched, indexes into `calls` in order of completion.
    touched: BTreeMap<u64, Vec<usize>>,
    views: RefCell<BTreeMap<usize, Rc<View>>>,
}

#[derive(Debug)]
struct Issued {
    number: u64,
    call: Call,
    span: Span,
    stable_at: Option<usize>,
}

/// What may be read at one crash point.
#[derive(Debug)]
pub struct View {
    backing_sectors: u64,
    legal: BTreeMap<u64, Vec<Value>>,
}

impl GuestModel {
    /// The calls that `log` says were made, over a disk of clusters of `cluster` bytes whose first
    /// `backing` bytes the backing file holds. The log's payloads are indexes into `calls`.
    pub fn new(cluster: u64, backing: u64, calls: &[Call], log: &Log) -> Self {
        let spans = spans(log);
        let span = |number: usize| spans.get(&(number as u64)).copied();
        let flushes: Vec<Span> = (0..calls.len())
            .filter_map(|number| match calls[number] {
                // One that failed promises nothing; a later one that succeeds promises all.
                Call::Flush => span(number).filter(|span| span.done),
                // As a flush that failed at once.
                Call::Killed(_) => span(number).map(|span| Span {
                    completion: Some(span.issue),
                    done: false,
                    ..span
                }),
                _ => None,
            })
            .collect();
        let mut issued = Vec::new();
        for (number, call) in calls.iter().enumerate() {
            let Some(mut span) = span(number) else { continue };
            span.forced = call.forced();
            let stable_at = span.stable_at(&flushes);
            issued.push(Issued { number: number as u64, call: call.clone(), span, stable_at });
        }
        issued.sort_by_key(|issued| issued.span.key());
        let mut touched: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (index, issued) in issued.iter().enumerate() {
            for sector in issued.call.sectors() {
                touched.entry(sector).or_default().push(index);
            }
        }
        let backing_sectors = backing / SECTOR;
        let views = RefCell::default();
        Self { cluster, backing_sectors, calls: issued, touched, views }
    }

    /// The events at which something becomes stable: behind them less is legal.
    pub fn boundaries(&self) -> Vec<usize> {
        let mut events: Vec<usize> =
            self.calls.iter().filter_map(|issued| issued.stable_at).collect();
        events.sort_unstable();
        events.dedup();
        events
    }

    /// Sectors that any call touched, ascending.
    pub fn touched(&self) -> impl Iterator<Item = u64> + '_ {
        self.touched.keys().copied()
    }

    /// What may be read after a crash at `t`.
    pub fn view(&self, t: usize) -> Rc<View> {
        Rc::clone(self.views.borrow_mut().entry(t).or_insert_with(|| Rc::new(self.view_at(t))))
    }

    fn view_at(&self, t: usize) -> View {
        let backing_sectors = self.backing_sectors;
        let mut view = View { backing_sectors, legal: BTreeMap::new() };
        for (sector, calls) in &self.touched {
            let issued = calls.iter().filter(|call| self.calls[**call].span.issued_by(t));
            let versions: Vec<_> = issued.map(|call| self.version(*call, *sector, t)).collect();
            let Survivors { settled, choices } = survivors(&versions);
            let value = |call| self.value(call, *sector);
            let mut legal = vec![settled.map_or(view.initial(*sector), value)];
            legal.extend(choices.into_iter().map(value));
            view.legal.insert(*sector, legal);
        }
        view
    }

    fn version(&self, index: usize, sector: u64, t: usize) -> (usize, Span, bool) {
        let issued = &self.calls[index];
        let stable = issued.stable_at.is_some_and(|event| event < t);
        (index, issued.span, stable && self.is_binding(issued, sector))
    }

    /// A discard promises zeroes for whole clusters; of others it may keep the content.
    fn is_binding(&self, issued: &Issued, sector: u64) -> bool {
        let Call::Discard { offset, length } = issued.call else { return true };
        let start = sector * SECTOR / self.cluster * self.cluster;
        offset <= start && start + self.cluster <= offset + length
    }

    fn value(&self, index: usize, sector: u64) -> Value {
        match &self.calls[index].call {
            Call::Write { .. } => Value::Written(self.calls[index].number),
            Call::Killed(seen) => {
                let place = seen.binary_search_by_key(&sector, |(sector, _)| *sector);
                seen[place.expect("a sector that was seen")].1
            }
            _ => Value::Zeroes,
        }
    }
}

impl View {
    /// Whether `bytes`, read from `sector` on, are all legal.
    pub fn check(&self, sector: u64, bytes: &[u8]) -> Result<(), String> {
        for (sector, bytes) in (sector..).zip(bytes.chunks(SECTOR_BYTES)) {
            let initial = [self.initial(sector)];
            let legal = self.legal.get(&sector).map_or(initial.as_slice(), Vec::as_slice);
            if !legal.iter().any(|value| value.reads_as(sector, bytes)) {
                let found = identify(bytes);
                return Err(format!("guest sector {sector} reads {found}; legal: {legal:?}"));
            }
        }
        Ok(())
    }

    fn initial(&self, sector: u64) -> Value {
        if sector < self.backing_sectors { Value::Backing } else { Value::Zeroes }
    }
}

impl Value {
    /// What `bytes`, read from `sector`, are.
    pub fn of(sector: u64, bytes: &[u8]) -> Result<Self, String> {
        let (writer, _) = words(bytes);
        let values = [Self::Zeroes, Self::Backing, Self::Written(writer)];
        let value = values.into_iter().find(|value| value.reads_as(sector, bytes));
        value.ok_or_else(|| format!("guest sector {sector} reads {}", identify(bytes)))
    }

    fn reads_as(self, sector: u64, bytes: &[u8]) -> bool {
        match self {
            Self::Zeroes => bytes.iter().all(|byte| *byte == 0),
            Self::Backing => bytes == sector_of(BACKING, sector),
            Self::Written(call) => bytes == sector_of(call, sector),
        }
    }
}

impl Call {
    /// The sectors it gives a version, ascending.
    pub fn sectors(&self) -> Vec<u64> {
        match self {
            Self::Write { offset, length, .. }
            | Self::Zeroes { offset, length, .. }
            | Self::Discard { offset, length } => {
                (offset / SECTOR..(offset + length) / SECTOR).collect()
            }
            Self::Killed(seen) => seen.iter().map(|(sector, _)| *sector).collect(),
            Self::Flush => Vec::new(),
        }
    }

    fn forced(&self) -> bool {
        matches!(self, Self::Write { forced: true, .. } | Self::Zeroes { forced: true, .. })
    }
}

/// The writer of a backing file's sectors.
pub const BACKING: u64 = 0xbacc;
const MAGIC: u64 = 0x5ec7_0000_0000_0000;

/// What `writer` writes into `sector`: it names both in its first words.
pub fn sector_of(writer: u64, sector: u64) -> [u8; SECTOR_BYTES] {
    let mut bytes = [0; SECTOR_BYTES];
    let seed = mix(writer ^ mix(sector));
    for (index, word) in bytes.chunks_exact_mut(8).enumerate() {
        let value = match index {
            0 => MAGIC | writer,
            1 => sector,
            _ => seed.wrapping_mul(index as u64 | 1),
        };
        word.copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

/// What `writer` writes at `offset`.
pub fn pattern(writer: u64, offset: u64, length: u64) -> Vec<u8> {
    let sectors = offset / SECTOR..(offset + length) / SECTOR;
    sectors.flat_map(|sector| sector_of(writer, sector)).collect()
}

/// Whose bytes these are.
pub fn identify(bytes: &[u8]) -> String {
    if bytes.iter().all(|byte| *byte == 0) {
        return "zeroes".to_owned();
    }
    let (writer, sector) = words(bytes);
    match writer {
        _ if *bytes != sector_of(writer, sector) => format!("junk ({:02x?}...)", &bytes[..16]),
        BACKING => format!("the backing file's sector {sector}"),
        _ => format!("call {writer}'s sector {sector}"),
    }
}

/// The writer and the sector that a written sector names.
fn words(bytes: &[u8]) -> (u64, u64) {
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    (word(0) ^ MAGIC, word(8))
}

fn spans(log: &Log) -> BTreeMap<u64, Span> {
    let mut spans = BTreeMap::new();
    for (index, event) in log.events.iter().enumerate() {
        match event {
            Event::Begin { payload } => {
                let span = Span { issue: index, completion: None, done: false, forced: false };
                spans.insert(*payload, span);
            }
            Event::End { payload, done } => {
                let span: &mut Span = spans.get_mut(payload).expect("a call that began");
                span.completion = Some(index);
                span.done = *done;
            }
            _ => {}
        }
    }
    spans
}
