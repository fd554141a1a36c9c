//! What a v1 log cannot hold, as texts of marks: when operations were issued and how they ended,
//! lengths, punches, the guest's calls. One line each.
//!
//! A text longer than a mark's sector goes on in the next mark: all but the last part begin with
//! `qed+`, the last one with `qed:`.

use crate::crash::guest::Call;
use crate::storage::{Event, Limits, Operation, WriteFlags};
use std::io;

/// One line of a log.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line {
    /// How the log begins: the disk's limits, the length of the file.
    Header(Limits, u64),
    /// The content before the first event has been written.
    Begin,
    /// A guest call, by its number.
    Call(u64, Call),
    /// An event that is no issue of a write.
    Event(Event),
    /// A write was issued; its bytes follow in an entry of their own.
    IssuedWrite {
        /// The operation's number.
        id: u64,
        /// The first byte written.
        offset: u64,
        /// Bytes written.
        length: u64,
        /// As the caller gave them.
        flags: WriteFlags,
    },
    /// The bytes come next of the write that was issued under this number.
    Payload(u64),
}

const PREFIX: &str = "qed:";
const MORE: &str = "qed+";

impl Line {
    /// The line of an event.
    #[must_use]
    pub(super) fn of(event: &Event) -> Self {
        match event {
            Event::Issued { id, operation: Operation::Write { offset, data, flags } } => {
                let length = data.len() as u64;
                Self::IssuedWrite { id: *id, offset: *offset, length, flags: *flags }
            }
            _ => Self::Event(event.clone()),
        }
    }

    /// The line's text.
    #[must_use]
    pub(super) fn encode(&self) -> String {
        match self {
            Self::Header(limits, length) => format!(
                "log {} {} {} {length}",
                limits.atomic_unit,
                u8::from(limits.zeroes_new_space),
                u8::from(limits.can_punch)
            ),
            Self::Begin => "begin".to_owned(),
            Self::Call(number, call) => format!("call {number} {call}"),
            Self::Payload(id) => format!("payload {id}"),
            Self::IssuedWrite { id, offset, length, flags } => {
                let fua = if flags.fua { " fua" } else { "" };
                let metadata = if flags.metadata { " metadata" } else { "" };
                format!("issue {id} write {offset} {length}{fua}{metadata}")
            }
            Self::Event(event) => encode_event(event),
        }
    }

    /// The line of a text.
    #[must_use]
    pub(super) fn decode(text: &str) -> Option<Self> {
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        let words: Vec<&str> = rest.split_whitespace().collect();
        let number = |index: usize| words.get(index)?.parse::<u64>().ok();
        Some(match verb {
            "log" => {
                let limits = Limits {
                    atomic_unit: number(0).filter(|unit| [512, 4096].contains(unit))?,
                    zeroes_new_space: number(1)? == 1,
                    can_punch: number(2)? == 1,
                };
                Self::Header(limits, number(3)?)
            }
            "begin" => Self::Begin,
            "payload" => Self::Payload(number(0)?),
            "call" => {
                let (number, call) = rest.split_once(' ')?;
                Self::Call(number.parse().ok()?, call.parse().ok()?)
            }
            "mark" => Self::Event(Event::Mark(rest.to_owned())),
            "guest" => Self::Event(Event::Begin { payload: number(0)? }),
            "returned" => Self::Event(Event::End { payload: number(0)?, done: number(1)? == 1 }),
            "done" => {
                let result = match number(1)? {
                    0 => Ok(()),
                    errno => Err(kind_of(i32::try_from(errno).ok()?)),
                };
                Self::Event(Event::Completed { id: number(0)?, result })
            }
            "issue" if words.get(1) == Some(&"write") => {
                let (offset, length) = range_of(number(2)?, number(3)?)?;
                let has = |flag| words.contains(&flag);
                let flags = WriteFlags { fua: has("fua"), metadata: has("metadata") };
                Self::IssuedWrite { id: number(0)?, offset, length, flags }
            }
            "issue" => {
                let range = || range_of(number(2)?, number(3)?);
                let operation = match *words.get(1)? {
                    "zero" => {
                        range().map(|(offset, length)| Operation::ZeroRange { offset, length })
                    }
                    "punch" => range().map(|(offset, length)| Operation::Punch { offset, length }),
                    "length" => {
                        let (length, _) = range_of(number(2)?, 0)?;
                        Some(Operation::SetLength { length })
                    }
                    "sync" => Some(Operation::Sync),
                    _ => None,
                };
                Self::Event(Event::Issued { id: number(0)?, operation: operation? })
            }
            _ => return None,
        })
    }

