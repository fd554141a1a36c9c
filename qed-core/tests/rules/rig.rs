//! An image over a storage that records, fails, holds and calls back; its log can be explored.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use qed_core::storage::{Fault, Held, MemoryStorage, Recorder, Storage};
use qed_core::{Flags, Image, ImageSettings, Preallocation, ResizeOptions, Rule, Rules};

use qed_core::crash::guest::pattern;
use qed_core::crash::{Call, Plan, Recording, Workload};

use crate::support::judged;

pub const C: u64 = 4096;
pub const SECTOR: u64 = 512;
/// Where the part of the second L2 table begins.
pub const L2: u64 = 2 << 20;

/// Runs `scenario` under all rules, where nothing may be lost, and without `rule`, where something
/// must be: the loss that the rule prevents.
pub fn shows(rule: Rule, scenario: impl Fn(Rules) -> Result<(), String>) {
    shows_within(1, rule, scenario);
}

/// As [`shows`], for a scenario in which two threads must come in one order that nothing can hold
/// them to: without the rule it has so many chances.
pub fn shows_within(chances: u32, rule: Rule, scenario: impl Fn(Rules) -> Result<(), String>) {
    let run = |rules| {
        catch_unwind(AssertUnwindSafe(|| scenario(rules)))
            .unwrap_or_else(|_| Err("the engine contradicts itself".to_owned()))
    };
    if let Err(loss) = run(Rules::default()) {
        panic!("with every rule in force: {loss}");
    }
    let mut without = (0..chances).map(|_| run(Rules::without(rule)));
    let loss = without.find_map(Result::err).expect("without the rule nothing was lost");
    println!("without {rule:?}: {loss}");
}

/// A small image, what was done to it, and the disk below it.
pub struct Rig {
    pub fault: Arc<Fault>,
    pub recorder: Arc<Recorder>,
    memory: Arc<MemoryStorage>,
    workload: Workload,
    image: Mutex<Option<Arc<Image>>>,
    calls: Mutex<Vec<Call>>,
}

impl Rig {
    pub fn new(rules: Rules) -> Self {
        Self::over(Workload::small(Vec::new()), rules, |memory| memory)
    }

    /// Over a disk whose space cannot be punched: what is freed is reused as it is.
    pub fn without_punch(rules: Rules) -> Self {
        Self::over(Workload::small(Vec::new()), rules, MemoryStorage::without_punch)
    }

    /// Over a backing file of `backing` bytes.
    pub fn overlay(rules: Rules, backing: u64) -> Self {
        Self::over(Workload::small(Vec::new()).over(backing), rules, |memory| memory)
    }

    pub fn over(
        mut workload: Workload,
        rules: Rules,
        disk: impl Fn(MemoryStorage) -> MemoryStorage,
    ) -> Self {
        workload.settings.rules = rules;
        let bytes = workload.image();
        Self::of(workload, &disk(MemoryStorage::from_bytes(&bytes)).into())
    }

