//! Runs a workload's steps on an image in memory: image, fault, recorder, fault, memory.

use super::{Step, Work, Workload};
use crate::crash::guest::Call;
use crate::crash::medium::SECTOR;
use crate::crash::random::{digest, to_usize};
use crate::crash::recording::Recording;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{Flags, Image, ResizeOptions, read_backing_info};
use crate::meta::Rules;
use crate::ops::{CheckOptions, Repair, check_storage_with};
use crate::source::Source;
use crate::storage::{CallKind, Fault, MemoryStorage, Recorder, Storage, Trigger};
use crate::sync::{Mutex, Rank};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

pub(super) fn record(workload: &Workload) -> Result<Recording> {
    record_with(workload, |_| ())
}

/// Runs `workload` over a disk that `prepare` may have fail.
pub(super) fn record_with(workload: &Workload, prepare: impl FnOnce(&Fault)) -> Result<Recording> {
    let runner = Arc::new(Runner::new(workload)?);
    runner.open()?;
    prepare(&runner.below);
    let done = workload.steps.iter().try_for_each(|step| runner.step(step));
    // A rule may hold the runner.
    runner.above.clear();
    done?;
    let calls = runner.state.lock().calls.clone();
    let mut recording = Recording::new(runner.recorder.log(), calls);
    recording.backing = workload.source();
    recording.lower = workload.under().and_then(|under| under.lower());
    recording.settings = workload.settings();
    // After a crash all rules hold: what is judged is what the run left.
    recording.settings.rules = Rules::default();
    Ok(recording)
}

pub(super) struct Runner {
    workload: Workload,
    above: Arc<Fault>,
    pub(super) recorder: Arc<Recorder>,
    below: Arc<Fault>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    image: Option<Arc<Image>>,
    calls: Vec<Call>,
    /// What went wrong with a call that was made inside another.
    failed: Option<Error>,
}

impl Drop for Runner {
    fn drop(&mut self) {
        // A drop of the image would close it, and whatever an end does is a step of its own.
        std::mem::forget(self.state.lock().image.take());
    }
}

impl Runner {
    fn new(workload: &Workload) -> Result<Self> {
        let memory = MemoryStorage::from_bytes(&workload.image()).with_atomic_unit(workload.unit);
        let memory = if workload.punches { memory } else { memory.without_punch() };
        let below = Arc::new(Fault::new(Arc::new(memory)));
        let recorder = Recorder::new(Arc::clone(&below) as Arc<dyn Storage>);
        let recorder = Arc::new(recorder.map_err(|error| Error::io("recording", error))?);
        let above = Arc::new(Fault::new(Arc::clone(&recorder) as Arc<dyn Storage>));
        let state = Mutex::new(Rank::Storage, State::default());
        Ok(Self { workload: workload.clone(), above, recorder, below, state })
    }

    fn open(&self) -> Result<()> {
        self.recorder.mark("open");
        let storage = Arc::clone(&self.above) as Arc<dyn Storage>;
        let source = below(&self.workload, &*storage)?;
        let image = Image::from_storage(storage, source, self.workload.settings())?;
        self.state.lock().image = Some(Arc::new(image));
        Ok(())
    }

    pub(super) fn image(&self) -> Result<Arc<Image>> {
        let image = self.state.lock().image.clone();
        image.ok_or_else(|| Error::new(ErrorKind::Internal, "the workload's image is not open"))
    }

    fn step(self: &Arc<Self>, step: &Step) -> Result<()> {
        match step {
            Step::Make(call) => self.call(call),
            Step::Try(call) => {
                // That it may fail is what the step says; the log has the outcome.
                let _ = self.call(call);
                Ok(())
            }
            // A read that copies claims what it copies.
            Step::During(call @ Call::Read { .. }, when, inside) => {
                self.in_its_midst(when, inside, true, || self.call(call))
            }
            Step::During(call, when, inside) => {
                self.in_its_midst(when, inside, false, || self.call(call))
            }
            Step::Work(work) => work.perform(&*self.image()?, &self.workload),
            Step::TryWork(work) => {
                let _ = work.perform(&*self.image()?, &self.workload);
                Ok(())
            }
            Step::Beside(work, when, inside) => self.beside(*work, when, inside),
            Step::Queued(calls) => self.queued(calls),
            Step::Fail(when) => {
                self.below.fail(when.clone(), libc::EIO);
                Ok(())
            }
            Step::Deny(when) => {
                self.above.fail(when.clone(), libc::EIO);
                Ok(())
            }
            Step::Shorten(when, bytes) => {
                self.below.shorten(when.clone(), *bytes, libc::EIO);
                Ok(())
            }
            Step::Reopen => {
                self.close()?;
                self.open()
            }
            Step::Kill => self.kill(&|_| Ok(())),
            Step::Repair => self.kill(&|storage| repair(storage, self.workload.settings.rules)),
        }
    }

    /// Work runs on a thread of its own, and so do the calls made from its midst.
    fn beside(self: &Arc<Self>, work: Work, when: &Trigger, inside: &[Call]) -> Result<()> {
        self.in_its_midst(when, inside, true, || work.perform(&*self.image()?, &self.workload))
    }

