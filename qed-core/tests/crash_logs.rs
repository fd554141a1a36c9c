//! Logs as files, and logs recorded from QEMU's drivers: what the explorer finds in them.
//!
//! `tests/data/crash/record.py` made the recordings; they are judged by the same oracles as
//! libqed's own runs, those of qcow2 by QEMU's tools.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

#[path = "support/qemu.rs"]
mod qemu;
#[path = "support/recorded.rs"]
mod recorded;
mod support;

use qed_core::Format;
use qed_core::crash::log::{Entries, Leniency, LoadOptions, flags, load, parse_workload, save};
use qed_core::crash::oracle::{Qemu, by_name, subject_by_qemu};
use qed_core::crash::report::Barrier;
use qed_core::crash::workload::{Shape, generate};
use qed_core::crash::{
    Call, Explorer, Medium, Panel, Plan, Recording, Report, Step, Subject, Workload, Writer,
};
use qed_core::storage::{Event, Log, Operation};
use qemu::has_tools;
use recorded::{data, recorded};
use std::sync::Arc;
use support::script::{Script, sectors, write};

fn judge(recording: Recording, oracles: &[&str]) -> Report {
    let subject = Subject::new(recording).unwrap();
    let explorer = Explorer::new(&subject.recording.log, &subject.boundaries(), Plan::default());
    let mut panel = Panel::new(&subject, by_name(oracles).unwrap());
    explorer.run(&explorer.whole(), &mut panel).unwrap()
}

const BY_US: [&str; 5] = ["structure", "no-foreign-data", "durable", "recovery", "life-goes-on"];

fn operation(log: &Log, id: u64) -> &Operation {
    let found = log.events.iter().find_map(|event| match event {
        Event::Issued { id: other, operation } if *other == id => Some(operation),
        _ => None,
    });
    found.unwrap()
}

#[test]
fn d05_is_found_in_qemus_log_and_shrunk_to_one_write() {
    // Goal: D5 with its barrier. Method: an allocating write as QEMU does it: the header with
    // NEED_CHECK, data, L2 entry, and no sync between the first and the last.
    let recording = recorded("qed");
    let log = recording.log.clone();
    let report = judge(recording, &BY_US);
    let failure = report.failures.first().expect("D5");
    assert_eq!(failure.finding.oracle, "structure", "{failure}");
    assert_eq!(failure.deviation(), 1, "{failure}");
    assert!(report.judged() <= 12, "found as state {}", report.judged());
    let Barrier::Between { lost, early } = &failure.barrier else { panic!("{failure}") };
    // Either the flag or the data (which makes the file long enough) would have had to be there.
    assert_eq!((lost.len(), early.len()), (2, 1), "{failure}");
    let Operation::Write { offset: 0, .. } = operation(&log, lost[0]) else { panic!("{failure}") };
    let Operation::Write { offset, .. } = operation(&log, early[0]) else { panic!("{failure}") };
    assert_eq!(*offset, 16384, "the L2 table: {failure}");
    assert!(failure.to_string().contains("a sync is missing here"), "{failure}");
}

#[test]
fn d05_loses_flushed_data_when_life_goes_on() {
    // Goal: what comes of D5. Method: QEMU itself opens the states and writes on.
    if !has_tools(&["qemu-img", "qemu-io"]) {
        return;
    }
    let subject = Subject::new(recorded("qed")).unwrap();
    let report = by_tools(&subject, Plan::default(), Qemu { repair: false, ..Qemu::default() });
    let failure = report.failures.first().expect("D5");
    assert_eq!(failure.writes.len(), 1, "{failure}");
    assert!(failure.finding.what.contains("qemu-img check"), "{failure}");
}

/// Judged by QEMU's tools.
fn by_tools(subject: &Subject, plan: Plan, qemu: Qemu) -> Report {
    let explorer = Explorer::new(&subject.recording.log, &subject.boundaries(), plan);
    let mut panel = Panel::new(subject, vec![Arc::new(qemu)]);
    explorer.run(&explorer.whole(), &mut panel).unwrap()
}

