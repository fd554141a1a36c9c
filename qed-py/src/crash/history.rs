//! What happened in a recording, event by event, as plain tuples.

use qed_core::crash::Recording;
use qed_core::crash::report::describe;
use qed_core::storage::Event;

/// A kind of event, the number of the operation or the call, and what it says.
pub(crate) type Happening = (&'static str, Option<u64>, String);

/// The events in order. What begins says what it is; what ends says why it failed, or nothing.
pub(crate) fn history(recording: &Recording) -> Vec<Happening> {
    let call = |number: &u64| {
        let found = usize::try_from(*number).ok().and_then(|at| recording.calls.get(at));
        found.map(ToString::to_string).unwrap_or_default()
    };
    let happening = |event: &Event| match event {
        Event::Issued { id, operation } => ("operation", Some(*id), describe(operation)),
        Event::Completed { id, result: Ok(()) } => ("completed", Some(*id), String::new()),
        Event::Completed { id, result: Err(kind) } => ("failed", Some(*id), kind.to_string()),
        Event::Begin { payload } => ("call", Some(*payload), call(payload)),
        Event::End { payload, done: true } => ("returned", Some(*payload), String::new()),
        Event::End { payload, done: false } => ("call-failed", Some(*payload), String::new()),
        Event::Mark(text) => ("mark", None, text.clone()),
    };
    recording.log.events.iter().map(happening).collect()
}