    /// Over `memory`, whatever it holds.
    pub fn of(workload: Workload, memory: &Arc<MemoryStorage>) -> Self {
        let storage: Arc<dyn Storage> = memory.clone();
        let fault = Arc::new(Fault::new(storage));
        let recorder = Arc::new(Recorder::new(fault.clone()).unwrap());
        let rig = Self {
            fault,
            recorder,
            memory: Arc::clone(memory),
            workload,
            image: Mutex::new(None),
            calls: Mutex::new(Vec::new()),
        };
        rig.reopen();
        rig
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> Vec<u8> {
        self.memory.to_bytes()
    }

    fn settings(&self) -> ImageSettings {
        self.workload.settings.clone()
    }

    /// The image, for calls that the guest does not make.
    pub fn image(&self) -> Arc<Image> {
        Arc::clone(self.image.lock().unwrap().as_ref().unwrap())
    }

    /// Opens the image; one that was open before is closed, or forgotten where [`Self::kill`] was
    /// called.
    pub fn reopen(&self) {
        let opened = self.try_open().unwrap();
        *self.image.lock().unwrap() = Some(Arc::new(opened));
    }

    pub fn try_open(&self) -> qed_core::Result<Image> {
        Image::from_storage(self.recorder.clone(), self.workload.source(), self.settings())
    }

    /// The process dies: nothing is closed.
    pub fn kill(&self) {
        std::mem::forget(self.image.lock().unwrap().take());
    }

    pub fn close(&self) {
        let image = self.image.lock().unwrap().take().unwrap();
        let image = Arc::into_inner(image).expect("nobody else holds the image");
        self.guest(Call::Flush, |_| image.close()).unwrap();
    }

    pub fn write(&self, offset: u64, length: u64) {
        self.try_write(offset, length).unwrap();
    }

    pub fn try_write(&self, offset: u64, length: u64) -> qed_core::Result<()> {
        let image = self.image();
        self.guest(Call::write(offset, length), |number| {
            image.pwrite(&pattern(number, offset, length), offset, Flags::NONE)
        })
    }

    pub fn discard(&self, offset: u64, length: u64) {
        let image = self.image();
        self.guest(Call::Discard { offset, length }, |_| image.discard(offset, length)).unwrap();
    }

    /// Resizes the disk, which may shrink.
    pub fn resize(&self, to: u64) {
        let image = self.image();
        let mut options = ResizeOptions::default();
        options.shrink = true;
        let preallocation = Preallocation::Off;
        let call = Call::Resize { from: image.size(), to, preallocation };
        self.guest(call, |_| image.resize(to, options)).unwrap();
    }

    pub fn flush(&self) {
        self.try_flush().unwrap();
    }

    pub fn try_flush(&self) -> qed_core::Result<()> {
        let image = self.image();
        self.guest(Call::Flush, |_| image.flush())
    }

    /// One thread flushes and is held; `between` is done; then another flushes. Where a rule is
    /// broken the second is through before the first is released; else it cannot be, so the first
    /// is released at once.
    pub fn race_flushes(&self, broken: bool, held: &Held, between: impl FnOnce()) {
        std::thread::scope(|scope| {
            let first = scope.spawn(|| self.flush());
            held.wait();
            between();
            let second = scope.spawn(|| self.flush());
            if broken {
                second.join().unwrap();
                held.release();
            } else {
                held.release();
                second.join().unwrap();
            }
            first.join().unwrap();
        });
    }

    fn guest(
        &self,
        call: Call,
        perform: impl FnOnce(u64) -> qed_core::Result<()>,
    ) -> qed_core::Result<()> {
        let number = {
            let mut calls = self.calls.lock().unwrap();
            calls.push(call);
            calls.len() as u64 - 1
        };
        self.recorder.begin(number);
        let result = perform(number);
        self.recorder.end(number, result.is_ok());
        result
    }

    /// Every crash of what was done so far leaves a legal state.
    pub fn judge(&self) -> Result<(), String> {
        let calls = self.calls.lock().unwrap().clone();
        let mut recording = Recording::new(self.recorder.log(), calls);
        recording.backing = self.workload.source();
        let report = judged::judge(recording, &Plan::default());
        assert!(report.judged() > 1, "nothing was explored");
        report.failures.first().map_or(Ok(()), |failure| Err(failure.to_string()))
    }

    /// The sectors of `length` bytes at `offset` are what write number `number` left there.
    pub fn reads(&self, number: u64, offset: u64, length: u64) -> Result<(), String> {
        let mut found = vec![0; usize::try_from(length).unwrap()];
        self.image().pread(&mut found, offset).map_err(|error| error.to_string())?;
        if found == pattern(number, offset, length) {
            Ok(())
        } else {
            Err(format!("{length} bytes at {offset} are not what write {number} left"))
        }
    }
}
