//! Goal: a crash at any point of a repair, and of the repair after that crash, costs nothing: the
//! next repair leaves a sound image, every cluster that a good entry named reads as it did before
//! the first one, and the undo file takes everything back.
//! Method: repairs of damaged images recorded, every state judged by repairing it, some of them
//! recorded and crashed again; and repairs that break a rule, which this notices.

use crate::damage::{C, Damage, apply, sound};
use crate::reading::Reading;
use qed_core::crash::{Medium, Plan, Random, explore};
use qed_core::storage::{
    Limits, Log, MemoryStorage, Recorder, Storage, StoredExtent, Undo, WriteFlags, restore,
};
use qed_core::{CheckOptions, Repair, Rule, Rules, check_storage_with};
use std::io::{self, IoSlice, IoSliceMut};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

/// What is done to a sound image: its L1 table is cluster 1, its first L2 table stands where the
/// first L1 entry says.
const CASES: [(&str, &[(Place, Place)]); 10] = [
    (
        "entries that name nothing",
        &[(L2(0, 5), Raw(1 << 40)), (L2(0, 6), Raw(77)), (L1(9), Raw(1))],
    ),
    (
        "entries into header and L1",
        &[(L2(0, 5), Raw(0x1000)), (L2(1, 3), Raw(0x1000)), (L1(9), Raw(0x1000))],
    ),
    (
        "clusters named twice",
        &[(L2(0, 100), Of(0, 0)), (L2(0, 101), Of(0, 0)), (L2(1, 9), Of(0, 3))],
    ),
    ("a table named twice", &[(L1(5), Table(0)), (L1(6), Table(1))]),
    ("a table claimed as data", &[(L2(1, 40), Table(0)), (L2(0, 300), Raw(1 << 30))]),
    ("a table claimed twice", &[(L2(1, 40), Table(0)), (L2(2, 41), Table(0))]),
    ("tables that claim each other", &[(L2(0, 40), Table(1)), (L2(1, 40), Table(0))]),
    ("data that is a table", &[(L1(5), Of(0, 0)), (L1(6), Of(1, 1))]),
    (
        "copies, and entries into their space",
        &[
            (L2(0, 100), Of(0, 0)),
            (L2(1, 101), Of(0, 3)),
            (L2(0, 200), Past(0)),
            (L2(2, 7), Past(1)),
        ],
    ),
    (
        "entries into the space that copies take",
        &[
            (L2(0, 100), Of(0, 0)),
            (L2(0, 101), Of(0, 3)),
            (L2(1, 40), Table(0)),
            (L2(0, 200), Past(0)),
            (L2(0, 201), Past(1)),
            (L2(0, 202), Past(2)),
        ],
    ),
];

const VOUCHED: u64 = 1 << 32;
const NEED_CHECK: u64 = 2;

/// A place in the image: an entry, or what is put there.
#[derive(Clone, Copy, Debug)]
enum Place {
    L1(u64),
    L2(u64, u64),
    Raw(u64),
    Table(u64),
    /// What an L2 entry names.
    Of(u64, u64),
    /// The cluster so far behind the end of the file.
    Past(u64),
}
use Place::{L1, L2, Of, Past, Raw, Table};

fn damaged(changes: &[(Place, Place)]) -> Vec<u8> {
    let mut bytes = sound();
    // Another writer was here: nobody vouches for anything, and something may be wrong.
    apply(&mut bytes, &Damage::Bit { word: 32, bit: 0 });
    apply(&mut bytes, &Damage::Bit { word: 16, bit: NEED_CHECK });
    let old = Reading::new(&bytes);
    let end = bytes.len() as u64;
    let word = |place| match place {
        Raw(word) => word,
        Table(table) | L1(table) => old.word(C + 8 * table),
        Of(table, entry) | L2(table, entry) => old.word(old.word(C + 8 * table) + 8 * entry),
        Past(cluster) => end + cluster * C,
    };
    for (place, new) in changes {
        let (cluster, entry) = match *place {
            L1(entry) => (1, entry),
            L2(table, entry) => (old.word(C + 8 * table) / C, entry),
            other => panic!("{other:?} is no entry"),
        };
        apply(&mut bytes, &Damage::Table { cluster, entry, word: word(*new) });
    }
    bytes
}

fn options(rules: Rules) -> CheckOptions {
    let mut how = CheckOptions::default();
    (how.repair, how.rules) = (Some(Repair::All), rules);
    how
}

fn repair(storage: Arc<dyn Storage>, rules: Rules) -> Result<(), String> {
    let report =
        check_storage_with(storage, &options(rules), &mut |_, _| ControlFlow::Continue(()));
    let report = report.map_err(|error| format!("repairing: {error}"))?;
    if report.is_clean() { Ok(()) } else { Err(format!("not clean: {report:?}")) }
}

