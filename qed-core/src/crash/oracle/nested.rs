//! Crashes inside recovery: a state is opened, lived on and closed while that is recorded, and
//! every crash of it is judged again, to a given depth.

use super::case::Case;
use super::life::{LifeGoesOn, Recovery};
use super::panel::Panel;
use super::raw::{Durable, NoForeignData, Structure};
use super::session::{Session, guarded, storage, told};
use super::subject::Subject;
use super::{Oracle, Verdict};
use crate::crash::explore::Explorer;
use crate::crash::guest::Call;
use crate::crash::medium::Medium;
use crate::crash::recording::{GuestDisk, Recording};
use crate::crash::states::Plan;
use crate::image::Flags;
use crate::storage::{Recorder, Storage};
use std::sync::Arc;

/// Crashes of the session that follows a crash, `depth` of them one inside the other.
#[derive(Clone, Debug)]
pub struct Nested {
    /// How many crashes follow the first.
    pub depth: usize,
    /// Which states of each are walked.
    pub plan: Plan,
    /// One in so many states is followed.
    pub one_in: u64,
}

impl Nested {
    /// Follows every state by the cheapest states of what comes after it.
    #[must_use]
    pub fn new(depth: usize) -> Self {
        let plan = Plan { full: 5, torn_full: 4, samples: 12, ..Plan::default() };
        Self { depth, plan, one_in: 1 }
    }
}

impl Oracle for Nested {
    fn name(&self) -> &str {
        "nested"
    }

    fn judge(&self, case: &Case<'_>) -> Verdict {
        // The same states for the same content, whoever walks them.
        if !case.medium.digest().is_multiple_of(self.one_in.max(1)) {
            return Ok(());
        }
        case.disk()?;
        guarded(|| self.follow(case))
    }
}

impl Nested {
    fn follow(&self, case: &Case<'_>) -> Verdict {
        let recording = relive(case.subject, case.medium)?;
        let initial = GuestDisk::qed(case.medium.clone(), case.subject.below())?;
        let subject = Subject::with_initial(recording, initial);
        let unit = case.subject.recording.log.limits.atomic_unit;
        let plan = Plan { unit, ..self.plan.clone() };
        let mut oracles: Vec<Arc<dyn Oracle>> = vec![
            Arc::new(Structure),
            Arc::new(NoForeignData),
            Arc::new(Durable),
            Arc::new(Recovery),
        ];
        if self.depth > 1 {
            oracles.push(Arc::new(Self { depth: self.depth - 1, ..self.clone() }));
        } else {
            oracles.push(Arc::new(LifeGoesOn));
        }
        let explorer = Explorer::new(&subject.recording.log, &subject.boundaries(), plan);
        let report = explorer.run(&explorer.whole(), &mut Panel::new(&subject, oracles));
        let report = report.map_err(told("following a crash"))?;
        report.failures.first().map_or(Ok(()), |failure| {
            let (finding, state) = (&failure.finding, &failure.state);
            Err(format!("a second crash, in state {state}: {finding}"))
        })
    }
}

/// Opens a state, writes, flushes and closes, all of it recorded.
fn relive(subject: &Subject, medium: &Medium) -> Result<Recording, String> {
    let recorder = Recorder::new(storage(subject, medium) as Arc<dyn Storage>);
    let recorder = Arc::new(recorder.map_err(|error| format!("recording: {error}"))?);
    let image = Session::open(subject, recorder.clone(), false)?;
    let mut calls = Vec::new();
    let mut begin = |call: Call| {
        calls.push(call);
        let number = calls.len() as u64 - 1;
        recorder.begin(number);
        number
    };
    for (offset, bytes) in &subject.spare {
        let number = begin(Call::write_bytes(*offset, bytes, false));
        image.pwrite(bytes, *offset, Flags::NONE).map_err(told("writing afterwards"))?;
        recorder.end(number, true);
    }
    let number = begin(Call::Flush);
    image.flush().map_err(told("flushing afterwards"))?;
    recorder.end(number, true);
    let number = begin(Call::Flush);
    image.close()?;
    recorder.end(number, true);
    let mut recording = subject.recording.clone();
    recording.log = recorder.log();
    recording.calls = calls;
    Ok(recording)
}
