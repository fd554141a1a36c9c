//! Entries that go ahead of their data. Method: requests that begin and end by hand, on an image in
//! memory.

#![allow(clippy::unwrap_used)] // clippy knows tests by their attribute, not their helpers

use super::*;
use crate::format::Geometry;
use crate::image::ImageSettings;
use crate::ops::{CreateSpec, format_storage};
use crate::storage::{CallKind, Fault, MemoryStorage, Trigger};
use std::sync::Arc;

const CLUSTER: u64 = 4096;

/// An image whose first cluster is mapped, with fresh space below the durable length.
fn image() -> (Arc<Fault>, Image) {
    let memory = Arc::new(MemoryStorage::new().without_punch());
    let fault = Arc::new(Fault::new(memory));
    let spec = CreateSpec::new(Geometry::new(CLUSTER, 1).unwrap(), 1 << 20).unwrap();
    format_storage(&*fault, &spec).unwrap();
    let settings = ImageSettings { background: false, ..ImageSettings::default() };
    let image = Image::from_storage(fault.clone(), None, settings).unwrap();
    image.pwrite(&[1; 4096], 0, Flags::NONE).unwrap();
    image.flush().unwrap();
    (fault, image)
}

fn read(image: &Image, offset: u64) -> [u8; 4096] {
    let mut bytes = [0xee; 4096];
    image.pread(&mut bytes, offset).unwrap();
    bytes
}

/// A write whose entries have gone ahead of its data.
fn begin_early(image: &Image, offset: u64) -> Begun {
    let mut begun = image.begin_write(offset, CLUSTER, Flags::NONE, Copying::ByCalls).unwrap();
    image.publish_early(begun.take_early().unwrap()).unwrap();
    assert!(begun.take_early().is_none(), "they go once");
    begun
}

#[test]
fn what_has_gone_ahead_is_on_the_disk_before_the_data() {
    let (fault, image) = image();
    let counts = || [CallKind::Write, CallKind::Sync].map(|kind| fault.count(kind));
    let before = counts();
    let begun = begin_early(&image, CLUSTER);
    assert_eq!(counts(), [before[0] + 1, before[1]], "a sector of the table");
    assert_eq!(read(&image, CLUSTER), [0; 4096], "fresh space");
    let Begun::Write(ticket, forced) = &begun else { unreachable!() };
    image.move_write(ticket, *forced, &[IoSlice::new(&[2; 4096])]).unwrap();
    image.end(begun, true);
    image.flush().unwrap();
    assert_eq!(counts(), [before[0] + 2, before[1] + 1], "the data, and one sync for both");
    assert_eq!(read(&image, CLUSTER), [2; 4096]);
}

#[test]
fn a_flush_beside_it_leaves_the_data_to_the_writes_own() {
    let (fault, image) = image();
    let begun = begin_early(&image, CLUSTER);
    image.flush().unwrap();
    let syncs = fault.count(CallKind::Sync);
    image.end(begun, true);
    image.flush().unwrap();
    assert_eq!(fault.count(CallKind::Sync), syncs + 1, "for the data");
}

#[test]
fn a_failed_write_leaves_zeroes_and_keeps_its_cluster() {
    // The cluster must not go to anybody else: an entry on the disk names it.
    let (_, image) = image();
    let failed = begin_early(&image, CLUSTER);
    image.end(failed, false);
    assert_eq!(read(&image, CLUSTER), [0; 4096]);
    for cluster in 2..8 {
        image.pwrite(&[3; 4096], cluster * CLUSTER, Flags::NONE).unwrap();
    }
    image.flush().unwrap();
    assert_eq!(read(&image, CLUSTER), [0; 4096]);
    image.pwrite(&[4; 512], CLUSTER, Flags::FUA).unwrap();
    assert_eq!(read(&image, CLUSTER)[..513], [[4; 512].as_slice(), &[0]].concat());
}

#[test]
fn an_entry_that_waits_for_its_data_stays_behind_it() {
    // Goal: C4. Reused space, which holds somebody's bytes.
    let (_, image) = image();
    image.discard(0, CLUSTER).unwrap();
    image.flush().unwrap();
    let mut begun = image.begin_write(CLUSTER, 512, Flags::NONE, Copying::ByCalls).unwrap();
    assert!(begun.take_early().is_none());
    image.end(begun, false);
}

#[test]
fn a_table_write_that_fails_fails_the_flush() {
    let (fault, image) = image();
    let mut begun = image.begin_write(CLUSTER, CLUSTER, Flags::NONE, Copying::ByCalls).unwrap();
    fault.fail(Trigger::on(CallKind::Write).metadata(true), libc::EIO);
    assert!(image.publish_early(begun.take_early().unwrap()).is_err());
    image.end(begun, true);
    assert!(image.flush().is_err());
}
