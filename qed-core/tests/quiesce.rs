//! Disks at rest, and disks that run on over an external snapshot.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

#[path = "support/qemu.rs"]
mod qemu;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;

use qed_core::crash::oracle::by_name;
use qed_core::crash::{Plan, Session, Study};
use qed_core::storage::MemoryStorage;
use qed_core::{
    BackingPolicy, CreateOptions, CreateSpec, Disk, ErrorKind, Flags, Format, ImageSettings,
    OpenOptions, add_overlay, create, format, format_storage,
};
use tempfile::TempDir;

const C: u64 = 65536;
const SIZE: u64 = 64 * C;

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new image, open for writing.
    fn disk(&self, name: &str, format: Format) -> Disk {
        let mut options = CreateOptions::default();
        (options.format, options.size) = (format, Some(SIZE));
        create(self.at(name), &options).unwrap();
        Disk::open(self.at(name), &opening(format)).unwrap()
    }
}

fn opening(format: Format) -> OpenOptions {
    let mut options = OpenOptions::default();
    (options.format, options.backing) = (format, BackingPolicy::Follow);
    options
}

fn content(disk: &Disk) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(disk.size()).unwrap()];
    disk.pread(&mut bytes, 0).unwrap();
    bytes
}

/// What somebody else reads who opens the file now.
fn read_by_another(path: &Path, format: Format) -> Vec<u8> {
    let mut options = opening(format);
    options.image.read_only = true;
    content(&Disk::open(path, &options).unwrap())
}

