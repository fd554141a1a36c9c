//! The oracle `faults`: no crash, but a disk that fails. Every call of a run on the disk fails in
//! turn, in every way; nothing that was acknowledged and flushed may be lost, and the error must
//! surface.

use super::{Step, Workload, run};
use crate::crash::explore::{Explorer, Finding};
use crate::crash::guest::Call;
use crate::crash::oracle::{Panel, Subject, by_name};
use crate::crash::recording::Recording;
use crate::crash::states::{Mode, Plan};
use crate::error::Result;
use crate::storage::{CallKind, Event, Operation, Trigger};
use std::collections::BTreeSet;
use std::fmt;

/// How a call on the disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// With EIO, before it does anything.
    Io,
    /// With ENOSPC, before it does anything.
    NoSpace,
    /// With EIO, after its first bytes.
    Short,
    /// With EIO, after it has done all of it.
    Late,
}

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which calls are counted.
    pub call: CallKind,
    /// Which of them fails, from 1.
    pub nth: u64,
    /// How.
    pub kind: FaultKind,
    /// And every later one.
    pub for_ever: bool,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, nth, kind, for_ever } = self;
        let ever = if *for_ever { " and every later one" } else { "" };
        write!(f, "{} {nth}{ever}: {kind:?}", call.name())
    }
}

/// Every fault that can strike this workload's calls on the disk.
///
/// # Errors
/// A step failed that was to succeed, with no fault at all.
pub fn every_fault(workload: &Workload) -> Result<Vec<Fault>> {
    let recording = workload.record()?;
    let mut faults = Vec::new();
    let calls =
        [CallKind::Write, CallKind::ZeroRange, CallKind::Punch, CallKind::SetLen, CallKind::Sync];
    for call in calls {
        let count = recording.log.events.iter().filter(|event| is_of(event, call)).count() as u64;
        let kinds: &[FaultKind] = match call {
            CallKind::Write => {
                &[FaultKind::Io, FaultKind::NoSpace, FaultKind::Short, FaultKind::Late]
            }
            CallKind::SetLen => &[FaultKind::Io, FaultKind::NoSpace],
            _ => &[FaultKind::Io, FaultKind::Late],
        };
        for nth in 1..=count {
            for kind in kinds {
                for for_ever in [false, true] {
                    faults.push(Fault { call, nth, kind: *kind, for_ever });
                }
            }
        }
    }
    Ok(faults)
}

/// Runs `workload` with one fault and judges it.
///
/// # Errors
/// The image does not open.
pub fn judge_faults(workload: &Workload, fault: Fault) -> Result<std::result::Result<(), Finding>> {
    let steps = workload.steps.iter().map(|step| match step {
        Step::Make(call) => Step::Try(call.clone()),
        Step::Work(work) => Step::TryWork(*work),
        other => other.clone(),
    });
    // A close that fails ends the run: what comes behind a reopen is another session's.
    let steps = steps
        .take_while(|step| !matches!(step, Step::Reopen | Step::Kill | Step::Repair))
        .collect();
    let tried = Workload { steps, ..workload.clone() };
    let recording = run::record_with(&tried, |disk| {
        let when = Trigger::on(fault.call).nth(fault.nth);
        let when = if fault.for_ever { when.for_ever() } else { when };
        match fault.kind {
            FaultKind::Io => disk.fail(when, libc::EIO),
            FaultKind::NoSpace => disk.fail(when, libc::ENOSPC),
            FaultKind::Short => disk.shorten(when, 512, libc::EIO),
            FaultKind::Late => disk.fail(when.afterwards(), libc::EIO),
        }
    })?;
    let found =
        |what: String| Finding { oracle: "faults".to_owned(), what: format!("{fault}: {what}") };
    if let Err(what) = surfaces(&recording, fault) {
        return Ok(Err(found(what)));
    }
    let unit = workload.unit;
    let subject = Subject::new(recording)?;
    let plan = Plan { unit, modes: BTreeSet::from([Mode::Prefix]), ..Plan::default() };
    let oracles = by_name(&["structure", "no-foreign-data", "durable", "recovery"])?;
    let explorer = Explorer::new(&subject.recording.log, &subject.boundaries(), plan);
    let report = explorer.run(&explorer.whole(), &mut Panel::new(&subject, oracles))?;
    let failed = report.failures.into_iter().next();
    Ok(failed.map_or(Ok(()), |failure| Err(found(failure.to_string()))))
}

/// A failed sync is told by a flush that fails, and no flush succeeds behind it.
fn surfaces(recording: &Recording, fault: Fault) -> std::result::Result<(), String> {
    let events = &recording.log.events;
    let syncs: BTreeSet<u64> = events
        .iter()
        .filter_map(|event| match event {
            Event::Issued { id, operation: Operation::Sync } => Some(*id),
            _ => None,
        })
        .collect();
    let failed = events.iter().position(|event| match event {
        Event::Completed { id, result: Err(_) } => syncs.contains(id),
        _ => false,
    });
    let Some(failed) = failed else { return Ok(()) };
    let is_flush = |payload: &u64| {
        let index = usize::try_from(*payload).ok();
        index.and_then(|index| recording.calls.get(index)) == Some(&Call::Flush)
    };
    let claims = events[failed..].iter().any(|event| match event {
        Event::End { payload, done: true } => is_flush(payload),
        _ => false,
    });
    if claims {
        Err(format!("a flush succeeds after a failed {}", fault.call.name()))
    } else {
        Ok(())
    }
}

fn is_of(event: &Event, call: CallKind) -> bool {
    let Event::Issued { operation, .. } = event else { return false };
    call == match operation {
        Operation::Write { .. } => CallKind::Write,
        Operation::ZeroRange { .. } => CallKind::ZeroRange,
        Operation::Punch { .. } => CallKind::Punch,
        Operation::SetLength { .. } => CallKind::SetLen,
        Operation::Sync => CallKind::Sync,
    }
}
