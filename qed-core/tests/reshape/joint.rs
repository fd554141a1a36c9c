//! Two files that are written by one program, and what a power cut may leave of the pair.
//!
//! Each file is recorded by itself; a decorator notes how far both records are around every call,
//! so that the moments of the two can be told against each other. A pair of states is legal if
//! there is a moment at which each of them is.

use qed_core::crash::{Explorer, Medium, Plan, digest};
use qed_core::storage::{Limits, Log, Recorder, Storage, StoredExtent, WriteFlags};
use std::collections::HashSet;
use std::io::{self, IoSlice, IoSliceMut};
use std::sync::{Arc, Mutex};

/// How many events both records hold, one moment after the other.
type Moments = Mutex<Vec<(usize, usize)>>;

/// Two recorded files.
pub struct Two {
    pub first: Arc<Beside>,
    pub second: Arc<Beside>,
    moments: Arc<Moments>,
}

/// One of them.
#[derive(Debug)]
pub struct Beside {
    recorder: Arc<Recorder>,
    both: [Arc<Recorder>; 2],
    moments: Arc<Moments>,
    /// Syncs do nothing: for a program without that order.
    pub ignores_syncs: bool,
}

impl Two {
    pub fn new(first: Arc<dyn Storage>, second: Arc<dyn Storage>, second_syncs: bool) -> Self {
        let [first, second] = [first, second].map(|file| Arc::new(Recorder::new(file).unwrap()));
        let both = [first, second];
        let moments = Arc::new(Mutex::new(vec![(0, 0)]));
        let beside = |which: usize, ignores_syncs| {
            let (recorder, moments) = (Arc::clone(&both[which]), Arc::clone(&moments));
            Arc::new(Beside { recorder, both: both.clone(), moments, ignores_syncs })
        };
        let (first, second) = (beside(0, false), beside(1, !second_syncs));
        Self { first, second, moments }
    }

    /// Judges every legal pair of the states that `plan` walks; gives the number of pairs.
    pub fn judge(
        &self,
        plan: &Plan,
        mut judge: impl FnMut(&Medium, &Medium) -> Result<(), String>,
    ) -> Result<usize, String> {
        let states = [&self.first, &self.second].map(|file| states(&file.recorder.log(), plan));
        let moments = self.moments.lock().unwrap();
        let mut judged = HashSet::new();
        for one in &states[0] {
            for two in &states[1] {
                let meet = |(a, b): &(usize, usize)| one.legal_at(*a) && two.legal_at(*b);
                let pair = (one.medium.digest(), two.medium.digest());
                if moments.iter().any(meet) && judged.insert(pair) {
                    judge(&one.medium, &two.medium)?;
                }
            }
        }
        Ok(judged.len())
    }
}

/// A state of one file, and from when to when it is legal.
struct State {
    medium: Medium,
    from: usize,
    to: usize,
}

impl State {
    fn legal_at(&self, event: usize) -> bool {
        (self.from..=self.to).contains(&event)
    }
}

fn states(log: &Log, plan: &Plan) -> Vec<State> {
    let explorer = Explorer::new(log, &[], plan.clone());
    let whole = explorer.whole();
    let of_window = |window: usize| {
        explorer.with_states(window, &whole, |state| State {
            from: state.t,
            to: state.frame.window.last,
            medium: state.medium,
        })
    };
    (0..explorer.windows().len()).flat_map(of_window).collect()
}

impl Beside {
    /// Makes a call, and notes where the records are before it, in its midst and behind it.
    fn noted(&self, call: impl FnOnce(&Recorder) -> io::Result<()>) -> io::Result<()> {
        let note = || {
            let [a, b] = self.both.clone().map(|file| file.log().events.len());
            self.moments.lock().unwrap().push((a, b));
            (a, b)
        };
        let before = note();
        let done = call(&self.recorder);
        let after = note();
        let midst = ((before.0 + after.0) / 2, (before.1 + after.1) / 2);
        self.moments.lock().unwrap().push(midst);
        done
    }
}

impl Storage for Beside {
    fn limits(&self) -> Limits {
        self.recorder.limits()
    }
    fn len(&self) -> io::Result<u64> {
        self.recorder.len()
    }
    fn read(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        self.recorder.read(buffers, offset)
    }
    fn write(&self, buffers: &[IoSlice<'_>], offset: u64, flags: WriteFlags) -> io::Result<()> {
        self.noted(|file| file.write(buffers, offset, flags))
    }
    fn zero_range(&self, offset: u64, length: u64) -> io::Result<()> {
        self.noted(|file| file.zero_range(offset, length))
    }
    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        self.noted(|file| file.punch(offset, length))
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.noted(|file| file.set_len(length))
    }
    fn sync(&self) -> io::Result<()> {
        if self.ignores_syncs { Ok(()) } else { self.noted(|file| file.sync()) }
    }
    fn stored_extent(&self, offset: u64, length: u64) -> io::Result<StoredExtent> {
        self.recorder.stored_extent(offset, length)
    }
    fn disk_usage(&self) -> io::Result<u64> {
        self.recorder.disk_usage()
    }
}

/// The first difference of what is read from what should be, in words.
pub fn compare(found: &[u8], expected: &[u8]) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let at = found.iter().zip(expected).position(|(one, two)| one != two);
    let sector = at.unwrap_or(found.len().min(expected.len())) / 512;
    let digests = [found, expected].map(digest);
    Err(format!(
        "{} and {} bytes differ at sector {sector}: {digests:x?}",
        found.len(),
        expected.len()
    ))
}