fn kind<T: std::fmt::Debug>(result: qed_core::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn a_quiesced_file_is_complete_unlocked_and_as_short_as_it_can_be() {
    // Goal: what stands in the file at rest is all there is. Method: a copy of it, compared.
    for format in [Format::Qed, Format::Raw, Format::Qcow2] {
        let place = Place::new();
        let disk = place.disk("disk", format);
        disk.pwrite(&[7; 3 * 4096], C - 4096, Flags::NONE).unwrap();
        disk.quiesce().unwrap();
        fs::copy(place.at("disk"), place.at("copy")).unwrap();
        let other = Disk::open(place.at("disk"), &opening(format)).unwrap();
        other.pwrite(&[8; 512], 5 * C, Flags::NONE).unwrap();
        other.close().unwrap();
        disk.resume().unwrap();
        let mut expected = vec![0; usize::try_from(SIZE).unwrap()];
        expected[65536 - 4096..65536 + 8192].fill(7);
        assert!(read_by_another(&place.at("copy"), format) == expected, "{format}");
        expected[5 * 65536..5 * 65536 + 512].fill(8);
        assert!(content(&disk) == expected, "{format}: what another wrote meanwhile");
        let locked = Disk::open(place.at("disk"), &opening(format));
        assert_eq!(kind(locked), ErrorKind::Locked, "locked again");
        if format == Format::Qed {
            let length = fs::metadata(place.at("copy")).unwrap().len();
            assert_eq!(length, (1 + 4 + 4 + 2) * C, "header, L1, one L2, two clusters");
        }
        disk.close().unwrap();
    }
}

#[test]
fn calls_of_other_threads_wait_and_those_of_the_same_thread_fail() {
    let place = Place::new();
    let disk = place.disk("disk", Format::Qed);
    disk.quiesce().unwrap();
    assert_eq!(kind(disk.pread(&mut [0; 512], 0)), ErrorKind::Busy);
    assert_eq!(kind(disk.quiesce()), ErrorKind::Busy);
    assert_eq!((disk.size(), disk.format()), (SIZE, Format::Qed), "facts need no file");
    let resumed = AtomicBool::new(false);
    thread::scope(|scope| {
        let (began, begins) = mpsc::channel();
        let (disk, resumed) = (&disk, &resumed);
        scope.spawn(move || {
            began.send(()).unwrap();
            disk.pwrite(&[1; 512], 0, Flags::NONE).unwrap();
            assert!(resumed.load(SeqCst), "it waited");
        });
        begins.recv().unwrap();
        resumed.store(true, SeqCst);
        disk.resume().unwrap();
    });
    assert_eq!(content(&disk)[..512], [1; 512]);
    assert_eq!(kind(disk.resume()), ErrorKind::InvalidArgument);
}

#[test]
fn a_disk_that_cannot_be_opened_again_fails_calls_until_it_can() {
    // Goal: nobody hangs, and nothing is lost. Method: the header is gone when it is resumed.
    let place = Place::new();
    let disk = place.disk("disk", Format::Qed);
    disk.pwrite(&[3; 512], 0, Flags::NONE).unwrap();
    disk.quiesce().unwrap();
    let whole = fs::read(place.at("disk")).unwrap();
    fs::write(place.at("disk"), b"not an image").unwrap();
    assert_eq!(kind(disk.resume()), ErrorKind::NotQed);
    let error = disk.pread(&mut [0; 512], 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains("opening it again failed"), "{error}");
    fs::write(place.at("disk"), whole).unwrap();
    disk.resume().unwrap();
    assert_eq!(content(&disk)[..512], [3; 512]);
}

#[test]
fn a_disk_in_memory_comes_to_rest_as_well() {
    let storage = Arc::new(MemoryStorage::new());
    let geometry = format::Geometry::new(4096, 2).unwrap();
    format_storage(&*storage, &CreateSpec::new(geometry, 1 << 20).unwrap()).unwrap();
    let (held, settings) = (Arc::clone(&storage), ImageSettings::default());
    let disk = Disk::from_storage(held, Format::Qed, None, settings.clone()).unwrap();
    disk.pwrite(&[5; 512], 4096, Flags::NONE).unwrap();
    disk.quiesce().unwrap();
    let copy = Arc::new(MemoryStorage::from_bytes(&storage.to_bytes()));
    let copied = Disk::from_storage(copy, Format::Qed, None, settings).unwrap();
    disk.resume().unwrap();
    assert_eq!(content(&copied), content(&disk));
    let place = Place::new();
    let error = add_overlay(&disk, place.at("over"), &named("base")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(!place.at("over").exists(), "nothing is left behind");
    assert_eq!(content(&disk), content(&copied), "it runs on");
}

fn named(backing: &str) -> CreateOptions {
    let mut options = CreateOptions::default();
    options.backing = Some(backing.into());
    options
}

#[test]
fn every_crash_around_a_rest_keeps_what_was_written_before_it() {
    // Goal: a quiesce is a flush, and both of its sides are as safe as any other moment. Method: a
    // recorded disk that rests between writes, its states judged.
    let place = Place::new();
    let mut options = CreateOptions::default();
    (options.size, options.cluster_size) = (Some(16 * 4096), Some(4096));
    create(place.at("disk"), &options).unwrap();
    let (session, disk) = Session::open(&place.at("disk"), &opening(Format::Qed)).unwrap();
    for round in 0..3 {
        disk.pwrite(&[round + 1; 1536], u64::from(round) * 9000, Flags::NONE).unwrap();
        disk.quiesce().unwrap();
        disk.resume().unwrap();
        disk.discard(4096, 8192).unwrap();
    }
    disk.close().unwrap();
    let study = Study::new(session.recording().unwrap()).unwrap();
    let plan = Plan::default();
    let whole = study.explorer(plan.clone()).unwrap().whole();
    let oracles = by_name(&["structure", "durable", "no-foreign-data", "recovery", "life-goes-on"]);
    let report = study.run(&plan, &whole, oracles.unwrap(), &mut || true).unwrap();
    assert!(report.failures.is_empty() && report.generated() > 100, "{report}");
}

#[test]
fn a_running_disk_goes_on_in_its_overlay() {
    // Goal: no write is lost and none reaches a file that is only read. Method: three threads write
    // counters while the disk is put under four overlays; each base is compared with its copy.
    for format in [Format::Qed, Format::Raw, Format::Qcow2] {
        let place = Place::new();
        let disk = place.disk("0", format);
        let stop = AtomicBool::new(false);
        let newest = thread::scope(|scope| {
            let writers = [0, 1, 2].map(|number: u64| {
                let (disk, stop) = (&disk, &stop);
                scope.spawn(move || {
                    let mut counter = 0u64;
                    while !stop.load(SeqCst) {
                        counter += 1;
                        let at = (number + 3 * (counter % 8)) * C + 512;
                        disk.pwrite(&counter.to_le_bytes(), at, Flags::NONE).unwrap();
                        let mut back = [0; 8];
                        disk.pread(&mut back, at).unwrap();
                        assert_eq!(u64::from_le_bytes(back), counter);
                    }
                    counter
                })
            });
            let mut frozen: Vec<(PathBuf, Vec<u8>)> = Vec::new();
            for number in 1..5 {
                let below = place.at(&(number - 1).to_string());
                add_overlay(&disk, place.at(&number.to_string()), &CreateOptions::default())
                    .unwrap();
                frozen.push((below.clone(), fs::read(&below).unwrap()));
            }
            stop.store(true, SeqCst);
            for (path, bytes) in frozen {
                assert!(fs::read(&path).unwrap() == bytes, "{} is only read", path.display());
            }
            writers.map(|writer| writer.join().unwrap())
        });
        let expected = content(&disk);
        for (number, newest) in (0u64..).zip(newest) {
            let at = usize::try_from((number + 3 * (newest % 8)) * C + 512).unwrap();
            assert_eq!(expected[at..at + 8], newest.to_le_bytes(), "writer {number}");
        }
        let formats: Vec<_> = disk.layers().iter().map(|layer| layer.format).collect();
        assert_eq!(formats, [Format::Qed, Format::Qed, Format::Qed, Format::Qed, format]);
        assert_eq!(disk.path(), Some(place.at("4")));
        disk.close().unwrap();
        let last = place.at("4");
        assert!(read_by_another(&last, Format::Qed) == expected, "by its names alone");
        if qemu::has_tools(&["qemu-img"]) {
            fs::write(place.at("dump"), &expected).unwrap();
            let names = [qemu::text(&last).to_owned(), qemu::text(&place.at("dump")).to_owned()];
            let compared = ["compare", "-f", "qed", "-F", "raw", &names[0], &names[1]];
            qemu::succeed("qemu-img", &compared);
        }
    }
}

#[test]
fn an_overlay_may_lie_elsewhere_and_is_quiesced_with_its_base() {
    let (place, elsewhere) = (Place::new(), Place::new());
    let disk = place.disk("base", Format::Qed);
    disk.pwrite(&[1; 512], 0, Flags::NONE).unwrap();
    add_overlay(&disk, elsewhere.at("over"), &CreateOptions::default()).unwrap();
    disk.pwrite(&[2; 512], 512, Flags::NONE).unwrap();
    disk.quiesce().unwrap();
    drop(Disk::open(place.at("base"), &opening(Format::Qed)).unwrap());
    assert_eq!(sectors(&read_by_another(&elsewhere.at("over"), Format::Qed)), (1, 2));
    disk.resume().unwrap();
    assert_eq!(sectors(&content(&disk)), (1, 2));
    assert_eq!(kind(Disk::open(place.at("base"), &opening(Format::Qed))), ErrorKind::Locked);
}

/// The byte that each of the first two sectors consists of.
fn sectors(bytes: &[u8]) -> (u8, u8) {
    let (one, two) = (&bytes[..512], &bytes[512..1024]);
    assert!(one.iter().all(|byte| *byte == one[0]) && two.iter().all(|byte| *byte == two[0]));
    (one[0], two[0])
}

#[test]
fn a_failed_overlay_leaves_the_disk_as_it_was() {
    let place = Place::new();
    let disk = place.disk("disk", Format::Qed);
    disk.pwrite(&[9; 512], 0, Flags::NONE).unwrap();
    File::create(place.at("taken")).unwrap();
    let fails =
        |name: &str, options: &CreateOptions| kind(add_overlay(&disk, place.at(name), options));
    assert_eq!(fails("taken", &CreateOptions::default()), ErrorKind::AlreadyExists);
    let mut sized = CreateOptions::default();
    sized.size = Some(SIZE);
    assert_eq!(fails("over", &sized), ErrorKind::InvalidArgument);
    let mut raw = CreateOptions::default();
    raw.format = Format::Raw;
    assert_eq!(fails("over", &raw), ErrorKind::InvalidArgument);
    let mut unsound = CreateOptions::default();
    unsound.cluster_size = Some(1000);
    assert_eq!(fails("over", &unsound), ErrorKind::InvalidArgument);
    let mut on_itself = CreateOptions::default();
    on_itself.overwrite = true;
    assert_eq!(fails("disk", &on_itself), ErrorKind::Locked);
    assert!(!place.at("over").exists());
    assert_eq!(content(&disk)[..512], [9; 512]);
    disk.pwrite(&[8; 512], 0, Flags::NONE).unwrap();
    let layers = disk.layers();
    assert_eq!((layers.len(), layers[0].path.clone()), (1, Some(place.at("disk"))));
}
