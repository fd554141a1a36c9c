//! Runs guest calls on an image whose storage is recorded, and has every crash state judged.
//!
//! One thread, no background work: the same steps leave the same log.

use super::disk::{Disk, at};
use super::explore::{Options, Report, explore};
use super::guest::{BACKING, Call, GuestModel, SECTOR, Value, pattern};
use super::oracle::Judge;
use super::script::fresh_image;
use super::structure::Shape;
use qed_core::source::{Source, SourceExtent};
use qed_core::storage::{Log, MemoryStorage, Recorder};
use qed_core::{Flags, Image, ImageSettings};
use std::collections::BTreeSet;
use std::mem::ManuallyDrop;
use std::sync::Arc;

/// What is done to an image.
#[derive(Clone, Debug)]
pub enum Step {
    Call(Call),
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

    /// Runs the steps; every call must succeed.
    pub fn run(&self) -> Run {
        let memory = MemoryStorage::from_bytes(&self.image()).with_atomic_unit(self.unit);
        let recorder = Arc::new(Recorder::new(Arc::new(memory)).unwrap());
        let image = ManuallyDrop::new(None);
        let mut runner = Runner { workload: self, image, recorder, calls: Vec::new() };
        runner.open();
        for step in &self.steps {
            runner.step(step);
        }
        Run { log: runner.recorder.log(), calls: runner.calls }
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

struct Runner<'a> {
    workload: &'a Workload,
    recorder: Arc<Recorder>,
    /// Never dropped: a drop closes, and whatever an end does is a step of its own.
    image: ManuallyDrop<Option<Image>>,
    calls: Vec<Call>,
}

impl Runner<'_> {
    fn open(&mut self) {
        self.recorder.mark("open");
        let storage = Arc::clone(&self.recorder);
        let settings = self.workload.settings.clone();
        let image = Image::from_storage(storage, self.workload.source(), settings);
        self.image = ManuallyDrop::new(Some(image.expect("an image that opens")));
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Call(call) => {
                let writer = self.calls.len() as u64;
                self.call(call.clone(), |image, call| perform(image, call, writer));
            }
            Step::Reopen => {
                self.recorder.mark("close");
                let image = self.image.take().expect("an open image");
                let closing = |_: Option<&Image>, _: &Call| image.close();
                self.call(Call::Flush, closing);
                self.open();
            }
            Step::Kill => {
                let number = self.calls.len() as u64;
                self.recorder.mark("kill");
                self.recorder.begin(number);
                self.open();
                let seen = self.touched();
                self.recorder.end(number, true);
                self.calls.push(Call::Killed(seen));
            }
        }
    }

    /// What the sectors that any call touched read as now.
    fn touched(&self) -> Vec<(u64, Value)> {
        let image = self.image.as_ref().expect("an open image");
        let sectors: BTreeSet<u64> = self.calls.iter().flat_map(Call::sectors).collect();
        let read = |sector: u64| {
            let mut bytes = [0; 512];
            image.pread(&mut bytes, sector * SECTOR).expect("a read");
            (sector, Value::of(sector, &bytes).expect("something that was written there"))
        };
        sectors.into_iter().map(read).collect()
    }

    /// Makes a guest call between its marks.
    fn call(
        &mut self,
        call: Call,
        perform: impl FnOnce(Option<&Image>, &Call) -> qed_core::Result<()>,
    ) {
        let number = self.calls.len() as u64;
        self.recorder.mark(&format!("call {number}: {call:?}"));
        self.recorder.begin(number);
        let result = perform(self.image.as_ref(), &call);
        self.recorder.end(number, result.is_ok());
        self.calls.push(call);
        result.expect("a call that succeeds");
    }
}

fn perform(image: Option<&Image>, call: &Call, writer: u64) -> qed_core::Result<()> {
    let image = image.expect("an open image");
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

    fn extent(&self, _: u64, length: u64) -> qed_core::Result<SourceExtent> {
        Ok(SourceExtent { length, zero: false })
    }
}

pub fn write(offset: u64, length: u64) -> Step {
    Step::Call(Call::Write { offset, length, forced: false })
}

pub fn write_forced(offset: u64, length: u64) -> Step {
    Step::Call(Call::Write { offset, length, forced: true })
}

/// Zeroes that free whole clusters.
pub fn unmap(offset: u64, length: u64) -> Step {
    Step::Call(Call::Zeroes { offset, length, forced: false, unmap: true })
}

/// Zeroes that keep allocated clusters.
pub fn zero(offset: u64, length: u64) -> Step {
    Step::Call(Call::Zeroes { offset, length, forced: false, unmap: false })
}

pub fn discard(offset: u64, length: u64) -> Step {
    Step::Call(Call::Discard { offset, length })
}

pub fn flush() -> Step {
    Step::Call(Call::Flush)
}
