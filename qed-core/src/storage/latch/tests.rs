//! The latch falls for what breaks stability, and for nothing else. Method: a storage whose calls
//! fail on demand.

use super::*;
use crate::error::{Error, ErrorKind};
use crate::storage::MemoryStorage;

/// Memory whose changes fail while `failing` is set.
#[derive(Debug)]
struct Broken {
    memory: MemoryStorage,
    failing: AtomicBool,
}

impl Broken {
    fn call(&self, done: io::Result<()>) -> io::Result<()> {
        if self.failing.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        done
    }
}

impl Storage for Broken {
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
        self.call(self.memory.write(buffers, offset, flags))
    }
    fn zero_range(&self, offset: u64, length: u64) -> io::Result<()> {
        self.call(self.memory.zero_range(offset, length))
    }
    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        self.call(self.memory.punch(offset, length))
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.call(self.memory.set_len(length))
    }
    fn sync(&self) -> io::Result<()> {
        self.call(self.memory.sync())
    }
    fn stored_extent(&self, offset: u64, length: u64) -> io::Result<StoredExtent> {
        self.memory.stored_extent(offset, length)
    }
    fn disk_usage(&self) -> io::Result<u64> {
        self.memory.disk_usage()
    }
}

const DATA: WriteFlags = WriteFlags { fua: false, metadata: false };
const FORCED: WriteFlags = WriteFlags { fua: true, metadata: false };
const METADATA: WriteFlags = WriteFlags { fua: false, metadata: true };

fn broken() -> (Arc<Broken>, Latch) {
    let memory = MemoryStorage::from_bytes(&[7; 4096]);
    let broken = Arc::new(Broken { memory, failing: AtomicBool::new(false) });
    (Arc::clone(&broken), Latch::new(broken))
}

fn write(latch: &Latch, flags: WriteFlags) -> io::Result<()> {
    latch.write(&[IoSlice::new(&[1; 512])], 0, flags)
}

/// Fails one call of `latch` and repairs the disk again.
fn fail_once(broken: &Broken, call: impl FnOnce() -> io::Result<()>) {
    broken.failing.store(true, Ordering::Relaxed);
    let error = call().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO), "the first failure shows its own error");
    broken.failing.store(false, Ordering::Relaxed);
}

#[test]
fn failed_data_write_punch_and_set_len_fail_alone() {
    let (broken, latch) = broken();
    fail_once(&broken, || write(&latch, DATA));
    fail_once(&broken, || latch.punch(0, 4096));
    fail_once(&broken, || latch.zero_range(0, 4096));
    fail_once(&broken, || latch.set_len(8192));
    assert!(!latch.is_latched());
    write(&latch, METADATA).unwrap();
    latch.sync().unwrap();
}

#[test]
fn failed_sync_metadata_write_and_forced_write_latch() {
    for (name, call) in [
        ("sync", (|latch| latch.sync()) as fn(&Latch) -> io::Result<()>),
        ("metadata write at offset 0", |latch| write(latch, METADATA)),
        ("forced write at offset 0", |latch| write(latch, FORCED)),
    ] {
        let (broken, latch) = broken();
        fail_once(&broken, || call(&latch));
        assert!(latch.is_latched(), "{name}");
        let error = Error::io("flushing", latch.sync().unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Latched);
        assert!(error.to_string().contains(name), "{error} names {name}");
    }
}

#[test]
fn every_change_fails_once_latched_and_reads_go_on() {
    let (broken, latch) = broken();
    fail_once(&broken, || latch.sync());
    let changes = [
        write(&latch, DATA),
        write(&latch, METADATA),
        latch.zero_range(0, 4096),
        latch.punch(0, 4096),
        latch.set_len(8192),
        latch.sync(),
    ];
    for change in changes {
        assert_eq!(Error::io("x", change.unwrap_err()).kind(), ErrorKind::Latched);
    }
    let mut bytes = [0; 4096];
    latch.read(&mut [IoSliceMut::new(&mut bytes)], 0).unwrap();
    assert_eq!(bytes, [7; 4096], "nothing reached the file");
    assert_eq!(latch.len().unwrap(), 4096);
}

#[test]
fn sync_that_succeeds_after_another_failed_does_not_claim_success() {
    // The inner sync itself succeeds; while it runs, a metadata write of another thread fails.
    #[derive(Debug)]
    struct Meanwhile(Broken, std::sync::OnceLock<std::sync::Weak<Latch>>);
    impl Storage for Meanwhile {
        fn limits(&self) -> Limits {
            self.0.limits()
        }
        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }
        fn read(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
            self.0.read(buffers, offset)
        }
        fn write(&self, b: &[IoSlice<'_>], offset: u64, flags: WriteFlags) -> io::Result<()> {
            self.0.write(b, offset, flags)
        }
        fn zero_range(&self, offset: u64, length: u64) -> io::Result<()> {
            self.0.zero_range(offset, length)
        }
        fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
            self.0.punch(offset, length)
        }
        fn set_len(&self, length: u64) -> io::Result<()> {
            self.0.set_len(length)
        }
        fn sync(&self) -> io::Result<()> {
            let latch = self.1.get().unwrap().upgrade().unwrap();
            fail_once(&self.0, || write(&latch, METADATA));
            Ok(())
        }
        fn stored_extent(&self, offset: u64, length: u64) -> io::Result<StoredExtent> {
            self.0.stored_extent(offset, length)
        }
        fn disk_usage(&self) -> io::Result<u64> {
            self.0.disk_usage()
        }
    }
    let memory = MemoryStorage::from_bytes(&[7; 4096]);
    let broken = Broken { memory, failing: AtomicBool::new(false) };
    let inner = Arc::new(Meanwhile(broken, std::sync::OnceLock::new()));
    let latch = Arc::new(Latch::new(Arc::clone(&inner) as Arc<dyn Storage>));
    inner.1.set(Arc::downgrade(&latch)).unwrap();
    assert_eq!(Error::io("x", latch.sync().unwrap_err()).kind(), ErrorKind::Latched);
}