fn recorded(bytes: &[u8], unit: u64, rules: Rules) -> Result<(Log, Vec<u8>), String> {
    let memory = Arc::new(MemoryStorage::from_bytes(bytes).with_atomic_unit(unit));
    let recorder = Arc::new(Recorder::new(memory.clone() as Arc<dyn Storage>).unwrap());
    repair(recorder.clone(), rules)?;
    Ok((recorder.log(), memory.to_bytes()))
}

/// What a state owes, by what the first image was.
fn judge(first: &[u8], state: &[u8]) -> Result<(), String> {
    let found = Reading::new(state);
    if found.word(32) & VOUCHED != 0 && !found.is_sound() {
        return Err("the tables are vouched for, and damaged".into());
    }
    let storage = Arc::new(MemoryStorage::from_bytes(state));
    repair(storage.clone(), Rules::default())?;
    let (old, new) = (Reading::new(first), Reading::new(&storage.to_bytes()));
    if !new.is_sound() || new.word(16) & NEED_CHECK != 0 || new.word(32) != VOUCHED {
        return Err("repaired, and not sound".into());
    }
    for cluster in old.clusters() {
        if old.content(cluster) != new.content(cluster) {
            return Err(format!("guest cluster {cluster} reads differently"));
        }
    }
    // What was not mapped, or not to be believed, is not there afterwards either; from a table that
    // nothing may be changed in, at worst as zeroes.
    let known: Vec<u64> = old.clusters().collect();
    let shows = |cluster: &u64| {
        let data = new.content(*cluster).is_some_and(|c| c.iter().any(|byte| *byte != 0));
        data || !old.has_claimed_tables()
    };
    match new.clusters().find(|cluster| !known.contains(cluster) && shows(cluster)) {
        Some(cluster) => Err(format!("guest cluster {cluster} came from nowhere")),
        None => Ok(()),
    }
}

fn content(medium: &Medium) -> Vec<u8> {
    medium.bytes(0, medium.length())
}

/// Judges all states of a repair, and of the repairs of some of its states to a depth.
fn crash(
    first: &[u8],
    bytes: &[u8],
    unit: u64,
    depth: usize,
    rules: Rules,
) -> Result<usize, String> {
    let (log, _) = recorded(bytes, unit, rules)?;
    let plan = match depth {
        0 => Plan { full: 5, torn_full: 4, samples: 12, failures: 1, unit, ..Plan::default() },
        _ => Plan { full: 8, torn_full: 6, samples: 150, failures: 1, unit, ..Plan::default() },
    };
    let mut judged = 0;
    let report = explore(&log, &[], &plan, |medium, _| {
        let state = content(medium);
        judged += 1;
        judge(first, &state)?;
        if depth > 0 && medium.digest().is_multiple_of(7) {
            crash(first, &state, unit, depth - 1, Rules::default())?;
        }
        Ok(())
    });
    match report.failures.first() {
        Some(failure) => Err(format!("{failure}")),
        None => Ok(judged),
    }
}

