//! From a log to what each logged operation does to the disk, and since when it must persist.
//!
//! A write, a range of zeroes and a punch give their units a new version. A `set_len` gives the
//! length one, and where it cuts, the units that it removes one of zeroes: extending the file
//! again later is no event for them, so a cut that was undone stays undone. An operation that was
//! refused (`Unsupported`, or a failed `set_len`) did nothing; any other that failed may have.

use super::order::{Span, Syncs};
use crate::crash::medium::Medium;
use crate::storage::{Event, Log, Operation};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// One logged operation's effect.
#[derive(Debug)]
pub struct Change {
    /// Its number in the log.
    pub id: u64,
    /// When it ran.
    pub span: Span,
    /// The event since which it must persist.
    pub stable_at: Option<usize>,
    /// The units it gives a version.
    pub units: Range<u64>,
    /// Their content; none: zeroes.
    pub bytes: Option<Arc<[u8]>>,
    /// The length it gives the file.
    pub length: Option<u64>,
}

/// A log, understood.
#[derive(Debug)]
pub struct History {
    /// The content before the first event.
    pub base: Medium,
    /// Bytes that persist as a whole.
    pub unit: u64,
    /// In order of completion.
    pub changes: Vec<Change>,
    /// Events in the log.
    pub events: usize,
    /// Units in the reach of changes to zeroes that ever held anything else: those alone are worth
    /// a version of zeroes.
    dirty: BTreeSet<u64>,
}

/// Crash points between which nothing becomes stable: a state legal at one is legal at each later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first crash point.
    pub first: usize,
    /// Its last crash point.
    pub last: usize,
    /// How many of the caller's own boundaries lie before it.
    pub epoch: usize,
}

impl History {
    /// What `log` says about a disk whose units of `unit` bytes persist as a whole.
    #[must_use]
    pub fn new(log: &Log, unit: u64) -> Self {
        let (operations, syncs) = operations(log);
        let base = Medium::new(&log.base);
        let mut medium = base.clone();
        let mut changes: Vec<Change> = Vec::new();
        for (id, span, operation) in operations {
            let (touched, length) = run(&mut medium, operation);
            let units = match touched.is_empty() {
                true => 0..0,
                false => touched.start / unit..touched.end.div_ceil(unit),
            };
            if units.is_empty() && length.is_none() {
                continue;
            }
            let aligned = touched.start % unit == 0 && touched.end % unit == 0;
            let bytes = match operation {
                Operation::Write { data, .. } if aligned => Some(Arc::clone(data)),
                _ if aligned => None,
                // What a unit holds that is written in part was there before it is written.
                _ => {
                    Some(medium.bytes(units.start * unit, (units.end - units.start) * unit).into())
                }
            };
            let stable_at = syncs.stable_at(&span);
            changes.push(Change { id, span, stable_at, units, bytes, length });
        }
        lengths_of_forced_writes(&mut changes);
        let dirty = dirty(&base, &changes, unit);
        Self { base, unit, changes, events: log.events.len(), dirty }
    }

    /// All crash points, cut where anything becomes stable and at `boundaries`, the events at
    /// which the caller's judgement becomes stricter.
    #[must_use]
    pub fn windows(&self, boundaries: &[usize]) -> Vec<Window> {
        let stable = self.changes.iter().filter_map(|change| change.stable_at);
        let mut ends: Vec<usize> = stable.chain(boundaries.iter().copied()).collect();
        ends.push(self.events);
        ends.sort_unstable();
        ends.dedup();
        let mut first = 0;
        let window = |last: usize| {
            let epoch = boundaries.iter().filter(|boundary| **boundary < first).count();
            let window = Window { first, last, epoch };
            first = last + 1;
            window
        };
        ends.into_iter().map(window).collect()
    }

    /// The units to which a change gives a version that may differ from what they hold.
    pub(super) fn units_of(&self, change: usize) -> Vec<u64> {
        let change = &self.changes[change];
        match change.bytes {
            Some(_) => change.units.clone().collect(),
            None => self.dirty.range(change.units.clone()).copied().collect(),
        }
    }

