//! A state that failed, with everything that leads back to it.

use super::barrier::{self, Barrier};
use super::shrink::Retry;
use super::timeline::Timeline;
use crate::crash::explore::{CrashState, Finding, Judge};
use crate::crash::log::digest_of;
use crate::storage::Log;
use std::fmt;

/// A state that failed its judgement.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which oracle objects, and what it says.
    pub finding: Finding,
    /// The state's name, see [`Frame::name`](crate::crash::states::Frame::name).
    pub state: String,
    /// The first crash point at which it is legal.
    pub t: usize,
    /// The operations that persist early, or in part, by their numbers in the log.
    pub writes: Vec<u64>,
    /// What is out of order.
    pub barrier: Barrier,
    /// What happened up to the crash, and what became of it.
    pub timeline: Timeline,
    /// One word that leads back here: see
    /// [`Explorer::replay`](crate::crash::explore::Explorer::replay).
    pub replay: String,
}

impl Failure {
    /// Shrinks a state that failed and tells its story.
    pub(in crate::crash) fn new(
        log: &Log,
        unit: u64,
        failed: &CrashState<'_>,
        finding: Finding,
        judge: &mut dyn Judge,
    ) -> Self {
        let frame = failed.frame;
        let mut retry = Retry::new(frame, judge, &finding.oracle);
        let (state, finding) = retry.shrink(failed.state.clone(), finding);
        let (barrier, shown, told) = barrier::infer(frame, &mut retry, &state, finding.clone());
        // The state that shows the barrier, unless it is the more disorderly one.
        let clearer = shown.deviation() <= state.deviation();
        let (state, finding) = if clearer { (shown, told) } else { (state, finding) };
        let t = frame.crash_point(&state);
        let writes = match &barrier {
            Barrier::Between { early, .. } => early.clone(),
            Barrier::Whole(torn) => torn.clone(),
            Barrier::None => Vec::new(),
        };
        let timeline = Timeline::new(log, frame, &state, t, &barrier, &|n| judge.call(n));
        let name = frame.name(&state);
        let replay = format!("{:016x}/{unit}/{name}", digest_of(log));
        Self { finding, state: name, t, writes, barrier, timeline, replay }
    }

    /// What failed in no state of its own.
    pub(in crate::crash) fn of_the_run(finding: Finding) -> Self {
        Self {
            finding,
            state: String::new(),
            t: 0,
            writes: Vec::new(),
            barrier: Barrier::None,
            timeline: Timeline::default(),
            replay: String::new(),
        }
    }

    /// Operations out of order or torn, as the name says.
    #[must_use]
    pub fn deviation(&self) -> usize {
        self.state.chars().filter(|c| "-+~".contains(*c)).count()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.finding)?;
        write!(f, "{}", self.timeline)?;
        let joined = |ids: &[u64], by: &str| {
            ids.iter().map(|id| format!("#{id}")).collect::<Vec<_>>().join(by)
        };
        match &self.barrier {
            Barrier::Between { lost, early } => {
                let (lost, early) = (joined(lost, " or "), joined(early, " and "));
                writeln!(f, "missing: a sync after {lost} and before {early}, early on the disk")?;
            }
            Barrier::Whole(torn) => {
                writeln!(f, "missing: {} must persist whole", joined(torn, " and "))?;
            }
            Barrier::None if !self.state.is_empty() => {
                writeln!(f, "missing: nothing; the order itself leaves this state")?;
            }
            Barrier::None => {}
        }
        write!(f, "replay: {}", self.replay)
    }
}
