//! Runs guest calls on an image whose storage is recorded, and has every crash state judged.
//!
//! No background work, and one thread unless a step says otherwise: the same steps leave the same
//! log. Faults can strike above the recorder, where the disk never hears of the call, and below it,
//! where the disk is what fails.

use super::disk::{Disk, at};
use super::explore::{Options, Report, explore};
use super::guest::{BACKING, Call, GuestModel, SECTOR, Value, pattern};
use super::oracle::Judge;
use super::script::fresh_image;
use super::structure::Shape;
use qed_core::source::{Extent, ExtentKind, Source};
use qed_core::storage::{Fault, Log, MemoryStorage, Recorder, Storage, Trigger};
use qed_core::{Flags, Image, ImageSettings};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// What is done to an image.
#[derive(Clone, Debug)]
pub enum Step {
    /// A call that succeeds.
    Make(Call),
    /// A call that may fail.
    Try(Call),
    /// A call in the midst of which others are made: when this strikes above the recorder.
    During(Call, Trigger, Vec<Call>),
    /// From here on the disk fails where this strikes.
    Fail(Trigger),
    /// From here on the disk does so many bytes where this strikes, then fails.
    Shorten(Trigger, u64),
    /// The image is closed and opened again.
    Reopen,
    /// The process dies, the machine lives; the image is opened again.
    Kill,
}

/// An image and what is done to it.
#[derive(Clone, Debug)]
pub struct Workload {
    pub cluster: u64,
    /// Clusters of a table.
    pub table: u64,
    /// Guest bytes.
    pub size: u64,
    /// Bytes that the disk writes as a whole.
    pub unit: u64,
    /// Whether the disk can punch holes.
    pub punches: bool,
    /// Bytes of the backing file, where there is one.
    pub backing: Option<u64>,
    pub settings: ImageSettings,
    pub steps: Vec<Step>,
    /// Where the guest writes after the crash: 64 KiB each (two clusters if that is more) that no
    /// step touches.
    pub spare: Vec<u64>,
}

/// A workload that has run.
pub struct Run {
    pub log: Log,
    pub calls: Vec<Call>,
}

impl Workload {
    /// Over an empty image of 4 MiB in clusters of 4 KiB and tables of one: two L2 tables.
    pub fn small(steps: Vec<Step>) -> Self {
        Self {
            cluster: 4096,
            table: 1,
            size: 4 << 20,
            unit: 512,
            punches: true,
            backing: None,
            settings: ImageSettings { background: false, ..ImageSettings::default() },
            steps,
            spare: vec![1 << 20, 3 << 20],
        }
    }

    /// The same over a backing file of `backing` bytes of data.
    pub fn over(self, backing: u64) -> Self {
        Self { backing: Some(backing), ..self }
    }

    /// The same on a disk that writes 4096 bytes as a whole.
    pub fn in_large_units(self) -> Self {
        Self { unit: 4096, ..self }
    }

    /// The same on a disk that cannot punch holes.
    pub fn without_punch(self) -> Self {
        Self { punches: false, ..self }
    }

    /// The image before the first step.
    pub fn image(&self) -> Vec<u8> {
        let features = if self.backing.is_some() { 5 } else { 0 };
        fresh_image(self.cluster, self.table, self.size, features)
    }

    pub fn source(&self) -> Option<Arc<dyn Source>> {
        self.backing.map(|size| Arc::new(Backing { size }) as Arc<dyn Source>)
    }

    /// What the guest reads where nothing was ever written.
    pub fn initial(&self, offset: u64, length: u64) -> Vec<u8> {
        let mut bytes = vec![0; at(length)];
        let data = self.backing.unwrap_or(0).saturating_sub(offset).min(length);
        bytes[..at(data)].copy_from_slice(&pattern(BACKING, offset, data));
        bytes
    }

