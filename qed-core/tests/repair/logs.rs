//! Goal: whatever QEMU's driver leaves of an image in a power cut, a repair makes an image of it in
//! which no address fails and which our check, an independent reader and QEMU's check find sound;
//! every sector reads as the guest may read it. Where two guest clusters have come to share one of
//! the file (D5, and what is written on top of that, D6), both read what was written there last.
//! A cluster whose entry dangled before the log began reads whatever came to its place since: that
//! is what the defect costs.
//! Method: every state of logs recorded from QEMU's driver, repaired and lived on in.

use crate::damage::C;
use crate::qemu;
use crate::reading::Reading;
use crate::recorded::recorded;
use qed_core::crash::oracle::Tables;
use qed_core::crash::{Below, GuestDisk, Medium, Plan, Recording, Subject, digest, explore};
use qed_core::storage::MemoryStorage;
use qed_core::{CheckOptions, Flags, Image, ImageSettings, Repair, check_storage_with};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// Sectors of a cluster.
const SECTORS: u64 = C / 512;

/// The bytes after a repair.
fn repaired(state: &[u8]) -> Result<Vec<u8>, String> {
    let storage = Arc::new(MemoryStorage::from_bytes(state));
    let mut how = CheckOptions::default();
    how.repair = Some(Repair::All);
    let mut go_on = |_, _| ControlFlow::Continue(());
    let report = check_storage_with(storage.clone(), &how, &mut go_on);
    let report = report.map_err(|error| format!("repairing: {error}"))?;
    let bytes = storage.to_bytes();
    if report.is_clean() && Reading::new(&bytes).is_sound() {
        Ok(bytes)
    } else {
        Err(format!("not sound: {report:?}"))
    }
}

/// A log, understood from what its first image is when it is repaired.
fn subject(name: &str) -> Subject {
    let recording = recorded(name);
    let base = Medium::new(&recording.log.base);
    let bytes = repaired(&content(&base)).unwrap();
    let mut medium = Medium::default();
    medium.set_length(bytes.len() as u64);
    medium.write(0, &bytes);
    let initial = GuestDisk::qed(medium, Below::of(&recording)).unwrap();
    Subject::with_initial(recording, initial)
}

fn content(medium: &Medium) -> Vec<u8> {
    medium.bytes(0, medium.length())
}

fn open(recording: &Recording, bytes: &[u8]) -> Result<(Arc<MemoryStorage>, Image), String> {
    let storage = Arc::new(MemoryStorage::from_bytes(bytes));
    let below = recording.below(&*storage);
    let settings = ImageSettings { background: false, ..ImageSettings::default() };
    let image = Image::from_storage(storage.clone(), below, settings);
    image.map(|image| (storage, image)).map_err(|error| format!("opening: {error}"))
}

/// What a state owes when it is repaired.
fn judge(subject: &Subject, state: &[u8], t: usize) -> Result<Vec<u8>, String> {
    let bytes = repaired(state)?;
    let (storage, image) = open(&subject.recording, &bytes)?;
    for cluster in 0..image.size() / C {
        let mut found = vec![0; usize::try_from(C).unwrap()];
        image
            .pread(&mut found, cluster * C)
            .map_err(|error| format!("guest cluster {cluster}: {error}"))?;
        let digests: Vec<u64> = found.chunks(512).map(digest).collect();
        let own = first_wrong(subject, cluster, &digests, t);
        let shares = || sharers(subject, state, cluster, t);
        let haunted = || dangled(subject, cluster) && of_each(subject, &NEAR, &digests, t);
        if let Some(sector) = own
            && !haunted()
            && !shares().iter().any(|other| first_wrong(subject, *other, &digests, t).is_none())
            && !of_each(subject, &shares(), &digests, t)
        {
            return Err(format!("guest cluster {cluster} is wrong in sector {sector}"));
        }
    }
    live(&storage, image)?;
    Ok(bytes)
}

/// Clusters that the logs write to.
const NEAR: [u64; 5] = [0, 1, 2, 3, 4];

/// Whether the entry of a guest cluster named nothing in the image that the log begins with.
fn dangled(subject: &Subject, cluster: u64) -> bool {
    let base = Reading::new(&content(&Medium::new(&subject.recording.log.base)));
    let table = base.word(base.word(40));
    base.word(table + 8 * cluster) > 1 && !base.clusters().any(|mapped| mapped == cluster)
}

/// The first sector of a cluster that may not read so after a crash at `t`.
fn first_wrong(subject: &Subject, cluster: u64, digests: &[u64], t: usize) -> Option<usize> {
    (0..digests.len()).find(|sector| !may_read(subject, cluster, *sector, digests[*sector], t))
}

