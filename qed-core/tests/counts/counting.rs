//! A storage that counts what is asked of it.

use std::io::{self, IoSlice, IoSliceMut};
use std::sync::{Arc, Mutex};

use qed_core::storage::{Limits, MemoryStorage, Storage, StoredExtent, WriteFlags};

/// Calls, and the bytes of those that move some.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub reads: u64,
    pub read_bytes: u64,
    pub data_writes: u64,
    pub data_bytes: u64,
    /// Writes of the guest's data that are stable when they return.
    pub forced: u64,
    pub table_writes: u64,
    pub table_bytes: u64,
    pub syncs: u64,
    pub lengths: u64,
    pub punches: u64,
    pub zeroings: u64,
}

#[derive(Debug, Default)]
pub struct Counting {
    inner: MemoryStorage,
    counts: Mutex<Counts>,
    direct: bool,
}

impl Counting {
    /// One to which each write goes by itself.
    pub fn direct() -> Self {
        Self { direct: true, ..Self::default() }
    }

    /// What `work` asks of the storage.
    pub fn of<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> Counts {
        *self.counts.lock().unwrap() = Counts::default();
        work();
        *self.counts.lock().unwrap()
    }

    fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.counts.lock().unwrap());
    }
}

fn total(lengths: impl Iterator<Item = usize>) -> u64 {
    lengths.map(|length| length as u64).sum()
}

impl Storage for Counting {
    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    fn writes_directly(&self) -> bool {
        self.direct
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        self.count(|counts| {
            counts.reads += 1;
            counts.read_bytes += total(buffers.iter().map(|buffer| buffer.len()));
        });
        self.inner.read(buffers, offset)
    }

    fn write(&self, buffers: &[IoSlice<'_>], offset: u64, flags: WriteFlags) -> io::Result<()> {
        self.count(|counts| {
            let bytes = total(buffers.iter().map(|buffer| buffer.len()));
            if flags.metadata {
                counts.table_writes += 1;
                counts.table_bytes += bytes;
            } else {
                counts.data_writes += 1;
                counts.data_bytes += bytes;
                counts.forced += u64::from(flags.fua);
            }
        });
        self.inner.write(buffers, offset, flags)
    }

    fn zero_range(&self, offset: u64, length: u64) -> io::Result<()> {
        self.count(|counts| counts.zeroings += 1);
        self.inner.zero_range(offset, length)
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        self.count(|counts| counts.punches += 1);
        self.inner.punch(offset, length)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.count(|counts| counts.lengths += 1);
        self.inner.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.count(|counts| counts.syncs += 1);
        self.inner.sync()
    }

    fn stored_extent(&self, offset: u64, length: u64) -> io::Result<StoredExtent> {
        self.inner.stored_extent(offset, length)
    }

    fn disk_usage(&self) -> io::Result<u64> {
        self.inner.disk_usage()
    }
}
