//! One step of a workload, printed and parsed back.

use super::work::Work;
use crate::crash::guest::Call;
use crate::error::{Error, Result};
use crate::storage::{Preallocation, Trigger};
use std::fmt;
use std::str::FromStr;

/// What is done to an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A call that succeeds.
    Make(Call),
    /// A call that may fail.
    Try(Call),
    /// A call in the midst of which others are made: when this strikes above the recorder.
    During(Call, Trigger, Vec<Call>),
    /// Work on the whole image.
    Work(Work),
    /// The same, which may fail.
    TryWork(Work),
    /// Work in the midst of which calls are made, but for those that would wait for it.
    Beside(Work, Trigger, Vec<Call>),
    /// Calls in flight together, as a queue has them: all begin, forced writes publish their
    /// entries ahead of all data where they may, flushes among them are made in the midst, and the
    /// last one ends first.
    Queued(Vec<Call>),
    /// From here on the disk fails where this strikes.
    Fail(Trigger),
    /// From here on calls fail where this strikes, and the disk never hears of them.
    Deny(Trigger),
    /// From here on the disk does so many bytes where this strikes, then fails.
    Shorten(Trigger, u64),
    /// The image is closed and opened again.
    Reopen,
    /// The process dies, the machine lives; the image is opened again.
    Kill,
    /// The same, and the image is repaired before it is opened.
    Repair,
}

impl Step {
    /// A write.
    #[must_use]
    pub fn write(offset: u64, length: u64) -> Self {
        Self::Make(Call::write(offset, length))
    }

    /// A write that is stable when it returns.
    #[must_use]
    pub fn write_forced(offset: u64, length: u64) -> Self {
        Self::Make(Call::write_forced(offset, length))
    }

    /// Zeroes that free whole clusters.
    #[must_use]
    pub fn unmap(offset: u64, length: u64) -> Self {
        Self::Make(Call::Zeroes { offset, length, forced: false, unmap: true })
    }

    /// Zeroes that keep allocated clusters.
    #[must_use]
    pub fn zero(offset: u64, length: u64) -> Self {
        Self::Make(Call::Zeroes { offset, length, forced: false, unmap: false })
    }

    /// A discard.
    #[must_use]
    pub fn discard(offset: u64, length: u64) -> Self {
        Self::Make(Call::Discard { offset, length })
    }

    /// A resize to so many bytes.
    #[must_use]
    pub fn resize(to: u64) -> Self {
        Self::Make(Call::Resize { from: 0, to, preallocation: Preallocation::Off })
    }

    /// A flush.
    #[must_use]
    pub fn flush() -> Self {
        Self::Make(Call::Flush)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Make(call) => write!(f, "{call}"),
            Self::Try(call) => write!(f, "try {call}"),
            Self::During(call, when, inside) => write_inside(f, when, inside, call),
            Self::Work(work) => write!(f, "{work}"),
            Self::TryWork(work) => write!(f, "try {work}"),
            Self::Beside(work, when, inside) => write_inside(f, when, inside, work),
            Self::Queued(calls) => {
                let calls: Vec<String> = calls.iter().map(ToString::to_string).collect();
                write!(f, "queued {{{}}}", calls.join(", "))
            }
            Self::Fail(when) => write!(f, "fail [{when}]"),
            Self::Deny(when) => write!(f, "deny [{when}]"),
            Self::Shorten(when, bytes) => write!(f, "shorten {bytes} [{when}]"),
            Self::Reopen => f.write_str("reopen"),
            Self::Kill => f.write_str("kill"),
            Self::Repair => f.write_str("repair"),
        }
    }
}

impl FromStr for Step {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::invalid(format!("step {text:?} makes no sense"));
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        Ok(match verb {
            "reopen" if rest.is_empty() => Self::Reopen,
            "kill" if rest.is_empty() => Self::Kill,
            "repair" if rest.is_empty() => Self::Repair,
            "try" => match rest.parse() {
                Ok(work) => Self::TryWork(work),
                Err(_) => Self::Try(made(rest)?),
            },
            "fail" => Self::Fail(enclosed(rest, '[', ']').ok_or_else(wrong)?.0.parse()?),
            "deny" => Self::Deny(enclosed(rest, '[', ']').ok_or_else(wrong)?.0.parse()?),
            "shorten" => {
                let (bytes, when) = rest.split_once(' ').ok_or_else(wrong)?;
                let when = enclosed(when, '[', ']').ok_or_else(wrong)?.0.parse()?;
                Self::Shorten(when, bytes.parse().map_err(|_| wrong())?)
            }
            "during" => {
                let (when, rest) = enclosed(rest, '[', ']').ok_or_else(wrong)?;
                let (inside, call) = enclosed(rest, '{', '}').ok_or_else(wrong)?;
                let (when, inside) = (when.parse()?, several(inside)?);
                match call.parse() {
                    Ok(work) => Self::Beside(work, when, inside),
                    Err(_) => Self::During(made(call)?, when, inside),
                }
            }
            "queued" => {
                let (inside, rest) = enclosed(rest, '{', '}').ok_or_else(wrong)?;
                if !rest.is_empty() {
                    return Err(wrong());
                }
                Self::Queued(several(inside)?)
            }
            _ => match text.parse() {
                Ok(work) => Self::Work(work),
                Err(_) => Self::Make(made(text)?),
            },
        })
    }
}

fn write_inside(
    f: &mut fmt::Formatter<'_>,
    when: &Trigger,
    inside: &[Call],
    outer: &dyn fmt::Display,
) -> fmt::Result {
    let inside: Vec<String> = inside.iter().map(ToString::to_string).collect();
    write!(f, "during [{when}] {{{}}} {outer}", inside.join(", "))
}

/// Calls that a guest can make, in a list.
fn several(text: &str) -> Result<Vec<Call>> {
    let calls = text.split(',').map(str::trim).filter(|call| !call.is_empty());
    calls.map(made).collect()
}

/// A call that a guest can make.
fn made(text: &str) -> Result<Call> {
    match text.trim().parse()? {
        Call::Killed(_) => Err(Error::invalid("a kill is no call: the step is named kill")),
        call => Ok(call),
    }
}

/// What stands in brackets at the beginning, and the rest.
fn enclosed(text: &str, open: char, close: char) -> Option<(&str, &str)> {
    let inside = text.trim_start().strip_prefix(open)?;
    let (inside, rest) = inside.split_once(close)?;
    Some((inside, rest.trim()))
}
