//! The latch falls for what breaks stability, and for nothing else. Method: calls that fail on
//! demand.

use super::*;
use crate::error::{Error, ErrorKind};
use crate::storage::{CallKind, Fault, MemoryStorage, Trigger};

const DATA: WriteFlags = WriteFlags { fua: false, metadata: false };
const FORCED: WriteFlags = WriteFlags { fua: true, metadata: false };
const METADATA: WriteFlags = WriteFlags { fua: false, metadata: true };

fn latch() -> (Arc<Fault>, Latch) {
    let memory = MemoryStorage::from_bytes(&[7; 4096]);
    let fault = Arc::new(Fault::new(Arc::new(memory)));
    (Arc::clone(&fault), Latch::new(fault))
}

fn write(latch: &Latch, flags: WriteFlags) -> io::Result<()> {
    latch.write(&[IoSlice::new(&[1; 512])], 0, flags)
}

/// Fails one call of `latch`.
fn fail_once(fault: &Fault, call: impl FnOnce() -> io::Result<()>) {
    fault.fail(Trigger::on_any(&CallKind::ALL), libc::EIO);
    let error = call().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO), "the first failure shows its own error");
    fault.clear();
}

#[test]
fn failed_data_write_punch_and_set_len_fail_alone() {
    let (fault, latch) = latch();
    fail_once(&fault, || write(&latch, DATA));
    fail_once(&fault, || latch.punch(0, 4096));
    fail_once(&fault, || latch.zero_range(0, 4096));
    fail_once(&fault, || latch.set_len(8192));
    fail_once(&fault, || latch.read(&mut [IoSliceMut::new(&mut [0; 512])], 0));
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
        let (fault, latch) = latch();
        fail_once(&fault, || call(&latch));
        assert!(latch.is_latched(), "{name}");
        let error = Error::io("flushing", latch.sync().unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Latched);
        assert!(error.to_string().contains(name), "{error} names {name}");
    }
}

#[test]
fn every_change_fails_once_latched_and_reads_go_on() {
    let (fault, latch) = latch();
    fail_once(&fault, || latch.sync());
    let calls = || CallKind::ALL.map(|kind| fault.count(kind));
    let before = calls();
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
    assert_eq!(calls(), before, "nothing reached the file");
    let mut bytes = [0; 4096];
    latch.read(&mut [IoSliceMut::new(&mut bytes)], 0).unwrap();
    assert_eq!(bytes, [7; 4096]);
    assert_eq!(latch.len().unwrap(), 4096);
}

#[test]
fn sync_that_succeeds_after_another_failure_does_not_claim_success() {
    // The inner sync itself succeeds; while it runs, a metadata write fails.
    let (fault, latch) = latch();
    let latch = Arc::new(latch);
    fault.fail(Trigger::on(CallKind::Write), libc::EIO);
    let meanwhile = Arc::clone(&latch);
    fault.run(Trigger::on(CallKind::Sync), move |_| {
        assert!(write(&meanwhile, METADATA).is_err());
    });
    assert_eq!(Error::io("x", latch.sync().unwrap_err()).kind(), ErrorKind::Latched);
    assert_eq!(fault.count(CallKind::Sync), 1);
}

#[test]
fn a_bypass_writes_until_the_latch_falls() {
    let file = tempfile::tempfile().unwrap();
    let mode = crate::storage::FileMode { writable: true, ..Default::default() };
    let storage = crate::storage::FileStorage::new(file, mode).unwrap();
    let latch = Latch::new(Arc::new(storage));
    let bypass = latch.bypass().unwrap();
    let before = bypass.begin_write(0, 512, false).unwrap();
    let forced = bypass.begin_write(0, 512, true).unwrap();
    latch.fall("sync", &io::Error::other("disk on fire"));
    assert!(bypass.begin_write(0, 512, false).is_none());
    bypass.end_write(before, None).unwrap();
    let error = bypass.end_write(forced, None).unwrap_err();
    assert_eq!(Error::io("x", error).kind(), ErrorKind::Latched);
}

#[test]
fn a_forced_write_that_fails_past_the_latch_makes_it_fall() {
    let file = tempfile::tempfile().unwrap();
    let mode = crate::storage::FileMode { writable: true, ..Default::default() };
    let storage = crate::storage::FileStorage::new(file, mode).unwrap();
    let latch = Latch::new(Arc::new(storage));
    let bypass = latch.bypass().unwrap();
    let broken = io::Error::from_raw_os_error(libc::EIO);
    let plain = bypass.begin_write(0, 512, false).unwrap();
    bypass.end_write(plain, Some(&broken)).unwrap();
    assert!(!latch.is_latched());
    let forced = bypass.begin_write(0, 512, true).unwrap();
    assert!(bypass.end_write(forced, Some(&broken)).is_err());
    assert!(latch.is_latched());
    // Also a sync of the file behind the latch remembers it.
    let error = latch.inner.sync().unwrap_err();
    assert!(error.to_string().starts_with("an earlier sync of this file failed"), "{error}");
}
