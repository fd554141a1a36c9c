//! A writer that dies: what was flushed survives, and QEMU repairs the rest.

use std::sync::Arc;

use qed_core::storage::{CallKind, Fault, MemoryStorage, Trigger};
use qed_core::{ErrorKind, Flags};

use crate::rig::{
    Dice, TOOLS, bytes_by_qemu, bytes_of, change, folder, from_storage, has_tools, in_memory,
    is_clean, len, same, succeed, text,
};

/// Goal: after a crash the image says that it is dirty, QEMU's repair makes it sound, and every
/// byte is what it was at the last flush or what was written since. Method: the file is copied
/// while a writer is in the middle of its work.
#[test]
fn an_interrupted_writer_leaves_what_it_flushed() {
    if !has_tools(&TOOLS) {
        return;
    }
    let (_keep, folder) = folder();
    let size = 4 << 20;
    for (seed, cluster_size) in (1..).zip([512, 512, 4096, 4096, 65536, 65536]) {
        let storage = in_memory(size, cluster_size);
        let disk = from_storage(storage.clone(), None, false).unwrap();
        let (mut plain, mut dice) = (vec![0; len(size)], Dice::new(seed));
        for _ in 0..20 {
            change(&disk, &mut plain, &mut dice, 200_000);
        }
        disk.flush().unwrap();
        let mut versions = vec![plain.clone()];
        for _ in 0..10 {
            change(&disk, &mut plain, &mut dice, 200_000);
            versions.push(plain.clone());
        }
        let path = folder.join(seed.to_string());
        std::fs::write(&path, storage.to_bytes()).unwrap();
        let left = Arc::new(MemoryStorage::from_bytes(&storage.to_bytes()));
        let error = from_storage(left.clone(), None, false).unwrap_err();
        assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains("dirty"));
        let dirty = from_storage(left, None, true).unwrap();
        one_of(&bytes_of(&dirty, 65536), &versions, "before repair");
        succeed("qemu-img", &["check", "-q", "-r", "all", "-f", "qcow2", text(&path)]);
        is_clean(&path);
        one_of(&bytes_by_qemu(&path, "qcow2"), &versions, "after repair");
        disk.close().unwrap();
        std::fs::write(&path, storage.to_bytes()).unwrap();
        is_clean(&path);
        same(&bytes_by_qemu(&path, "qcow2"), &plain, "closed");
    }
}

pub(crate) fn one_of(found: &[u8], versions: &[Vec<u8>], what: &str) {
    let strange = |at: &usize| versions.iter().all(|version| version[*at] != found[*at]);
    if let Some(at) = (0..found.len()).find(strange) {
        panic!("{what}: {:#x} at {at} was never there", found[at]);
    }
}

/// Goal: opening for writing changes nothing; the first change marks the image, closing unmarks it.
#[test]
fn the_mark_stands_from_the_first_change_to_the_close() {
    let storage = in_memory(1 << 20, 65536);
    let marked = || storage.to_bytes()[79] & 1 == 1;
    let before = storage.to_bytes();
    let disk = from_storage(storage.clone(), None, false).unwrap();
    disk.flush().unwrap();
    drop(disk);
    assert!(storage.to_bytes() == before);
    let disk = from_storage(storage.clone(), None, false).unwrap();
    disk.pwrite(&[1; 512], 0, Flags::NONE).unwrap();
    assert!(marked());
    disk.flush().unwrap();
    assert!(marked());
    drop(disk);
    assert!(!marked());
}

/// Goal: a failed write or sync of tables is told by the flush, by every later change and by the
/// close, and the image stays marked. Method: the storage fails one call.
#[test]
fn a_failed_flush_is_told_and_latches() {
    for kind in [CallKind::Sync, CallKind::Write] {
        let storage = in_memory(1 << 20, 65536);
        let fault = Arc::new(Fault::new(storage.clone()));
        let disk = from_storage(fault.clone(), None, false).unwrap();
        disk.pwrite(&[1; 65536], 0, Flags::NONE).unwrap();
        let tables = Trigger::on(kind);
        let tables = if kind == CallKind::Write { tables.metadata(true) } else { tables };
        fault.fail(tables, EIO);
        assert!(disk.flush().is_err());
        fault.clear();
        let error = disk.pwrite(&[2; 512], 1 << 19, Flags::NONE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Latched, "{error}");
        assert!(disk.flush().is_err());
        assert!(disk.close().is_err());
        assert_eq!(storage.to_bytes()[79] & 1, 1, "the mark was taken off");
    }
}

const EIO: i32 = 5;