    /// The texts of the marks that hold this line, each at most `room` bytes.
    #[must_use]
    pub(super) fn marks(&self, room: usize) -> Vec<Vec<u8>> {
        let text = self.encode();
        let room = room.saturating_sub(PREFIX.len()).max(1);
        let parts: Vec<&[u8]> = text.as_bytes().chunks(room).collect();
        let last = parts.len().saturating_sub(1);
        let mark = |(index, part): (usize, &&[u8])| {
            let prefix = if index == last { PREFIX } else { MORE };
            [prefix.as_bytes(), part].concat()
        };
        parts.iter().enumerate().map(mark).collect()
    }
}

/// Puts the parts of lines together again.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    waiting: Vec<u8>,
}

/// What a mark is.
#[derive(Debug, PartialEq)]
pub(super) enum Mark {
    /// A line of ours.
    Line(Line),
    /// A part of one: more follows.
    Part,
    /// Somebody else's.
    Other,
}

impl Joiner {
    /// Takes the next mark's text.
    pub(super) fn take(&mut self, text: &[u8]) -> Mark {
        if let Some(part) = text.strip_prefix(MORE.as_bytes()) {
            self.waiting.extend(part);
            return Mark::Part;
        }
        let Some(last) = text.strip_prefix(PREFIX.as_bytes()) else { return Mark::Other };
        let mut whole = std::mem::take(&mut self.waiting);
        whole.extend(last);
        let line = String::from_utf8(whole).ok().and_then(|text| Line::decode(&text));
        line.map_or(Mark::Other, Mark::Line)
    }
}

fn encode_event(event: &Event) -> String {
    match event {
        Event::Mark(text) => format!("mark {text}"),
        Event::Begin { payload } => format!("guest {payload}"),
        Event::End { payload, done } => format!("returned {payload} {}", u8::from(*done)),
        Event::Completed { id, result } => {
            format!("done {id} {}", result.map_or_else(errno_of, |()| 0))
        }
        Event::Issued { id, operation } => match operation {
            Operation::Write { .. } => Line::of(event).encode(),
            Operation::ZeroRange { offset, length } => format!("issue {id} zero {offset} {length}"),
            Operation::Punch { offset, length } => format!("issue {id} punch {offset} {length}"),
            Operation::SetLength { length } => format!("issue {id} length {length}"),
            Operation::Sync => format!("issue {id} sync"),
        },
    }
}

/// A range that lies in a file that is explored.
fn range_of(offset: u64, length: u64) -> Option<(u64, u64)> {
    let end = offset.checked_add(length)?;
    (end <= crate::crash::guest::MOST_BYTES).then_some((offset, length))
}

/// An error number of this kind: the lowest one; of a kind that no number has, the highest.
fn errno_of(kind: io::ErrorKind) -> u64 {
    (1..LAST_ERRNO)
        .find(|errno| kind_of(*errno) == kind)
        .unwrap_or(LAST_ERRNO)
        .unsigned_abs()
        .into()
}

fn kind_of(errno: i32) -> io::ErrorKind {
    if errno == LAST_ERRNO {
        return io::ErrorKind::Other;
    }
    io::Error::from_raw_os_error(errno).kind()
}

/// No error number of any system is as high.
const LAST_ERRNO: i32 = 4095;
