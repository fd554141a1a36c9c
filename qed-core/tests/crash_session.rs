//! Disks that are watched and recorded, and recordings as their explorers see them.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use qed_core::crash::oracle::by_name;
use qed_core::crash::workload::{Shape, generate};
use qed_core::crash::{Call, Plan, Recording, Session, Study};
use qed_core::storage::Event;
use qed_core::{CreateOptions, Disk, ErrorKind, Flags, Format, OpenOptions, create, open};
use std::path::PathBuf;
use std::sync::Arc;

/// A file of its own for a test.
fn file(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("qed-session-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn raw() -> OpenOptions {
    let mut options = OpenOptions::default();
    options.format = Format::Raw;
    options
}

fn recorded(name: &str, run: impl FnOnce(&Session, &Disk)) -> (PathBuf, Recording) {
    let path = file(name);
    std::fs::write(&path, vec![0; 65536]).unwrap();
    let (session, disk) = Session::open(&path, &raw()).unwrap();
    run(&session, &disk);
    disk.close().unwrap();
    (path, session.recording().unwrap())
}

#[test]
fn calls_stand_around_the_operations_that_they_cause() {
    let (path, recording) = recorded("calls", |session, disk| {
        disk.pwrite(&[7; 512], 1024, Flags::NONE).unwrap();
        session.mark("half way").unwrap();
        disk.pwrite(&[8; 512], 1 << 40, Flags::NONE).unwrap_err();
        disk.flush().unwrap();
    });
    // What was refused is a discard of no bytes; the close is a flush.
    let nothing = Call::Discard { offset: 0, length: 0 };
    let write = Call::write_bytes(1024, &[7; 512], false);
    assert_eq!(recording.calls, [write, nothing, Call::Flush, Call::Flush]);
    let events = &recording.log.events;
    assert!(matches!(events[0], Event::Begin { payload: 0 }));
    assert!(matches!(events[1], Event::Issued { .. }));
    assert!(matches!(events[3], Event::End { payload: 0, done: true }));
    assert_eq!(events[4], Event::Mark("half way".to_owned()));
    assert_eq!(events[6], Event::End { payload: 1, done: false });
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_recording_outlives_the_disk_and_holds_no_lock() {
    let (path, recording) = recorded("lock", |_, _| ());
    let (session, disk) = Session::open(&path, &raw()).unwrap();
    let locked = Session::open(&path, &raw()).unwrap_err();
    assert_eq!(locked.kind(), ErrorKind::Locked);
    disk.close().unwrap();
    Disk::open(&path, &raw()).unwrap().close().unwrap();
    assert_eq!(session.recording().unwrap().log.base, recording.log.base);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn only_a_disk_that_is_written_to_is_recorded() {
    let path = file("read-only");
    let mut size = CreateOptions::default();
    size.size = Some(1 << 20);
    create(&path, &size).unwrap();
    let mut options = OpenOptions::default();
    options.image.read_only = true;
    assert_eq!(Session::open(&path, &options).unwrap_err().kind(), ErrorKind::InvalidArgument);
    // An image alone could not tell whoever watches.
    let (session, disk) = Session::open(&path, &OpenOptions::default()).unwrap();
    disk.close().unwrap();
    let mut watched = OpenOptions::default();
    watched.observer = Some(session);
    assert!(open(&path, &watched).is_err());
    std::fs::remove_file(path).unwrap();
}

#[test]
fn marks_are_boundaries() {
    // Goal: content is judged again behind a mark. Method: an empty run with a mark in the middle.
    let windows = |marked: bool| {
        let (path, recording) =
            recorded(if marked { "marked" } else { "plain" }, |session, disk| {
                disk.pwrite(&[7; 512], 0, Flags::NONE).unwrap();
                if marked {
                    session.mark("now").unwrap();
                }
                disk.pwrite(&[7; 512], 512, Flags::NONE).unwrap();
            });
        std::fs::remove_file(path).unwrap();
        let study = Study::new(recording).unwrap();
        let explorer = study.explorer(Plan::default()).unwrap();
        let last = explorer.windows().last().unwrap().last;
        (explorer.windows().len(), study.marks_at(last).len())
    };
    assert_eq!(windows(true), (windows(false).0 + 1, 1));
}

#[test]
fn shards_and_the_whole_are_the_same_states() {
    // Goal: what is cut adds up. Method: a generated run, in shards and as one.
    let study = Arc::new(Study::new(generate(Shape::Plain, 5).record().unwrap()).unwrap());
    let plan = Plan::default();
    let oracles = by_name(&["structure", "durable"]).unwrap();
    let whole = study.explorer(plan.clone()).unwrap().whole();
    let mut go_on = || true;
    let alone = study.run(&plan, &whole, oracles.clone(), &mut go_on).unwrap();
    let mut summed = qed_core::crash::Report::default();
    for shard in study.explorer(plan.clone()).unwrap().shards_of(50) {
        summed.merge(study.run(&plan, &shard, oracles.clone(), &mut go_on).unwrap());
    }
    assert!(alone.generated() > 100, "{alone}");
    assert_eq!((summed.digest(), summed.generated()), (alone.digest(), alone.generated()));
    // Whoever says stop gets no more judgements.
    let mut asked = 0;
    let mut stop = || {
        asked += 1;
        asked < 3
    };
    assert!(study.run(&plan, &whole, oracles, &mut stop).unwrap().failures.is_empty());
    assert_eq!(asked, 3);
}

#[test]
fn an_oracle_that_cannot_judge_the_format_is_refused() {
    let (path, recording) = recorded("format", |_, _| ());
    std::fs::remove_file(path).unwrap();
    let study = Study::new(recording).unwrap();
    let plan = Plan::default();
    let whole = study.explorer(plan.clone()).unwrap().whole();
    let refused = study.run(&plan, &whole, by_name(&["structure"]).unwrap(), &mut || true);
    assert!(refused.unwrap_err().to_string().contains("cannot judge raw images"));
    let wrong = Plan { unit: 1024, ..Plan::default() };
    assert_eq!(study.explorer(wrong).unwrap_err().kind(), ErrorKind::InvalidArgument);
}
