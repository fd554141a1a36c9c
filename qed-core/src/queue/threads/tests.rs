//! Who makes a call: the owner that waits for it alone, or a thread. Method: an engine of its own,
//! whose pool is looked into, over a storage that holds calls and says who makes them.

// Helpers that fail are tests that fail.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::error::ErrorKind;
use crate::image::{Flags, ImageSettings};
use crate::queue::buffers::Buffers;
use crate::queue::request::Operation;
use crate::source::Format;
use crate::storage::{CallKind, Fault, MemoryStorage, Trigger};
use std::sync::Mutex;
use std::thread::{ThreadId, current};

const FLUSH: Operation = Operation::Flush;
const WRITE: Operation = Operation::Write { offset: 0 };

/// A raw disk in memory.
fn disk() -> (Arc<Fault>, Arc<Disk>) {
    let memory = Arc::new(MemoryStorage::from_bytes(&[0; 4096]));
    let fault = Arc::new(Fault::new(memory));
    let settings = ImageSettings::default();
    let disk = Disk::from_storage(fault.clone(), Format::Raw, None, settings).unwrap();
    (fault, Arc::new(disk))
}

fn start(engine: &mut Threads, operations: &[Operation]) {
    let request = |(operation, user_data): (&Operation, u64)| {
        let buffers = match operation {
            Operation::Write { .. } => vec![7; 512].into(),
            _ => Buffers::none(),
        };
        Request { user_data, operation: *operation, flags: Flags::NONE, buffers }
    };
    engine.start(&mut operations.iter().zip(0..).map(request).collect());
}

/// Fetches at least `min` completions, each of a success; gives their numbers.
fn reap(engine: &mut Threads, min: usize, deadline: Option<Instant>) -> Vec<u64> {
    let mut done = Vec::new();
    let count = engine.reap(&mut done, min, min.max(8), deadline).unwrap();
    assert_eq!(count, done.len());
    assert!(done.iter().all(|done| done.result.is_ok()));
    done.iter().map(|done| done.user_data).collect()
}

#[test]
fn an_owner_that_waits_for_one_call_makes_it() {
    let (fault, disk) = disk();
    let mut engine = Threads::new(disk, 2);
    let makers = Arc::new(Mutex::new(Vec::<ThreadId>::new()));
    let seen = Arc::clone(&makers);
    let any = Trigger::on_any(&[CallKind::Write, CallKind::Sync]).for_ever();
    fault.run(any, move |_| seen.lock().unwrap().push(current().id()));
    for operation in [FLUSH, WRITE] {
        start(&mut engine, &[operation]);
        assert_eq!(reap(&mut engine, 1, None), [0]);
    }
    assert_eq!(engine.pool.threads(), 0);
    assert_eq!(*makers.lock().unwrap(), [current().id(); 2]);
}

#[test]
fn an_owner_that_does_not_wait_is_not_held_up() {
    // Method: its calls do not end before it has gone on, with each way not to wait.
    let not_waiting: [fn(&mut Threads); 3] = [
        |engine| engine.submit(),
        |engine| assert!(reap(engine, 0, None).is_empty()),
        |engine| assert!(reap(engine, 1, Some(Instant::now())).is_empty()),
    ];
    for does_not_wait in not_waiting {
        let (fault, disk) = disk();
        let mut engine = Threads::new(disk, 2);
        let held = fault.hold(Trigger::on(CallKind::Sync));
        start(&mut engine, &[FLUSH]);
        does_not_wait(&mut engine);
        held.wait();
        assert_eq!(engine.pool.threads(), 1);
        held.release();
        assert_eq!(reap(&mut engine, 1, None), [0]);
        assert_eq!(engine.outside, 0);
    }
}

#[test]
fn calls_beside_each_other_are_made_by_threads() {
    let (fault, disk) = disk();
    let mut engine = Threads::new(disk, 2);
    let held = fault.hold(Trigger::on(CallKind::Sync));
    start(&mut engine, &[FLUSH, WRITE]);
    // The write ends though the flush does not, and so does another one.
    assert_eq!(reap(&mut engine, 1, None), [1]);
    start(&mut engine, &[WRITE]);
    assert_eq!(reap(&mut engine, 1, None), [0]);
    assert_eq!(engine.pool.threads(), 2);
    held.release();
    assert_eq!(reap(&mut engine, 1, None), [0]);
}

#[test]
fn a_disk_at_rest_is_not_called_by_who_may_have_put_it_there() {
    // Its own call would be refused; that of a thread waits until the disk runs again.
    let (_, disk) = disk();
    let mut engine = Threads::new(Arc::clone(&disk), 2);
    disk.quiesce().unwrap();
    start(&mut engine, &[WRITE]);
    assert!(do_only(&mut engine.held, &disk).is_none());
    assert_eq!(engine.held.len(), 1);
    assert!(reap(&mut engine, 0, None).is_empty());
    disk.resume().unwrap();
    assert_eq!(reap(&mut engine, 1, None), [0]);
}

#[test]
fn a_call_that_panics_is_an_error_of_its_request() {
    let (fault, disk) = disk();
    let mut engine = Threads::new(disk, 2);
    fault.run(Trigger::on(CallKind::Write), |_| panic!("in the midst of a call"));
    start(&mut engine, &[WRITE]);
    let mut done = Vec::new();
    assert_eq!(engine.reap(&mut done, 1, 1, None).unwrap(), 1);
    let error = done.remove(0).result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(engine.pool.threads(), 0);
}
