//! A failure as a person reads it: what is wrong, one line to replay it, and the timeline.

use super::states::{Frame, Pick, State};
use qed_core::storage::{Event, Log, Operation};
use std::collections::BTreeMap;
use std::fmt;

/// A state that failed its judgement.
#[derive(Debug)]
pub struct Failure {
    pub what: String,
    /// The state, for `QED_CRASH_REPLAY`.
    pub replay: String,
    /// What happened up to the crash, and what became of it.
    pub timeline: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, replay, timeline } = self;
        write!(f, "{what}\n{timeline}replay: QED_CRASH_REPLAY='{replay}'")
    }
}

/// Puts a failing state into words.
pub fn describe(
    log: &Log,
    frame: &Frame<'_>,
    index: usize,
    state: &[Pick],
    t: usize,
    what: String,
) -> Failure {
    let fates = fates(frame, state);
    let mut timeline = String::new();
    for (number, event) in log.events[..t].iter().enumerate() {
        timeline += &format!("{number:5}  {}\n", line(event, &fates));
    }
    timeline += "       power fails\n";
    Failure { what, replay: replay(frame, index, state), timeline }
}

/// What became of each operation that is not settled, by its number in the log.
fn fates(frame: &Frame<'_>, state: &[Pick]) -> BTreeMap<u64, String> {
    let lost = (0..frame.choices.len()).map(|choice| (frame.change(choice).id, "LOST".to_owned()));
    let mut fates: BTreeMap<u64, String> = lost.collect();
    for pick in state {
        let fate = match &pick.elements {
            None => "persists".to_owned(),
            Some(part) => {
                format!("TORN: parts {part:?} of {}", frame.choices[pick.choice].elements())
            }
        };
        fates.insert(frame.change(pick.choice).id, fate);
    }
    fates
}

fn line(event: &Event, fates: &BTreeMap<u64, String>) -> String {
    match event {
        Event::Issued { id, operation } => {
            let fate = match operation {
                Operation::Sync => "",
                _ => fates.get(id).map_or("settled", String::as_str),
            };
            format!("  #{id} {}  [{fate}]", text(operation)).replace("  []", "")
        }
        Event::Completed { id, result: Ok(()) } => format!("  #{id} completed"),
        Event::Completed { id, result: Err(kind) } => format!("  #{id} failed: {kind}"),
        Event::Begin { payload } => format!("guest call {payload}"),
        Event::End { payload, done: true } => format!("guest call {payload} returned"),
        Event::End { payload, done: false } => format!("guest call {payload} failed"),
        Event::Mark(text) => format!("-- {text}"),
    }
}

fn text(operation: &Operation) -> String {
    match operation {
        Operation::Write { offset, data, flags } => {
            let forced = if flags.fua { " forced" } else { "" };
            let metadata = if flags.metadata { " metadata" } else { "" };
            format!("write{forced}{metadata} {:#x} + {:#x}", offset, data.len())
        }
        Operation::ZeroRange { offset, length } => format!("zero range {offset:#x} + {length:#x}"),
        Operation::Punch { offset, length } => format!("punch {offset:#x} + {length:#x}"),
        Operation::SetLength { length } => format!("set length {length:#x}"),
        Operation::Sync => "sync".to_owned(),
    }
}

/// `window:operation,operation/part/part,...`
fn replay(frame: &Frame<'_>, index: usize, state: &[Pick]) -> String {
    let pick = |pick: &Pick| {
        let parts = pick.elements.iter().flatten().map(|part| format!("/{part}"));
        format!("{}{}", frame.change(pick.choice).id, parts.collect::<String>())
    };
    format!("{index}:{}", state.iter().map(pick).collect::<Vec<_>>().join(","))
}

/// The state that `replay` tells of, if it is of this window.
pub fn parse(replay: &str, index: usize, frame: &Frame<'_>) -> Option<State> {
    let (window, picks) = replay.split_once(':').expect("a replay reads window:operations");
    if window.parse() != Ok(index) {
        return None;
    }
    let pick = |text: &str| {
        let mut numbers = text.split('/').map(|number| number.parse::<u64>().expect("a number"));
        let id = numbers.next().expect("an operation");
        let mut choices = 0..frame.choices.len();
        let choice = choices.find(|choice| frame.change(*choice).id == id);
        let choice = choice.unwrap_or_else(|| panic!("operation {id} is no choice here"));
        let parts: Vec<usize> = numbers.map(super::disk::at).collect();
        Pick { choice, elements: (!parts.is_empty()).then_some(parts) }
    };
    Some(picks.split(',').filter(|text| !text.is_empty()).map(pick).collect())
}
