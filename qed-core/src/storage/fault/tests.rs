//! Each rule does what it says, to the calls it is for and to no others.

use super::*;
use crate::storage::MemoryStorage;

fn fault() -> (Arc<MemoryStorage>, Arc<Fault>) {
    let memory = Arc::new(MemoryStorage::from_bytes(&[1; 8192]));
    (Arc::clone(&memory), Arc::new(Fault::new(memory)))
}

fn write_with(fault: &Fault, offset: u64, flags: WriteFlags) -> Option<i32> {
    let parts = [IoSlice::new(&[2; 300]), IoSlice::new(&[3; 212])];
    fault.write(&parts, offset, flags).err().map(|error| error.raw_os_error().unwrap())
}

fn write(fault: &Fault, offset: u64) -> Option<i32> {
    write_with(fault, offset, WriteFlags::default())
}

const EIO: Option<i32> = Some(libc::EIO);

#[test]
fn nth_match_fails_once_or_for_ever() {
    let (memory, fault) = fault();
    fault.fail(Trigger::on(CallKind::Write).nth(2), libc::EIO);
    assert_eq!([0, 1, 2].map(|_| write(&fault, 0)), [None, EIO, None]);
    fault.clear();
    fault.fail(Trigger::on(CallKind::Write).nth(2).for_ever(), libc::ENOSPC);
    let full = Some(libc::ENOSPC);
    assert_eq!([0, 1, 2].map(|_| write(&fault, 4096)), [None, full, full]);
    assert_eq!(memory.to_bytes()[4096], 2);
    fault.clear();
    assert_eq!(write(&fault, 0), None);
    assert_eq!(fault.count(CallKind::Write), 7);
    assert_eq!(fault.count(CallKind::Sync), 0);
}

#[test]
fn triggers_match_kind_flags_and_range() {
    let (_, fault) = fault();
    let metadata = WriteFlags { fua: false, metadata: true };
    let forced = WriteFlags { fua: true, metadata: false };
    fault.fail(Trigger::on(CallKind::Write).metadata(true).for_ever(), libc::EIO);
    fault.fail(Trigger::on(CallKind::Write).fua(true).for_ever(), libc::ENOSPC);
    assert_eq!(write(&fault, 0), None);
    assert_eq!(write_with(&fault, 0, metadata), EIO);
    assert_eq!(write_with(&fault, 0, forced), Some(libc::ENOSPC));
    fault.clear();
    let every = Trigger::on_any(&CallKind::ALL).within(1024..2048).for_ever();
    fault.fail(every, libc::EIO);
    assert_eq!([512, 513, 2047, 2048].map(|at| write(&fault, at)), [None, EIO, EIO, None]);
    assert!(fault.punch(2000, 1).is_err() && fault.punch(2048, 1).is_ok());
    assert!(fault.zero_range(0, 1025).is_err() && fault.zero_range(0, 1024).is_ok());
    assert!(fault.set_len(2000).is_err() && fault.set_len(4096).is_ok());
    assert!(fault.read(&mut [IoSliceMut::new(&mut [0; 8])], 1020).is_err());
    fault.sync().unwrap();
}

#[test]
fn shortened_calls_do_their_prefix() {
    let (memory, fault) = fault();
    let every = Trigger::on_any(&CallKind::ALL).for_ever();
    fault.shorten(every, 301, libc::EIO);
    assert_eq!(write(&fault, 0), EIO);
    let mut expected = vec![2; 300];
    expected.push(3);
    expected.resize(8192, 1);
    assert_eq!(memory.to_bytes(), expected);
    let (mut head, mut tail) = ([9; 300], [9; 10]);
    let mut parts = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut tail)];
    assert!(fault.read(&mut parts, 0).is_err());
    assert_eq!((head, &tail[..3]), ([2; 300], &[3, 9, 9][..]));
    assert!(fault.punch(4096, 1000).is_err());
    expected[4096..4397].fill(0);
    assert!(fault.set_len(0).is_err());
    assert!(fault.sync().is_err());
    assert_eq!(memory.to_bytes(), expected);
}

#[test]
fn failing_afterwards_has_done_it_all() {
    let (memory, fault) = fault();
    fault.fail(Trigger::on(CallKind::Write).afterwards(), libc::EIO);
    assert_eq!(write(&fault, 0), EIO);
    assert_eq!(memory.to_bytes()[..300], [2; 300]);
}

#[test]
fn callbacks_see_the_state_at_their_call() {
    let (memory, fault) = fault();
    let seen = Arc::new(Mutex::new(Rank::Clock, Vec::new()));
    for afterwards in [false, true] {
        let (memory, seen) = (Arc::clone(&memory), Arc::clone(&seen));
        let mut trigger = Trigger::on(CallKind::Write).nth(2);
        if afterwards {
            trigger = trigger.afterwards();
        }
        fault.run(trigger, move |call| {
            let byte = memory.to_bytes()[to_usize(call.offset)];
            seen.lock().push((call.offset, call.length, byte));
        });
    }
    write(&fault, 0);
    write(&fault, 4096);
    assert_eq!(*seen.lock(), [(4096, 512, 1), (4096, 512, 2)]);
}

#[cfg(not(feature = "shuttle"))]
#[test]
fn held_calls_wait_and_leave_in_order() {
    let (memory, fault) = fault();
    let held = fault.hold(Trigger::on(CallKind::Write).for_ever());
    let start = |offset| {
        let fault = Arc::clone(&fault);
        std::thread::spawn(move || write(&fault, offset))
    };
    let first = start(0);
    held.wait();
    let second = start(4096);
    held.wait_for_calls(2);
    assert_eq!(memory.to_bytes(), [1; 8192], "nothing has been written");
    held.release_one();
    assert_eq!(first.join().unwrap(), None);
    held.wait();
    assert_eq!(held.count(), 1);
    assert_eq!((memory.to_bytes()[0], memory.to_bytes()[4096]), (2, 1));
    drop(held);
    assert_eq!(second.join().unwrap(), None);
    assert_eq!(write(&fault, 0), None, "later calls do not stop");
}

#[cfg(not(feature = "shuttle"))]
#[test]
fn held_afterwards_has_been_done() {
    let (memory, fault) = fault();
    let held = fault.hold(Trigger::on(CallKind::Punch).afterwards());
    let punching = {
        let fault = Arc::clone(&fault);
        std::thread::spawn(move || fault.punch(0, 4096).is_ok())
    };
    held.wait();
    assert_eq!(memory.to_bytes()[0], 0);
    fault.punch(4096, 4096).unwrap();
    held.release();
    assert!(punching.join().unwrap());
}