#[test]
fn d04_is_found_in_qemus_log_by_what_the_guest_reads() {
    let report = judge(recorded("qed-zeroes-over-backing"), &BY_US);
    let failure = report.failures.first().expect("D4");
    assert_eq!(failure.finding.oracle, "no-foreign-data", "{failure}");
    assert!(failure.finding.what.contains("legal: zeroes"), "{failure}");
}

#[test]
fn qed_over_a_backing_file_has_no_failure() {
    let report = judge(recorded("qed-over-backing"), &BY_US);
    assert!(report.failures.is_empty(), "{}", report.failures[0]);
    assert!(report.judged() > 80, "{report}");
}

fn by_qemu(name: &str, plan: Plan) -> Report {
    let mut recording = recorded(name);
    recording.format = Format::Qcow2;
    let subject = subject_by_qemu(recording, &Qemu::default()).unwrap();
    by_tools(&subject, plan, Qemu::default())
}

#[test]
fn qcow2_with_lazy_refcounts_is_found_to_lose_data() {
    if !has_tools(&["qemu-img", "qemu-io"]) {
        return;
    }
    let report = by_qemu("qcow2-lazy", Plan::default());
    let failure = report.failures.first().expect("the failure of lazy refcounts");
    assert_eq!(failure.writes.len(), 1, "{failure}");
    assert!(matches!(failure.barrier, Barrier::Between { .. }), "{failure}");
}

#[test]
fn qcow2_has_no_failure() {
    if !has_tools(&["qemu-img", "qemu-io"]) {
        return;
    }
    let report = by_qemu("qcow2", Plan { full: 6, samples: 10, ..Plan::default() });
    assert!(report.failures.is_empty(), "{}", report.failures[0]);
    assert!(report.judged() > 30, "{report}");
}

fn same(one: &Log, other: &Log) {
    assert_eq!(one.events, other.events);
    assert_eq!((&one.base, one.limits), (&other.base, other.limits));
}

#[test]
fn our_own_logs_come_back_with_everything() {
    // Goal: save, then load is lossless. Method: generated runs with faults and calls inside
    // others, and every kind of operation, in sectors of either size.
    let mut logs: Vec<(Log, Vec<Call>)> = Vec::new();
    for (seed, shape) in (0..12).zip(Shape::ALL.into_iter().cycle()) {
        let recording = generate(shape, seed).record().unwrap();
        logs.push((recording.log, recording.calls));
    }
    let mut script = Script::sectors(&[1, 2, 3]);
    script.write(5, b"not a sector");
    script.set_sectors(9);
    script.set_sectors(2);
    script.punch_sectors(0, 1);
    script.run(Operation::ZeroRange { offset: 3, length: 700 });
    script.run(write(512, &sectors(&[7]), true));
    script.run(write(0, &[], false));
    let failed = script.issue(write(0, &sectors(&[8]), false));
    script.fail(failed);
    script.issue(Operation::Sync);
    script.issue(write(512, &sectors(&[9]), false));
    let calls = vec![Call::write_bytes(3, &[7; 900], true), Call::write_bytes(3, b"abc", false)];
    logs.push((script.log(), calls));
    for (log, calls) in &logs {
        for sector_size in [512, 4096] {
            let recording = Recording::new(log.clone(), calls.clone());
            let bytes = save(&recording, sector_size).unwrap();
            let loaded = load(&bytes, &LoadOptions::default()).unwrap();
            same(&loaded.log, log);
            assert_eq!(&loaded.calls, calls);
            assert!(loaded.own && loaded.missing.is_none());
        }
    }
}

#[test]
fn a_foreign_log_stays_foreign_when_it_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("saved.log");
    let mut recording = recorded("qcow2");
    recording.format = Format::Qcow2;
    recording.save(&path, 512).unwrap();
    let again = Recording::load(&path, &LoadOptions::default()).unwrap();
    assert_eq!((again.writer, again.format), (Writer::Foreign, Format::Qcow2));
    assert_eq!(again.calls, recording.calls);
    same(&again.log, &recording.log);
}

