//! What models do to an image whose clusters hold a byte each.

use std::io::{IoSlice, IoSliceMut};
use std::sync::Arc;

use super::{format, open, settings};
use crate::meta::plan::lookup::Place;
use crate::meta::{Meta, Rules};
use crate::storage::{MemoryStorage, WriteFlags};

pub(super) const CLUSTER: u64 = 4096;

/// An image whose guest cluster 0 holds 1, stable.
pub(super) fn image(rules: Rules) -> Arc<Meta> {
    // Freed clusters come back as they are: whoever gets one too early, or reads a stale place,
    // finds another's bytes.
    let storage = Arc::new(MemoryStorage::new().without_punch());
    format(&storage);
    let meta = open(storage, settings(rules)).unwrap();
    write(&meta, 0, 1);
    meta.flush().unwrap();
    meta
}

pub(super) fn put(meta: &Meta, at: u64, byte: u8) {
    let bytes = [byte; CLUSTER as usize];
    meta.storage.write(&[IoSlice::new(&bytes)], at, WriteFlags::default()).unwrap();
}

pub(super) fn byte_at(meta: &Meta, at: u64) -> u8 {
    let mut bytes = [0; CLUSTER as usize];
    meta.storage.read(&mut [IoSliceMut::new(&mut bytes)], at).unwrap();
    assert!(bytes.iter().all(|byte| *byte == bytes[0]));
    bytes[0]
}

/// A blocking write of a whole cluster, in place where it is mapped.
pub(super) fn write(meta: &Meta, cluster: u64, byte: u8) {
    let mut plan = meta.plan_write(cluster * CLUSTER, CLUSTER).unwrap();
    plan.begin_moving();
    let places: Vec<u64> = plan.segments.iter().map(|part| part.file.get()).collect();
    places.into_iter().for_each(|at| put(meta, at, byte));
    plan.publish();
}

/// What the guest reads in a cluster.
pub(super) fn read(meta: &Meta, cluster: u64) -> u8 {
    let plan = meta.plan_read(cluster * CLUSTER, CLUSTER).unwrap();
    match plan.segments.first().unwrap().place {
        Place::File(at) => byte_at(meta, at.get()),
        Place::Zero | Place::Backing => 0,
    }
}
