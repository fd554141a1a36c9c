//! Goal: an image that a lint rewrites for another reader shows the guest the same before, after,
//! and at every crash in between; the next lint ends the work, and may crash as well.
//! Method: lints of images that are hard to read, recorded; every state is read, linted again and
//! read again, some of the second lints recorded and crashed; and lints that break a rule.

use crate::damage::{C, Damage, apply, sound};
use crate::reading::Reading;
use qed_core::crash::workload::PatternSource;
use qed_core::crash::{Medium, Plan, explore};
use qed_core::source::Source;
use qed_core::storage::{Log, MemoryStorage, Recorder, Storage};
use qed_core::{
    Image, ImageSettings, LintReport, Reader, Rule, Rules, check_storage, lint_storage,
};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Bytes of the backing file: it ends inside a cluster.
const BELOW: u64 = 30 * C + 5 * 512;

/// What is done to a sound image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// The entries of guest clusters say zeroes.
    Zero(&'static [u64]),
    /// The entry names what that of another one names.
    Shared(u64, u64),
    /// The entry names a place so many clusters behind the end.
    Dangling(u64, u64),
    /// NEED_CHECK is set.
    NeedCheck,
    /// The disk ends so early that entries lie past it.
    Short(u64),
    /// A backing file of this name, which stands at this place.
    Over(u64, &'static str),
}
use Change::{Dangling, NeedCheck, Over, Shared, Short, Zero};

/// Past the header cluster: in a cluster of its own at the end of the file.
const STRAY: u64 = 0;

/// Entries in several sectors of one table, and in others.
const ZEROES: [u64; 8] = [8, 9, 70, 140, 300, 520, 600, 1100];

const CASES: [(&str, Reader, &[Change]); 8] = [
    ("zeroes over nothing", Reader::VirtualBox, &[Zero(&ZEROES)]),
    ("zeroes over a file", Reader::Qemu, &[Over(64, "base"), Zero(&ZEROES)]),
    ("zeroes, for one without", Reader::VirtualBox, &[Over(512, "base"), Zero(&ZEROES)]),
    ("a protocol's name", Reader::Qemu, &[Over(64, "nbd:unix"), Zero(&[9, 80])]),
    ("a name past the header", Reader::Qemu, &[Over(STRAY, "base"), Zero(&[9, 80])]),
    ("entries past the end", Reader::Qemu, &[Short(2 * C + 512), Zero(&ZEROES)]),
    (
        "damage",
        Reader::Qemu,
        &[Over(64, "base"), NeedCheck, Shared(20, 0), Dangling(100, 0), Zero(&[22, 70])],
    ),
    (
        "all of it",
        Reader::Qemu,
        &[
            Over(STRAY, "nbd:1"),
            NeedCheck,
            Dangling(21, 1),
            Shared(90, 7),
            Zero(&ZEROES),
            Short(1024 * C),
        ],
    ),
];

fn made(changes: &[Change]) -> Vec<u8> {
    let mut bytes = sound();
    // Another writer was here: nobody vouches for anything.
    apply(&mut bytes, &Damage::Bit { word: 32, bit: 0 });
    let (old, end) = (Reading::new(&bytes), bytes.len() as u64);
    let place = |guest: u64| (old.word(C + 8 * (guest / 512)) / C, guest % 512);
    let word = |guest: u64| {
        let (cluster, entry) = place(guest);
        old.word(cluster * C + 8 * entry)
    };
    for change in changes {
        let mut entry = |guest: u64, word: u64| {
            let (cluster, entry) = place(guest);
            apply(&mut bytes, &Damage::Table { cluster, entry, word });
        };
        match *change {
            Zero(guests) => guests.iter().for_each(|guest| entry(*guest, 1)),
            Shared(guest, other) => entry(guest, word(other)),
            Dangling(guest, behind) => entry(guest, end + behind * C),
            NeedCheck => flag(&mut bytes, 2),
            Short(size) => put(&mut bytes, 48, &size.to_le_bytes()),
            Over(at, name) => {
                let at = if at == STRAY { bytes.len() as u64 } else { at };
                flag(&mut bytes, 1);
                put(&mut bytes, 56, &u32::try_from(at).unwrap().to_le_bytes());
                put(&mut bytes, 60, &u32::try_from(name.len()).unwrap().to_le_bytes());
                let end = (at + name.len() as u64).next_multiple_of(C).max(bytes.len() as u64);
                bytes.resize(usize::try_from(end).unwrap(), 0);
                put(&mut bytes, at, name.as_bytes());
            }
        }
    }
    bytes
}

fn flag(bytes: &mut [u8], flag: u8) {
    bytes[16] |= flag;
}

fn put(bytes: &mut [u8], at: u64, new: &[u8]) {
    let at = usize::try_from(at).unwrap();
    bytes[at..at + new.len()].copy_from_slice(new);
}

/// What the guest reads of each cluster of its disk, and what the backing file is called. A cluster
/// whose entry is bad reads as an error.
#[derive(Debug, PartialEq, Eq)]
struct Guest {
    clusters: Vec<Option<Vec<u8>>>,
    named: Option<String>,
}

fn guest(storage: Arc<dyn Storage>) -> Result<Guest, String> {
    let settings = ImageSettings { read_only: true, background: false, ..ImageSettings::default() };
    let told = |error: qed_core::Error| format!("opening: {error}");
    let backing = Arc::new(PatternSource::new(BELOW)) as Arc<dyn Source>;
    let looked = Image::from_storage(storage.clone(), None, settings.clone()).map_err(told)?;
    let backed = looked.info().map_err(told)?.backing;
    let backing = backed.as_ref().map(|_| backing);
    let image = Image::from_storage(storage, backing, settings).map_err(told)?;
    let read = |cluster: u64| {
        let length = (image.size() - cluster * C).min(C);
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        image.pread(&mut bytes, cluster * C).ok().map(|()| bytes)
    };
    let clusters = (0..image.size().div_ceil(C)).map(read).collect();
    let named = backed.map(|named| String::from_utf8(named.name).unwrap());
    Ok(Guest { clusters, named })
}

fn fix(storage: &Arc<dyn Storage>, reader: Reader, rules: Rules) -> Result<LintReport, String> {
    let go_on = &mut |_, _| ControlFlow::Continue(());
    lint_storage(storage, reader, true, rules, go_on).map_err(|error| format!("a lint: {error}"))
}

fn recorded(
    bytes: &[u8],
    reader: Reader,
    unit: u64,
    rules: Rules,
) -> Result<(Log, LintReport), String> {
    let memory = Arc::new(MemoryStorage::from_bytes(bytes).with_atomic_unit(unit));
    let recorder = Arc::new(Recorder::new(memory as Arc<dyn Storage>).unwrap());
    let storage: Arc<dyn Storage> = recorder.clone();
    let report = fix(&storage, reader, rules)?;
    Ok((recorder.log(), report))
}

/// The same disk: each cluster that could be read reads as it did, and the file below is the same.
fn same(found: &Guest, first: &Guest) -> Result<(), String> {
    let file =
        |guest: &Guest| guest.named.as_ref().map(|name| name.trim_start_matches("./").to_owned());
    if file(found) != file(first) {
        return Err(format!("the backing file is called {:?}", found.named));
    }
    if found.clusters.len() != first.clusters.len() {
        return Err("the disk has another size".into());
    }
    let pairs = found.clusters.iter().zip(&first.clusters);
    let differs =
        |(found, first): (&Option<Vec<u8>>, &Option<Vec<u8>>)| first.is_some() && found != first;
    match pairs.into_iter().position(differs) {
        Some(cluster) => Err(format!("guest cluster {cluster} reads differently")),
        None => Ok(()),
    }
}

/// What a state owes to the guest who saw `first`, as it lies there and linted again.
fn judge(first: &Guest, reader: Reader, state: &[u8]) -> Result<(), String> {
    let storage = Arc::new(MemoryStorage::from_bytes(state));
    same(&guest(storage.clone())?, first)?;
    let file: Arc<dyn Storage> = storage.clone();
    let report = fix(&file, reader, Rules::default())?;
    if let Some(left) = report.findings.iter().find(|finding| finding.fixable) {
        return Err(format!("not mended: {left}"));
    }
    let after = guest(storage.clone())?;
    same(&after, first)?;
    if after.clusters.iter().any(Option::is_none) {
        return Err("an address reads an error".into());
    }
    let checked = check_storage(&*storage).map_err(|error| error.to_string())?;
    if !checked.is_clean() || !Reading::new(&storage.to_bytes()).is_sound() {
        return Err(format!("not sound: {checked:?}"));
    }
    let once = storage.to_bytes();
    fix(&file, reader, Rules::default())?;
    if storage.to_bytes() == once { Ok(()) } else { Err("a second lint changes the file".into()) }
}

/// Judges all states of a lint, and of the lints of some of its states to a depth.
fn crash(first: &Guest, reader: Reader, log: &Log, depth: usize) -> Result<usize, String> {
    let unit = log.limits.atomic_unit;
    let plan = match depth {
        0 => Plan { full: 4, torn_full: 3, samples: 8, failures: 1, unit, ..Plan::default() },
        _ => Plan { full: 7, torn_full: 5, samples: 60, failures: 1, unit, ..Plan::default() },
    };
    let mut judged = 0;
    let report = explore(log, &[], &plan, |medium: &Medium, _| {
        let state = medium.bytes(0, medium.length());
        judged += 1;
        judge(first, reader, &state)?;
        if depth > 0 && medium.digest().is_multiple_of(8) {
            let (log, _) = recorded(&state, reader, unit, Rules::default())?;
            crash(first, reader, &log, depth - 1)?;
        }
        Ok(())
    });
    match report.failures.first() {
        Some(failure) => Err(format!("{failure}")),
        None => Ok(judged),
    }
}

#[test]
fn a_lint_may_crash_anywhere_and_so_may_the_next() {
    let mut judged = 0;
    for (name, reader, changes) in CASES {
        let bytes = made(changes);
        let first = guest(Arc::new(MemoryStorage::from_bytes(&bytes))).unwrap();
        assert_eq!(first.named.is_some(), changes.iter().any(|c| matches!(c, Over(..))), "{name}");
        for unit in [512, 4096] {
            let (log, report) = recorded(&bytes, reader, unit, Rules::default()).unwrap();
            assert!(!report.fixed.is_empty(), "{name}: nothing to mend");
            judged +=
                crash(&first, reader, &log, 1).unwrap_or_else(|what| panic!("{name}: {what}"));
        }
    }
    println!("{judged} states");
    assert!(judged > 200, "only {judged} states");
}

#[test]
fn a_lint_without_a_rule_is_noticed() {
    // Goal: the states above are those that the rules are about. Method: each rule broken in turn.
    for rule in [Rule::SwitchAfterSync, Rule::LengthIsData] {
        let noticed = CASES.iter().any(|(_, reader, changes)| {
            let bytes = made(changes);
            let first = guest(Arc::new(MemoryStorage::from_bytes(&bytes))).unwrap();
            let (log, _) = recorded(&bytes, *reader, 512, Rules::without(rule)).unwrap();
            crash(&first, *reader, &log, 0).is_err()
        });
        assert!(noticed, "{rule:?} is not missed");
    }
}
