//! What happened up to a crash, row by row: the guest's calls on the left, the disk's operations
//! on the right with what became of each.

use super::barrier::Barrier;
use crate::crash::states::{Frame, State};
use crate::storage::{Event, Log, Operation};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What became of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It must be on the disk.
    Settled,
    /// It is on the disk, in order.
    Persists,
    /// It is not on the disk.
    Lost,
    /// It is on the disk although something before it is not.
    Early,
    /// So many of its parts are on the disk.
    Torn(Vec<usize>, usize),
    /// It changes nothing by itself.
    Nothing,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What the guest did.
    pub guest: String,
    /// What the disk was asked for.
    pub disk: String,
    /// What became of that.
    pub fate: Fate,
    /// A sync that completed before the crash: a barrier.
    pub barrier: bool,
    /// A sync is missing before this row.
    pub missing: bool,
}

/// The rows up to the crash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// In order.
    pub rows: Vec<Row>,
}

impl Timeline {
    pub(super) fn new(
        log: &Log,
        frame: &Frame<'_>,
        state: &State,
        t: usize,
        barrier: &Barrier,
        call: &dyn Fn(u64) -> Option<String>,
    ) -> Self {
        let fates = fates(frame, state);
        let missing = match barrier {
            Barrier::Between { early, .. } => early.first().copied(),
            _ => None,
        };
        let events = &log.events[..t.min(log.events.len())];
        let at_once = answered_at_once(events);
        let mut rows = Vec::new();
        for event in events {
            let mut row = Row {
                guest: String::new(),
                disk: String::new(),
                fate: Fate::Nothing,
                barrier: false,
                missing: false,
            };
            match event {
                Event::Issued { id, operation } => {
                    row.disk = format!("#{id} {}", describe(operation));
                    if *operation == Operation::Sync {
                        row.barrier = at_once.contains(id);
                    } else {
                        row.fate = fates.get(id).cloned().unwrap_or(Fate::Settled);
                        row.missing = missing == Some(*id);
                    }
                }
                Event::Completed { id, result: Ok(()) } if at_once.contains(id) => continue,
                Event::Completed { id, result: Ok(()) } => row.disk = format!("#{id} completed"),
                Event::Completed { id, result: Err(kind) } => {
                    row.disk = format!("#{id} failed: {kind}");
                }
                Event::Begin { payload } => {
                    let what = call(*payload).unwrap_or_default();
                    row.guest = format!("call {payload}: {what}");
                }
                Event::End { payload, done: true } => {
                    row.guest = format!("call {payload} returned")
                }
                Event::End { payload, .. } => row.guest = format!("call {payload} failed"),
                Event::Mark(text) => row.guest = format!("-- {text}"),
            }
            rows.push(row);
        }
        Self { rows }
    }

    /// The picture as an SVG document.
    #[must_use]
    pub fn svg(&self) -> String {
        super::svg::draw(self)
    }
}

/// Operations whose answer is the next event about the disk.
fn answered_at_once(events: &[Event]) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    let mut last = None;
    for event in events {
        match event {
            Event::Issued { id, .. } => last = Some(*id),
            Event::Completed { id, result: Ok(()) } if last == Some(*id) => {
                found.insert(*id);
            }
            Event::Completed { .. } => last = None,
            _ => {}
        }
    }
    found
}

/// What became of each operation that is not settled, by its number in the log.
fn fates(frame: &Frame<'_>, state: &State) -> BTreeMap<u64, Fate> {
    let count = frame.choices.len();
    let first_lost = (0..count).find(|choice| !state.takes_any(*choice)).unwrap_or(count);
    let mut fates = BTreeMap::new();
    for choice in 0..count {
        let fate = match state.takes_any(choice) {
            false => Fate::Lost,
            true if choice > first_lost => Fate::Early,
            true => Fate::Persists,
        };
        fates.insert(frame.change(choice).id, fate);
    }
    for (choice, parts) in &state.torn {
        let fate = Fate::Torn(parts.clone(), frame.choices[*choice].elements());
        fates.insert(frame.change(*choice).id, fate);
    }
    fates
}

/// An operation in words, with its place in the file.
#[must_use]
pub fn describe(operation: &Operation) -> String {
    match operation {
        Operation::Write { offset, data, flags } => {
            let forced = if flags.fua { " forced" } else { "" };
            let metadata = if flags.metadata { " metadata" } else { "" };
            format!("write{forced}{metadata} {offset:#x} + {:#x}", data.len())
        }
        Operation::ZeroRange { offset, length } => format!("zero range {offset:#x} + {length:#x}"),
        Operation::Punch { offset, length } => format!("punch {offset:#x} + {length:#x}"),
        Operation::SetLength { length } => format!("set length {length:#x}"),
        Operation::Sync => "sync".to_owned(),
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settled => f.write_str("settled"),
            Self::Persists => f.write_str("persists"),
            Self::Lost => f.write_str("LOST"),
            Self::Early => f.write_str("PERSISTS EARLY"),
            Self::Torn(parts, all) => write!(f, "TORN: parts {parts:?} of {all}"),
            Self::Nothing => Ok(()),
        }
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rows.is_empty() {
            return Ok(());
        }
        let widest = |of: &dyn Fn(&Row) -> usize| self.rows.iter().map(of).max().unwrap_or(0);
        let guest = widest(&|row| row.guest.chars().count()).min(44);
        let disk = widest(&|row| row.disk.chars().count()).min(48);
        for row in &self.rows {
            if row.missing {
                writeln!(f, "  {:guest$} | ~~~~ a sync is missing here ~~~~", "")?;
            }
            let short: String = row.guest.chars().take(guest).collect();
            let fate = match (&row.fate, row.barrier) {
                (_, true) => "---- barrier ----".to_owned(),
                (fate, false) => fate.to_string(),
            };
            let line = format!("  {short:guest$} | {:disk$}  {fate}", row.disk);
            writeln!(f, "{}", line.trim_end())?;
        }
        writeln!(f, "  {:guest$} | ==== power fails ====", "")
    }
}