    /// Makes calls in the midst of another one, or of work. Who would wait for that there would
    /// wait for ever: where that is to be looked for, it is left out.
    fn in_its_midst(
        self: &Arc<Self>,
        when: &Trigger,
        inside: &[Call],
        looks: bool,
        perform: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let (this, inside) = (Arc::clone(self), inside.to_vec());
        self.above.run(when.clone(), move |at| {
            // The header is written under its lock, which nobody waits for but who changes it.
            let is_header = at.kind == CallKind::Write && at.offset == 0;
            let inside = inside.iter().filter(|_| !(looks && is_header));
            let made = inside.into_iter().try_for_each(|call| {
                if looks && this.would_wait(call)? { Ok(()) } else { this.call(call) }
            });
            if let Err(error) = made {
                this.state.lock().failed.get_or_insert(error);
            }
        });
        let done = perform();
        self.above.clear();
        let failed = self.state.lock().failed.take();
        done.and(failed.map_or(Ok(()), Err))
    }

    fn would_wait(&self, call: &Call) -> Result<bool> {
        let image = self.image()?;
        let range = match call {
            Call::Resize { to, .. } => {
                let (from, to) = (image.size().min(*to), image.size().max(*to));
                // The cluster across the smaller end is changed as well.
                let first = from - from % image.cluster_size();
                Some((first, to - first))
            }
            other => other.range(),
        };
        Ok(image.would_wait(range, range.is_none() || call.is_forced()))
    }

    fn close(&self) -> Result<()> {
        self.recorder.mark("close");
        let image = self.state.lock().image.take().and_then(Arc::into_inner);
        let missing = || Error::new(ErrorKind::Internal, "the workload's image is in use");
        let image = image.ok_or_else(missing)?;
        self.marked(&Call::Flush, |_| image.close())
    }

    /// The process dies; `meanwhile` nobody has the image open.
    fn kill(&self, meanwhile: &dyn Fn(Arc<dyn Storage>) -> Result<()>) -> Result<()> {
        self.recorder.mark("kill");
        std::mem::forget(self.state.lock().image.take());
        let number = self.number(&Call::Killed(Vec::new()));
        self.recorder.begin(number);
        meanwhile(Arc::clone(&self.above) as Arc<dyn Storage>)?;
        self.open()?;
        let seen = Call::Killed(self.touched()?);
        self.recorder.end(number, true);
        if let Some(call) = self.state.lock().calls.get_mut(to_usize(number)) {
            *call = seen;
        }
        Ok(())
    }

    /// What the sectors that any call touched read as now.
    fn touched(&self) -> Result<Vec<(u64, u64)>> {
        let image = self.image()?;
        let calls = self.state.lock().calls.clone();
        let mut sectors: BTreeSet<u64> = calls.iter().flat_map(Call::sectors).collect();
        sectors.retain(|sector| sector * SECTOR < image.size());
        let read = |sector: u64| {
            let mut bytes = [0; 512];
            image.pread(&mut bytes, sector * SECTOR)?;
            Ok((sector, digest(&bytes)))
        };
        sectors.into_iter().map(read).collect()
    }

    pub(super) fn call(&self, call: &Call) -> Result<()> {
        let image = self.image()?;
        let call = match call {
            // A step knows where it goes, not what was there before it.
            Call::Resize { to, preallocation, .. } => {
                Call::Resize { from: image.size(), to: *to, preallocation: *preallocation }
            }
            other => other.clone(),
        };
        self.marked(&call, |number| perform(&image, &call, number))
    }

    /// Makes a guest call between its marks.
    pub(super) fn marked(
        &self,
        call: &Call,
        perform: impl FnOnce(u64) -> Result<()>,
    ) -> Result<()> {
        let number = self.number(call);
        self.recorder.begin(number);
        let result = perform(number);
        self.recorder.end(number, result.is_ok());
        result
    }

    /// The number of a new call.
    pub(super) fn number(&self, call: &Call) -> u64 {
        let mut state = self.state.lock();
        state.calls.push(call.clone());
        state.calls.len() as u64 - 1
    }
}

/// What lies below the image in `storage`: what it names.
fn below(workload: &Workload, storage: &dyn Storage) -> Result<Option<Arc<dyn Source>>> {
    let Some(named) = read_backing_info(storage)? else { return Ok(None) };
    let lower = workload.under().and_then(|under| under.lower());
    let lower = lower.filter(|lower| lower.name == named.name);
    Ok(lower.map(|lower| lower.source).or_else(|| workload.source()))
}

/// Repairs an image that nobody has open, and finds it sound.
fn repair(storage: Arc<dyn Storage>, rules: Rules) -> Result<()> {
    let how = CheckOptions { repair: Some(Repair::All), rules, ..CheckOptions::default() };
    let report = check_storage_with(storage, &how, &mut |_, _| ControlFlow::Continue(()))?;
    if report.is_clean() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Internal, "a repair leaves something to repair"))
}

/// Makes a guest call, as call number `number`.
pub(super) fn perform(image: &Image, call: &Call, number: u64) -> Result<()> {
    let flag = |on: bool, flag: Flags| if on { flag } else { Flags::NONE };
    match call {
        Call::Write { offset, forced, .. } => {
            let bytes = call.bytes(number).unwrap_or_default();
            image.pwrite(&bytes, *offset, flag(*forced, Flags::FUA))
        }
        Call::Zeroes { offset, length, forced, unmap } => {
            let flags = flag(*forced, Flags::FUA) | flag(*unmap, Flags::MAY_UNMAP);
            image.write_zeroes(*offset, *length, flags)
        }
        Call::Discard { offset, length } => image.discard(*offset, *length),
        Call::Read { offset, length } => image.pread(&mut vec![0; to_usize(*length)], *offset),
        Call::Resize { to, preallocation, .. } => {
            let how = ResizeOptions { shrink: true, preallocation: *preallocation };
            image.resize(*to, how)
        }
        Call::Flush => image.flush(),
        Call::Killed(_) => Err(Error::invalid("a kill is no call that an image takes")),
    }
}
