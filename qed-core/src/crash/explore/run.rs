//! The walk itself.

use super::report::Report;
use super::shard::Shard;
use crate::crash::log::digest_of;
use crate::crash::medium::Medium;
use crate::crash::report::Failure;
use crate::crash::states::{Frame, History, Plan, State, Window, split_name};
use crate::error::Result;
use crate::storage::Log;
use std::collections::HashMap;
use std::fmt;

/// One legal state, built.
#[derive(Debug)]
pub struct CrashState<'a> {
    /// The window it is of.
    pub frame: &'a Frame<'a>,
    /// Which choices persist.
    pub state: State,
    /// The content of the file.
    pub medium: Medium,
    /// The first crash point at which it is legal.
    pub t: usize,
}

/// What is wrong with a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name of the oracle.
    pub oracle: String,
    /// What it says.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.oracle, self.what)
    }
}

/// Judges states.
pub trait Judge {
    /// The states that follow are of this window.
    fn enter(&mut self, _frame: &Frame<'_>) {}

    /// One verdict for each state.
    fn judge(&mut self, states: &[CrashState<'_>]) -> Vec<std::result::Result<(), Finding>>;

    /// How many states it likes to get at once.
    fn batch(&self) -> usize {
        1
    }

    /// What a guest call was, in words, by its number in the log.
    fn call(&self, _number: u64) -> Option<String> {
        None
    }

    /// What is wrong when all states have been judged.
    fn finish(&mut self) -> std::result::Result<(), Finding> {
        Ok(())
    }
}

/// A judge that is a function of the content and the crash point.
#[derive(Debug)]
pub struct Plainly<F>(pub F);

impl<F: FnMut(&Medium, usize) -> std::result::Result<(), String>> Judge for Plainly<F> {
    fn judge(&mut self, states: &[CrashState<'_>]) -> Vec<std::result::Result<(), Finding>> {
        let own = |what| Finding { oracle: "own".to_owned(), what };
        states.iter().map(|state| (self.0)(&state.medium, state.t).map_err(own)).collect()
    }
}

/// A log and how it is walked.
#[derive(Debug)]
pub struct Explorer<'a> {
    log: &'a Log,
    history: History,
    windows: Vec<Window>,
    plan: Plan,
    digest: u64,
}

impl<'a> Explorer<'a> {
    /// Walks `log` by `plan`. `boundaries` are events behind which the judge is stricter.
    #[must_use]
    pub fn new(log: &'a Log, boundaries: &[usize], plan: Plan) -> Self {
        let history = History::new(log, plan.unit);
        let windows = history.windows(boundaries);
        Self { log, history, windows, plan, digest: digest_of(log) }
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &Log {
        self.log
    }

    /// The windows of crash points.
    #[must_use]
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// One window's choices.
    #[must_use]
    pub fn frame(&self, window: usize) -> Frame<'_> {
        Frame::new(&self.history, self.windows[window], window)
    }

    /// Everything, as one shard.
    #[must_use]
    pub fn whole(&self) -> Shard {
        let cap = match self.plan.states {
            None => usize::MAX,
            Some(states) => level(&self.counts(), states),
        };
        let (log, seed, end) = (self.digest, self.plan.seed, (self.windows.len(), 0));
        Shard { log, seed, cap, first: (0, 0), end }
    }

    /// Everything, cut into `parts`.
    #[must_use]
    pub fn shards(&self, parts: usize) -> Vec<Shard> {
        Shard::cut(self.digest, self.plan.seed, self.whole().cap, &self.counts(), parts)
    }

    /// Everything, cut into shards of about so many states.
    #[must_use]
    pub fn shards_of(&self, states: usize) -> Vec<Shard> {
        let (counts, cap) = (self.counts(), self.whole().cap);
        let total: usize = counts.iter().map(|count| *count.min(&cap)).sum();
        let parts = total.div_ceil(states.max(1));
        Shard::cut(self.digest, self.plan.seed, cap, &counts, parts)
    }

    /// Judges the states of a shard.
    ///
    /// # Errors
    /// The shard is another log's, or another seed's.
    pub fn run(&self, shard: &Shard, judge: &mut dyn Judge) -> Result<Report> {
        if (shard.log, shard.seed) != (self.digest, self.plan.seed) {
            let message = format!("shard {shard} is not of log {:016x}", self.digest);
            return Err(crate::error::Error::invalid(message));
        }
        let mut run = Run { explorer: self, report: Report::default(), seen: HashMap::new() };
        for window in (0..self.windows.len()).filter(|window| shard.touches(*window)) {
            let frame = self.frame(window);
            if run.window(&frame, shard, judge) {
                break;
            }
        }
        if let Err(finding) = judge.finish() {
            run.report.failures.push(Failure::of_the_run(finding));
        }
        Ok(run.report)
    }

    /// Judges one state alone: by its name, or by a failure's word, which names the log too.
    ///
    /// # Errors
    /// The name is no state's, or another log's.
    pub fn replay(&self, word: &str, judge: &mut dyn Judge) -> Result<Report> {
        let name = match word.rsplit_once('/') {
            None => word,
            Some((log, name)) if log == format!("{:016x}/{}", self.digest, self.plan.unit) => name,
            Some(_) => {
                let message = format!("{word:?} is a state of another log");
                return Err(crate::error::Error::invalid(message));
            }
        };
        self.with_state(name, |state| {
            judge.enter(state.frame);
            let mut run = Run { explorer: self, report: Report::default(), seen: HashMap::new() };
            run.judge(vec![state], judge);
            run.report
        })
    }

    /// Does something with the state of a name.
    ///
    /// # Errors
    /// The name is no state's.
    pub fn with_state<T>(&self, name: &str, then: impl FnOnce(CrashState<'_>) -> T) -> Result<T> {
        let (window, _) = split_name(name)?;
        if window >= self.windows.len() {
            let message = format!("state {name:?}: there are {} windows", self.windows.len());
            return Err(crate::error::Error::invalid(message));
        }
        let frame = self.frame(window);
        let state = frame.parse(name)?;
        Ok(then(build(&frame, state)))
    }

    /// The names of all states, lazily and in order, with those of equal content.
    pub fn names(&self) -> impl Iterator<Item = String> + '_ {
        let shard = self.whole();
        (0..self.windows.len()).flat_map(move |window| {
            self.with_states(window, &shard, |state| state.frame.name(&state.state))
        })
    }

    /// Does something with every state of a window that is in `shard`, in order.
    pub fn with_states<T>(
        &self,
        window: usize,
        shard: &Shard,
        then: impl Fn(CrashState<'_>) -> T,
    ) -> Vec<T> {
        let frame = self.frame(window);
        let states = self.plan.states(&frame);
        let range = shard.range(window, states.len());
        states[range].iter().map(|state| then(build(&frame, state.clone()))).collect()
    }

    fn counts(&self) -> Vec<usize> {
        let count = |window| self.plan.states(&self.frame(window)).len();
        (0..self.windows.len()).map(count).collect()
    }
}

/// The cap under which windows of so many states each have at most `most` together.
fn level(counts: &[usize], most: usize) -> usize {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let (mut rest, mut left) = (most, sorted.len());
    for count in sorted {
        if count.saturating_mul(left) > rest {
            return (rest / left).max(1);
        }
        rest -= count;
        left -= 1;
    }
    usize::MAX
}

fn build<'f>(frame: &'f Frame<'f>, state: State) -> CrashState<'f> {
    let (medium, t) = (frame.medium(&state), frame.crash_point(&state));
    CrashState { frame, state, medium, t }
}

struct Run<'a> {
    explorer: &'a Explorer<'a>,
    report: Report,
    /// The earliest crash point at which a content was judged, in each epoch.
    seen: HashMap<(u64, usize), usize>,
}

impl Run<'_> {
    /// Walks a window; true where enough has failed.
    fn window(&mut self, frame: &Frame<'_>, shard: &Shard, judge: &mut dyn Judge) -> bool {
        let plan = &self.explorer.plan;
        let states = plan.states(frame);
        let range = shard.range(frame.index, states.len());
        if range.is_empty() {
            return false;
        }
        judge.enter(frame);
        self.cover(frame, states.len().saturating_sub(shard.cap));
        let mut waiting = Vec::new();
        for state in &states[range] {
            let counts = self.report.modes.entry(state.mode()).or_default();
            counts.generated += 1;
            let built = build(frame, state.clone());
            let digest = built.medium.digest();
            self.report.contents.insert(digest);
            let before = self.seen.entry((digest, frame.window.epoch)).or_insert(usize::MAX);
            if *before <= built.t {
                continue;
            }
            *before = built.t;
            waiting.push(built);
            if waiting.len() >= judge.batch() && self.judge(std::mem::take(&mut waiting), judge) {
                return true;
            }
        }
        self.judge(waiting, judge)
    }

    fn cover(&mut self, frame: &Frame<'_>, left_out: usize) {
        let choices = frame.choices.len();
        self.report.windows.insert(frame.index);
        self.report.largest = self.report.largest.max(choices);
        self.report.left_out += left_out;
        if !self.explorer.plan.walks_in_full(choices) {
            self.report.sampled.insert(frame.index, choices);
        }
        if !self.explorer.plan.tears_in_full(frame) {
            self.report.torn_sampled.insert(frame.index);
        }
    }

    fn judge(&mut self, states: Vec<CrashState<'_>>, judge: &mut dyn Judge) -> bool {
        for state in &states {
            self.report.modes.entry(state.state.mode()).or_default().judged += 1;
        }
        let verdicts = judge.judge(&states);
        for (state, verdict) in states.into_iter().zip(verdicts) {
            let Err(finding) = verdict else { continue };
            let Explorer { log, plan, .. } = self.explorer;
            let failure = Failure::new(log, plan.unit, &state, finding, judge);
            self.report.failures.push(failure);
            if self.report.failures.len() >= self.explorer.plan.failures {
                return true;
            }
        }
        false
    }
}

/// Has every state that a power cut may have left of `log` judged by a function of its content and
/// the first crash point at which it is legal. `boundaries` are events behind which it is stricter.
pub fn explore(
    log: &Log,
    boundaries: &[usize],
    plan: &Plan,
    judge: impl FnMut(&Medium, usize) -> std::result::Result<(), String>,
) -> Report {
    let explorer = Explorer::new(log, boundaries, plan.clone());
    let shard = explorer.whole();
    explorer.run(&shard, &mut Plainly(judge)).unwrap_or_default()
}
