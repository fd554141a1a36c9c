//! Logs written by hand, for testing the explorer without an engine.

use qed_core::storage::{Base, Event, Limits, Log, Operation, WriteFlags};
use std::io;
use std::sync::Arc;

/// Builds a log, event by event.
pub struct Script {
    base: Base,
    events: Vec<Event>,
    operations: u64,
}

impl Script {
    /// Over a file that holds `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        let blocks = (0..).step_by(4096).zip(bytes.chunks(4096).map(<[u8]>::to_vec)).collect();
        let base = Base { length: bytes.len() as u64, blocks };
        Self { base, events: Vec::new(), operations: 0 }
    }

    /// Over a file of sectors that are each filled with one byte.
    pub fn sectors(fills: &[u8]) -> Self {
        Self::new(&sectors(fills))
    }

    pub fn issue(&mut self, operation: Operation) -> u64 {
        let id = self.operations;
        self.operations += 1;
        self.events.push(Event::Issued { id, operation });
        id
    }

    pub fn complete(&mut self, id: u64) {
        self.events.push(Event::Completed { id, result: Ok(()) });
    }

    pub fn fail(&mut self, id: u64) {
        self.events.push(Event::Completed { id, result: Err(io::ErrorKind::Other) });
    }

    pub fn run(&mut self, operation: Operation) {
        let id = self.issue(operation);
        self.complete(id);
    }

    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.run(write(offset, bytes, false));
    }

    /// Fills sectors, from sector `first` on.
    pub fn fill(&mut self, first: u64, fills: &[u8]) {
        self.write(first * 512, &sectors(fills));
    }

    pub fn set_sectors(&mut self, sectors: u64) {
        self.run(Operation::SetLength { length: sectors * 512 });
    }

    pub fn punch_sectors(&mut self, first: u64, count: u64) {
        self.run(Operation::Punch { offset: first * 512, length: count * 512 });
    }

    pub fn sync(&mut self) {
        self.run(Operation::Sync);
    }

    /// A guest call that does what `inner` does.
    pub fn call<T>(&mut self, payload: u64, inner: impl FnOnce(&mut Self) -> T) -> T {
        self.events.push(Event::Begin { payload });
        let result = inner(self);
        self.events.push(Event::End { payload, done: true });
        result
    }

    pub fn log(self) -> Log {
        let limits = Limits { atomic_unit: 512, zeroes_new_space: true, can_punch: true };
        Log { base: Arc::new(self.base), events: self.events, limits }
    }
}

pub fn write(offset: u64, bytes: &[u8], fua: bool) -> Operation {
    let flags = WriteFlags { fua, metadata: false };
    Operation::Write { offset, data: bytes.into(), flags }
}

/// Sectors each filled with one byte.
pub fn sectors(fills: &[u8]) -> Vec<u8> {
    fills.iter().flat_map(|fill| [*fill; 512]).collect()
}

/// The fill of each sector of `bytes`; they must be whole.
pub fn fills(bytes: &[u8]) -> Vec<u8> {
    assert_eq!(bytes.len() % 512, 0, "a length in the middle of a sector");
    let fill = |sector: &[u8]| {
        assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is torn");
        sector[0]
    };
    bytes.chunks(512).map(fill).collect()
}