    /// What a change writes, at its place.
    pub(super) fn patch(&self, change: usize) -> Medium {
        let change = &self.changes[change];
        let mut patch = Medium::default();
        if let Some(bytes) = &change.bytes {
            patch.write(change.units.start * self.unit, bytes);
        }
        patch
    }
}

type Issued<'a> = (u64, Span, &'a Operation);

/// What may have changed the disk, in order of completion, and the syncs.
fn operations(log: &Log) -> (Vec<Issued<'_>>, Syncs) {
    let mut answers = BTreeMap::new();
    for (index, event) in log.events.iter().enumerate() {
        if let Event::Completed { id, result } = event {
            answers.insert(*id, (index, *result));
        }
    }
    let mut operations = Vec::new();
    let mut syncs = Vec::new();
    for (issue, event) in log.events.iter().enumerate() {
        let Event::Issued { id, operation } = event else { continue };
        let answer = answers.get(id);
        let completion = answer.map(|(index, _)| *index);
        let done = answer.is_some_and(|(_, result)| result.is_ok());
        let forced = matches!(operation, Operation::Write { flags, .. } if flags.fua);
        let span = Span { issue, completion, done, forced };
        let error = answer.and_then(|(_, result)| result.err());
        match operation {
            Operation::Sync => syncs.push(span),
            Operation::SetLength { .. } if error.is_some() => {}
            _ if error == Some(io::ErrorKind::Unsupported) => {}
            _ => operations.push((*id, span, operation)),
        }
    }
    operations.sort_by_key(|(_, span, _)| span.key());
    (operations, Syncs::new(syncs))
}

/// Does what `operation` does where nothing is lost: the bytes it touches, the length it sets.
pub(in crate::crash) fn run(
    medium: &mut Medium,
    operation: &Operation,
) -> (Range<u64>, Option<u64>) {
    match operation {
        Operation::Write { offset, data, .. } => {
            medium.write(*offset, data);
            let end = offset.saturating_add(data.len() as u64);
            let grows = end > medium.length();
            medium.set_length(medium.length().max(end));
            (*offset..end, grows.then_some(end))
        }
        Operation::ZeroRange { offset, length } | Operation::Punch { offset, length } => {
            medium.zero(*offset, *length);
            (*offset..offset.saturating_add(*length), None)
        }
        Operation::SetLength { length } => {
            let before = medium.length();
            medium.set_length(*length);
            medium.cut();
            (*length..before.max(*length), Some(*length))
        }
        Operation::Sync => (0..0, None),
    }
}

/// A forced write is stable with the length that it needs.
fn lengths_of_forced_writes(changes: &mut [Change]) {
    for forced in 0..changes.len() {
        let Change { span, stable_at: Some(stable_at), .. } = changes[forced] else { continue };
        if !span.forced {
            continue;
        }
        let last = changes.iter_mut().rfind(|c| c.length.is_some() && c.span.precedes(&span));
        if let Some(growth) = last.filter(|change| change.units.is_empty()) {
            growth.stable_at = Some(growth.stable_at.map_or(stable_at, |at| at.min(stable_at)));
        }
    }
}

fn dirty(base: &Medium, changes: &[Change], unit: u64) -> BTreeSet<u64> {
    let zeroed = || changes.iter().filter(|change| change.bytes.is_none());
    let mut dirty = BTreeSet::new();
    if zeroed().next().is_none() {
        return dirty;
    }
    let mut add = |units: Range<u64>| {
        for reach in zeroed().map(|change| &change.units) {
            dirty.extend(units.start.max(reach.start)..units.end.min(reach.end));
        }
    };
    for (offset, bytes) in base.data() {
        add(offset / unit..(offset + bytes.len() as u64).div_ceil(unit));
    }
    for written in changes.iter().filter(|change| change.bytes.is_some()) {
        add(written.units.clone());
    }
    dirty
}