fn may_read(subject: &Subject, cluster: u64, sector: usize, digest: u64, t: usize) -> bool {
    let place = cluster * SECTORS + sector as u64;
    subject.model.judge(place, digest, t, &subject.initial).is_none()
}

/// The guest clusters that share the place of this one in a state, itself among them, and that the
/// guest had written to by then.
fn sharers(subject: &Subject, state: &[u8], cluster: u64, t: usize) -> Vec<u64> {
    let reading = Reading::new(state);
    let entries = reading.entries();
    let place = |guest: u64| entries.iter().find(|(other, _)| *other == guest).map(|(_, at)| *at);
    let Some(own) = place(cluster) else { return Vec::new() };
    let all: Vec<u64> =
        entries.iter().filter(|(_, at)| *at == own).map(|(guest, _)| *guest).collect();
    if all.len() < 2 {
        return Vec::new();
    }
    let issued = subject.model.calls_at(t);
    let calls = issued
        .iter()
        .filter_map(|(number, ..)| subject.recording.calls.get(usize::try_from(*number).unwrap()));
    let written: Vec<u64> =
        calls.flat_map(|call| call.sectors()).map(|sector| sector / SECTORS).collect();
    all.into_iter().filter(|guest| written.contains(guest)).collect()
}

/// Whether each sector reads as one of some clusters may: more than one of them was written to.
fn of_each(subject: &Subject, clusters: &[u64], digests: &[u64], t: usize) -> bool {
    clusters.len() > 1
        && (0..digests.len()).all(|sector| {
            clusters.iter().any(|other| may_read(subject, *other, sector, digests[sector], t))
        })
}

/// More is written, flushed and closed: the structure stays sound.
fn live(storage: &MemoryStorage, image: Image) -> Result<(), String> {
    let told = |error: qed_core::Error| format!("afterwards: {error}");
    for cluster in [40, 41, 200] {
        image.pwrite(&[0x77; 4096], cluster * C, Flags::NONE).map_err(told)?;
    }
    image.flush().map_err(told)?;
    image.close().map_err(told)?;
    let mut medium = Medium::default();
    let bytes = storage.to_bytes();
    medium.set_length(bytes.len() as u64);
    medium.write(0, &bytes);
    Tables::read(&medium).map(drop).map_err(|what| format!("afterwards: {what}"))
}

/// Judges every state of a log; of one in so many QEMU's check is asked as well.
fn explored(name: &str, one_in: u64) -> (usize, usize) {
    let subject = subject(name);
    let asks = qemu::has_tools(&["qemu-img"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("repaired.qed");
    // What the overlay's backing file was.
    std::fs::write(folder.path().join("backing.raw"), [1; 32768]).unwrap();
    let (mut judged, mut damaged) = (0, 0);
    let plan = Plan { failures: 1, ..Plan::default() };
    let boundaries = subject.boundaries();
    let report = explore(&subject.recording.log, &boundaries, &plan, |medium, t| {
        let state = content(medium);
        judged += 1;
        damaged += usize::from(!Reading::new(&state).is_sound());
        let bytes = judge(&subject, &state, t)?;
        if asks && medium.digest().is_multiple_of(one_in) {
            check_by_qemu(&path, &bytes)?;
        }
        Ok(())
    });
    if let Some(failure) = report.failures.first() {
        panic!("{name}: {failure}");
    }
    (judged, damaged)
}

fn check_by_qemu(path: &Path, bytes: &[u8]) -> Result<(), String> {
    std::fs::write(path, bytes).unwrap();
    let found = qemu::check(path);
    if (found.corruptions, found.check_errors) == (0, 0) {
        Ok(())
    } else {
        Err(format!("QEMU's check of the repaired image: {found:?}"))
    }
}

#[test]
fn every_state_of_qemus_logs_is_repaired_to_what_the_guest_may_read() {
    for (name, one_in) in [("qed", 8), ("qed-mixed", 64), ("qed-over-backing", 16)] {
        let (judged, damaged) = explored(name, one_in);
        println!("{name}: {judged} states, {damaged} of them damaged");
        assert!(judged > 30, "{name}: {judged} states");
        // QEMU sets a barrier where it copies from below.
        assert_eq!(damaged > 0, name != "qed-over-backing", "{name}: {damaged} damaged");
    }
}

#[test]
fn two_owners_of_one_place_come_apart_with_what_was_written_last() {
    // Goal: D6, where the entry that D5 left behind has become an alias. Method: the log of QEMU
    // writing on in such an image; the later owner's data, flushed, is there in every state.
    let (judged, damaged) = explored("qed-after-d05", 8);
    println!("{judged} states, {damaged} of them damaged");
    assert!(judged > 30 && damaged > 20, "{judged} states, {damaged} of them damaged");
}