#[test]
fn others_replay_our_logs_to_the_same_content() {
    // Goal: the file is a valid log for those that know no marks of ours. Method: its entries are
    // replayed as any tool does, and compared with the content after the run.
    for seed in 0..6 {
        let recording = generate(Shape::Plain, seed).record().unwrap();
        let bytes = save(&recording, 512).unwrap();
        let entries = Entries::decode(&bytes, Leniency::default()).unwrap();
        let mut replayed = Medium::default();
        for entry in &entries.entries {
            let (offset, length) = (entry.head.sector * 512, entry.head.sectors * 512);
            match entry.head.flags & (flags::DISCARD | flags::MARK) {
                0 => replayed.write(offset, &bytes[entry.payload.clone()]),
                flags::DISCARD => replayed.zero(offset, length),
                _ => {}
            }
        }
        let explorer = Explorer::new(&recording.log, &[], Plan::default());
        let last = explorer.frame(explorer.windows().len() - 1);
        let all = qed_core::crash::states::State::prefix(last.choices.len());
        let ran = last.medium(&all);
        replayed.set_length(ran.length());
        replayed.cut();
        assert_eq!(replayed.digest(), ran.digest(), "seed {seed}");
    }
}

#[test]
fn a_log_that_is_cut_off_is_refused_or_read_as_far_as_it_goes() {
    let bytes = std::fs::read(data("qed.log")).unwrap();
    let whole = load(&bytes, &LoadOptions::default()).unwrap();
    let lenient = Leniency { lenient: true, sector_size: None };
    let leniently = LoadOptions { leniency: lenient, ..LoadOptions::default() };
    let strict = |bytes: &[u8]| load(bytes, &LoadOptions::default()).map(|loaded| loaded.log);
    let mut killed = bytes.clone();
    killed[..512].fill(0);
    assert!(strict(&killed).unwrap_err().to_string().contains("superblock is empty"));
    let loaded = load(&killed, &leniently).unwrap();
    assert_eq!(loaded.log.events, whole.log.events);
    assert!(loaded.missing.unwrap().contains("superblock"));
    let cut = &bytes[..bytes.len() - 100];
    assert!(strict(cut).unwrap_err().to_string().contains("cut off"));
    let loaded = load(cut, &leniently).unwrap();
    assert!(loaded.log.events.len() < whole.log.events.len() && loaded.missing.is_some());
    for (place, value) in [(0, 1), (8, 2), (24, 100), (512 + 16, 64), (512 + 7, 255)] {
        let mut broken = bytes.clone();
        broken[place] = value;
        strict(&broken).unwrap_err();
    }
    strict(&[]).unwrap_err();
}

#[test]
fn workloads_for_foreign_logs_are_checked() {
    assert!(parse_workload("5 flush\n3 flush\n").is_err());
    assert!(parse_workload("flush\n").is_err());
    let bytes = std::fs::read(data("qed.log")).unwrap();
    let options = LoadOptions { workload: vec![(Call::Flush, 1000)], ..LoadOptions::default() };
    assert!(load(&bytes, &options).unwrap_err().to_string().contains("ends behind entry 1000"));
}

#[test]
fn qemus_tools_find_nothing_wrong_with_libqed() {
    // Goal: QEMU opens, checks, reads and writes on in states that libqed leaves. Method: a short
    // run, its states as files.
    if !has_tools(&["qemu-img", "qemu-io"]) {
        return;
    }
    let steps = vec![Step::write(0, 4096), Step::flush(), Step::write(4096, 512), Step::flush()];
    let mut workload = Workload::small(steps);
    // QEMU cannot open tables of one cluster.
    workload.table = 2;
    let subject = Subject::new(workload.record().unwrap()).unwrap();
    let report =
        by_tools(&subject, Plan { samples: 5, full: 4, ..Plan::default() }, Qemu::default());
    assert!(report.failures.is_empty(), "{}", report.failures[0]);
    assert!(report.judged() > 10, "{report}");
}