    /// Runs the steps.
    pub fn run(&self) -> Run {
        let runner = Arc::new(Runner::new(self));
        runner.open();
        for step in &self.steps {
            runner.step(step);
        }
        // A rule may hold the runner.
        runner.above.clear();
        let calls = runner.state.lock().unwrap().calls.clone();
        Run { log: runner.recorder.log(), calls }
    }

    /// Runs the steps and judges every state that a crash may leave.
    pub fn explore(&self, options: &Options) -> Report {
        let Run { log, calls } = self.run();
        let model = GuestModel::new(self.cluster, self.backing.unwrap_or(0), &calls, &log);
        let shape = Shape::read(&Disk::new(&log.base)).unwrap();
        let judge = Judge { workload: self, model: &model, shape };
        let options = Options { unit: self.unit, ..options.clone() };
        explore(&log, &model.boundaries(), &options, |disk, t| judge.judge(disk, t))
    }

    /// Fails the test with the first state that does not hold.
    pub fn assert_crash_safe(&self, name: &str) -> Report {
        let report = self.explore(&Options::default());
        report.assert_ok(name);
        report
    }
}

/// The image under way, between two faults: image, `above`, recorder, `below`, memory.
struct Runner {
    workload: Workload,
    above: Arc<Fault>,
    recorder: Arc<Recorder>,
    below: Arc<Fault>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    image: Option<Arc<Image>>,
    calls: Vec<Call>,
}

impl Drop for Runner {
    fn drop(&mut self) {
        // A drop of the image would close it, and whatever an end does is a step of its own.
        if let Ok(mut state) = self.state.lock() {
            std::mem::forget(state.image.take());
        }
    }
}

impl Runner {
    fn new(workload: &Workload) -> Self {
        let memory = MemoryStorage::from_bytes(&workload.image()).with_atomic_unit(workload.unit);
        let memory = if workload.punches { memory } else { memory.without_punch() };
        let below = Arc::new(Fault::new(Arc::new(memory)));
        let recorder = Arc::new(Recorder::new(Arc::clone(&below) as Arc<dyn Storage>).unwrap());
        let above = Arc::new(Fault::new(Arc::clone(&recorder) as Arc<dyn Storage>));
        Self { workload: workload.clone(), above, recorder, below, state: Mutex::default() }
    }

    fn open(&self) {
        self.recorder.mark("open");
        let storage = Arc::clone(&self.above) as Arc<dyn Storage>;
        let settings = self.workload.settings.clone();
        let image = Image::from_storage(storage, self.workload.source(), settings);
        let image = Arc::new(image.expect("an image that opens"));
        self.state.lock().unwrap().image = Some(image);
    }

    fn image(&self) -> Arc<Image> {
        self.state.lock().unwrap().image.clone().expect("an open image")
    }

    fn step(self: &Arc<Self>, step: &Step) {
        match step {
            Step::Make(call) => self.call(call).expect("a call that succeeds"),
            Step::Try(call) => drop(self.call(call)),
            Step::During(call, when, inside) => {
                let (this, inside) = (Arc::clone(self), inside.clone());
                self.above.run(when.clone(), move |_| {
                    inside.iter().for_each(|call| this.call(call).expect("a call that succeeds"));
                });
                self.call(call).expect("a call that succeeds");
                self.above.clear();
            }
            Step::Fail(when) => self.below.fail(when.clone(), EIO),
            Step::Shorten(when, bytes) => self.below.shorten(when.clone(), *bytes, EIO),
            Step::Reopen => {
                self.close();
                self.open();
            }
            Step::Kill => self.kill(),
        }
    }

    fn close(&self) {
        self.recorder.mark("close");
        let image = self.state.lock().unwrap().image.take().expect("an open image");
        let image = Arc::into_inner(image).expect("an image that nobody uses");
        self.marked(&Call::Flush, |_| image.close()).expect("a close that succeeds");
    }

