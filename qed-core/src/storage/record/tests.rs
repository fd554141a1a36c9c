//! The log tells what happened and when, and changes nothing about it.

use super::*;
use crate::storage::MemoryStorage;
use std::sync::{OnceLock, Weak};

const FORCED: WriteFlags = WriteFlags { fua: true, metadata: true };

fn recorded(bytes: &[u8]) -> (Arc<MemoryStorage>, Recorder) {
    let memory = Arc::new(MemoryStorage::from_bytes(bytes));
    let recorder = Recorder::new(memory.clone()).unwrap();
    (memory, recorder)
}

fn operations(log: &Log) -> Vec<Operation> {
    let issued = log.events.iter().filter_map(|event| match event {
        Event::Issued { operation, .. } => Some(operation.clone()),
        _ => None,
    });
    issued.collect()
}

#[test]
fn every_change_passes_through_and_is_logged_twice() {
    // Goal: the log tells exactly what reached the storage. Method: one of each, in turn.
    let (memory, recorder) = recorded(&[7; 8192]);
    let parts = [IoSlice::new(&[1; 100]), IoSlice::new(&[2; 412])];
    recorder.write(&parts, 512, FORCED).unwrap();
    recorder.zero_range(1024, 512).unwrap();
    recorder.punch(4096, 4096).unwrap();
    recorder.set_len(16384).unwrap();
    recorder.sync().unwrap();

    let log = recorder.log();
    let data: Vec<u8> = [[1; 100].as_slice(), &[2; 412]].concat();
    let expected = vec![
        Operation::Write { offset: 512, data: data.clone().into(), flags: FORCED },
        Operation::ZeroRange { offset: 1024, length: 512 },
        Operation::Punch { offset: 4096, length: 4096 },
        Operation::SetLength { length: 16384 },
        Operation::Sync,
    ];
    assert_eq!(operations(&log), expected);
    for (id, pair) in log.events.chunks(2).enumerate() {
        let id = id as u64;
        assert!(matches!(&pair[0], Event::Issued { id: found, .. } if *found == id));
        assert_eq!(pair[1], Event::Completed { id, result: Ok(()) });
    }
    let bytes = memory.to_bytes();
    assert_eq!(bytes.len(), 16384);
    assert_eq!(bytes[512..1024], data);
    assert!(bytes[1024..1536].iter().chain(&bytes[4096..]).all(|byte| *byte == 0));
}

#[test]
fn the_base_is_the_content_before_the_first_event() {
    // Goal: states can be built from the log alone. Method: sparse content, then changes over it.
    let mut bytes = vec![0; 5 * 4096 + 512];
    bytes[4096] = 1;
    bytes[5 * 4096 + 511] = 2;
    let (_, recorder) = recorded(&bytes);
    recorder.punch(0, 5 * 4096).unwrap();
    recorder.set_len(0).unwrap();

    let base = recorder.log().base;
    assert_eq!(base.length, bytes.len() as u64);
    let offsets: Vec<u64> = base.blocks.iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, [4096, 5 * 4096]);
    for (offset, block) in &base.blocks {
        let offset = to_usize(*offset);
        assert_eq!(*block, bytes[offset..offset + block.len()]);
    }
}

#[test]
fn a_failure_is_passed_on_and_logged_by_its_kind() {
    // Goal: the log knows which syncs cover nothing. Method: a disk that cannot punch.
    let memory = Arc::new(MemoryStorage::from_bytes(&[7; 4096]).without_punch());
    let recorder = Recorder::new(memory).unwrap();
    let error = recorder.punch(0, 4096).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    let failed = Event::Completed { id: 0, result: Err(io::ErrorKind::Unsupported) };
    assert_eq!(recorder.log().events.last(), Some(&failed));
}

#[test]
fn marks_stand_between_the_operations_they_surround() {
    let (_, recorder) = recorded(&[0; 512]);
    recorder.mark("first");
    recorder.begin(7);
    recorder.sync().unwrap();
    recorder.end(7, true);
    let events = recorder.log().events;
    assert_eq!(events[0], Event::Mark("first".into()));
    assert_eq!(events[1], Event::Begin { payload: 7 });
    assert_eq!(events[2], Event::Issued { id: 0, operation: Operation::Sync });
    assert_eq!(events[3], Event::Completed { id: 0, result: Ok(()) });
    assert_eq!(events[4], Event::End { payload: 7, done: true });
}

/// A storage whose every change leaves a mark in the log of the recorder above it.
#[derive(Debug, Default)]
struct Marking {
    memory: MemoryStorage,
    above: OnceLock<Weak<Recorder>>,
}

impl Marking {
    fn mark(&self) {
        if let Some(recorder) = self.above.get().and_then(Weak::upgrade) {
            recorder.mark("running");
        }
    }
}

impl Storage for Marking {
    fn limits(&self) -> Limits {
        self.memory.limits()
    }
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }
    fn read(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        self.memory.read(buffers, offset)
    }
    fn write(&self, buffers: &[IoSlice<'_>], offset: u64, flags: WriteFlags) -> io::Result<()> {
        self.mark();
        self.memory.write(buffers, offset, flags)
    }
    fn zero_range(&self, offset: u64, length: u64) -> io::Result<()> {
        self.mark();
        self.memory.zero_range(offset, length)
    }
    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        self.mark();
        self.memory.punch(offset, length)
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.mark();
        self.memory.set_len(length)
    }
    fn sync(&self) -> io::Result<()> {
        self.mark();
        self.memory.sync()
    }
    fn stored_extent(&self, offset: u64, length: u64) -> io::Result<StoredExtent> {
        self.memory.stored_extent(offset, length)
    }
    fn disk_usage(&self) -> io::Result<u64> {
        self.memory.disk_usage()
    }
}

#[test]
fn what_happens_during_an_operation_is_logged_between_its_events() {
    // Goal: a sync's issue and completion surround it, and the log is free meanwhile. Method: a
    // storage that writes into the log while each operation runs.
    let marking = Arc::new(Marking::default());
    let recorder = Arc::new(Recorder::new(marking.clone()).unwrap());
    marking.above.set(Arc::downgrade(&recorder)).unwrap();
    recorder.set_len(8192).unwrap();
    recorder.write(&[IoSlice::new(&[1; 512])], 0, FORCED).unwrap();
    recorder.zero_range(0, 512).unwrap();
    recorder.punch(4096, 4096).unwrap();
    recorder.sync().unwrap();

    let events = recorder.log().events;
    assert_eq!(events.len(), 15);
    for (id, triple) in events.chunks(3).enumerate() {
        let id = id as u64;
        assert!(matches!(&triple[0], Event::Issued { id: found, .. } if *found == id));
        assert_eq!(triple[1], Event::Mark("running".into()));
        assert_eq!(triple[2], Event::Completed { id, result: Ok(()) });
    }
}