#[test]
fn a_repair_may_crash_anywhere_and_so_may_the_next() {
    let mut judged = 0;
    for (name, changes) in CASES {
        let bytes = damaged(changes);
        assert!(!Reading::new(&bytes).is_sound(), "{name}");
        let unit = if name.len().is_multiple_of(2) { 512 } else { 4096 };
        judged += crash(&bytes, &bytes, unit, 1, Rules::default())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert!(judged > 300, "{judged} states");
}

#[test]
fn repairs_of_random_damage_may_crash_anywhere() {
    // `QED_CRASH_SEEDS=from..to` judges others.
    let asked = std::env::var("QED_CRASH_SEEDS").unwrap_or_else(|_| "0..12".into());
    let (first, last) = asked.split_once("..").unwrap();
    for seed in first.parse::<u64>().unwrap()..last.parse().unwrap() {
        let mut random = Random::new(seed);
        let mut bytes = damaged(&[]);
        for _ in 0..2 + random.below(6) {
            let mut below = |limit: usize| random.below(limit) as u64;
            let (cluster, entry, target) = (1 + below(4), below(30), below(30));
            apply(&mut bytes, &Damage::Table { cluster, entry, word: target * C });
        }
        crash(&bytes, &bytes, 512, 0, Rules::default())
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

#[test]
fn a_repair_without_a_rule_is_noticed() {
    // Goal: the states above are those that the rules are about. Method: each rule broken, in a
    // repair of a damaged image or of what a killed process left.
    let damaged_by = |rule| {
        CASES.iter().any(|(_, changes)| {
            let bytes = damaged(changes);
            crash(&bytes, &bytes, 512, 0, Rules::without(rule)).is_err()
        })
    };
    for rule in [
        Rule::RepairBeforeGrowth,
        Rule::OrderedEntries,
        Rule::SwitchAfterSync,
        Rule::ClaimedTablesStay,
        Rule::NewSpaceIsNotNamed,
    ] {
        assert!(damaged_by(rule), "{rule:?} is not missed");
    }
    assert!(cut_behind_a_killed_process(Rules::default()).is_ok());
    let without = cut_behind_a_killed_process(Rules::without(Rule::FirstSync));
    assert!(without.unwrap_err().contains("damaged"), "FirstSync is not missed");
}

/// Goal: C1: what a killed process wrote is no reason to cut anything off before it is stable.
/// Method: the entry of the last cluster is cleared, not synced; then comes the repair.
fn cut_behind_a_killed_process(rules: Rules) -> Result<(), String> {
    let bytes = sound();
    let old = Reading::new(&bytes);
    let end = bytes.len() as u64;
    let table = old.word(C + 16);
    let last = (0..512).map(|entry| table + 8 * entry).find(|at| old.word(*at) == end - C);
    let last = last.ok_or("the last cluster is not the last table's")?;
    let memory = Arc::new(MemoryStorage::from_bytes(&bytes));
    let recorder = Arc::new(Recorder::new(memory as Arc<dyn Storage>).unwrap());
    recorder.write(&[IoSlice::new(&[0; 8])], last, WriteFlags::default()).unwrap();
    repair(recorder.clone(), rules)?;
    assert!(recorder.len().unwrap() < end, "it was given back");
    let plan = Plan { failures: 1, ..Plan::default() };
    let report = explore(&recorder.log(), &[], &plan, |medium, _| {
        let sound = Reading::new(&content(medium)).is_sound();
        if sound { Ok(()) } else { Err("damaged".into()) }
    });
    report.failures.first().map_or(Ok(()), |failure| Err(failure.to_string()))
}

/// A journal that remembers what was stable in it when, on the image's clock.
#[derive(Debug)]
struct Clocked {
    inner: MemoryStorage,
    image: Arc<Recorder>,
    stable: Mutex<Vec<(usize, Vec<u8>)>>,
}

impl Storage for Clocked {
    fn limits(&self) -> Limits {
        self.inner.limits()
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn read(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        self.inner.read(buffers, offset)
    }
    fn write(&self, buffers: &[IoSlice<'_>], offset: u64, flags: WriteFlags) -> io::Result<()> {
        self.inner.write(buffers, offset, flags)
    }
    fn zero_range(&self, offset: u64, length: u64) -> io::Result<()> {
        self.inner.zero_range(offset, length)
    }
    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        self.inner.punch(offset, length)
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.inner.set_len(length)
    }
    fn sync(&self) -> io::Result<()> {
        let now = self.image.log().events.len();
        self.stable.lock().unwrap().push((now, self.inner.to_bytes()));
        Ok(())
    }
    fn stored_extent(&self, offset: u64, length: u64) -> io::Result<StoredExtent> {
        self.inner.stored_extent(offset, length)
    }
    fn disk_usage(&self) -> io::Result<u64> {
        self.inner.disk_usage()
    }
}

#[test]
fn the_undo_file_takes_back_a_repair_that_crashed_anywhere() {
    // Goal: image and undo file together. Method: one clock for both; every state of the image with
    // what was stable in the journal at that moment, and nothing more.
    for (name, changes) in CASES {
        let bytes = damaged(changes);
        let memory = Arc::new(MemoryStorage::from_bytes(&bytes)) as Arc<dyn Storage>;
        let image = Arc::new(Recorder::new(memory).unwrap());
        let journal = Arc::new(Clocked {
            inner: MemoryStorage::new(),
            image: Arc::clone(&image),
            stable: Mutex::new(Vec::new()),
        });
        let undo = Arc::new(Undo::new(image.clone(), journal.clone()).unwrap());
        repair(undo.clone(), Rules::default()).unwrap();
        undo.finish().unwrap();
        let stable = journal.stable.lock().unwrap();
        let plan = Plan { full: 7, samples: 100, failures: 1, ..Plan::default() };
        let report = explore(&image.log(), &[], &plan, |medium, t| {
            let kept = stable.iter().rev().find(|(when, _)| *when <= t);
            let (_, kept) = kept.ok_or("the journal was not there")?;
            let file = MemoryStorage::from_bytes(&content(medium));
            let done = restore(&file, Arc::new(MemoryStorage::from_bytes(kept)));
            done.map_err(|error| format!("undoing: {error}"))?;
            if file.to_bytes() == bytes { Ok(()) } else { Err("not what it was".to_owned()) }
        });
        if let Some(failure) = report.failures.first() {
            panic!("{name}: {failure}");
        }
        assert!(stable.len() > 2, "{name}");
    }
}