    fn kill(&self) {
        self.recorder.mark("kill");
        std::mem::forget(self.state.lock().unwrap().image.take());
        let number = self.number(&Call::Killed(Vec::new()));
        self.recorder.begin(number);
        self.open();
        let seen = Call::Killed(self.touched());
        self.recorder.end(number, true);
        self.state.lock().unwrap().calls[at(number)] = seen;
    }

    /// What the sectors that any call touched read as now.
    fn touched(&self) -> Vec<(u64, Value)> {
        let image = self.image();
        let calls = self.state.lock().unwrap().calls.clone();
        let sectors: BTreeSet<u64> = calls.iter().flat_map(Call::sectors).collect();
        let read = |sector: u64| {
            let mut bytes = [0; 512];
            image.pread(&mut bytes, sector * SECTOR).expect("a read");
            (sector, Value::of(sector, &bytes).expect("something that was written there"))
        };
        sectors.into_iter().map(read).collect()
    }

    fn call(&self, call: &Call) -> qed_core::Result<()> {
        let image = self.image();
        self.marked(call, |number| perform(&image, call, number))
    }

    /// Makes a guest call between its marks.
    fn marked(
        &self,
        call: &Call,
        perform: impl FnOnce(u64) -> qed_core::Result<()>,
    ) -> qed_core::Result<()> {
        let number = self.number(call);
        self.recorder.mark(&format!("call {number}: {call:?}"));
        self.recorder.begin(number);
        let result = perform(number);
        self.recorder.end(number, result.is_ok());
        result
    }

    /// The number of a new call.
    fn number(&self, call: &Call) -> u64 {
        let mut state = self.state.lock().unwrap();
        state.calls.push(call.clone());
        state.calls.len() as u64 - 1
    }
}

fn perform(image: &Image, call: &Call, writer: u64) -> qed_core::Result<()> {
    let flag = |on: bool, flag: Flags| if on { flag } else { Flags::NONE };
    match *call {
        Call::Write { offset, length, forced } => {
            image.pwrite(&pattern(writer, offset, length), offset, flag(forced, Flags::FUA))
        }
        Call::Zeroes { offset, length, forced, unmap } => {
            let flags = flag(forced, Flags::FUA) | flag(unmap, Flags::MAY_UNMAP);
            image.write_zeroes(offset, length, flags)
        }
        Call::Discard { offset, length } => image.discard(offset, length),
        Call::Flush => image.flush(),
        Call::Killed(_) => panic!("a kill is no call"),
    }
}

/// What a disk that fails says.
const EIO: i32 = 5;

/// A backing file full of data that names itself.
#[derive(Debug)]
pub struct Backing {
    size: u64,
}

impl Source for Backing {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> qed_core::Result<()> {
        let end = offset + buffer.len() as u64;
        let first = offset / SECTOR * SECTOR;
        let bytes = pattern(BACKING, first, end.div_ceil(SECTOR) * SECTOR - first);
        let skip = at(offset - first);
        buffer.copy_from_slice(&bytes[skip..skip + buffer.len()]);
        Ok(())
    }

    fn extent(&self, offset: u64, length: u64) -> qed_core::Result<Extent> {
        let kind = ExtentKind::Data { file_offset: Some(offset) };
        Ok(Extent { offset, length, kind, depth: 0 })
    }
}

pub fn write(offset: u64, length: u64) -> Step {
    Step::Make(Call::Write { offset, length, forced: false })
}

pub fn write_forced(offset: u64, length: u64) -> Step {
    Step::Make(Call::Write { offset, length, forced: true })
}

/// Zeroes that free whole clusters.
pub fn unmap(offset: u64, length: u64) -> Step {
    Step::Make(Call::Zeroes { offset, length, forced: false, unmap: true })
}

/// Zeroes that keep allocated clusters.
pub fn zero(offset: u64, length: u64) -> Step {
    Step::Make(Call::Zeroes { offset, length, forced: false, unmap: false })
}

pub fn discard(offset: u64, length: u64) -> Step {
    Step::Make(Call::Discard { offset, length })
}

pub fn flush() -> Step {
    Step::Make(Call::Flush)
}
