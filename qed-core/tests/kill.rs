//! Writing processes killed in the midst of their work, many times, on one image.
//!
//! Goal: after every `kill -9` the image is sound as it is, what was flushed is there, and every
//! sector reads as some version since its last stable one. Method: this program starts itself again
//! as the child that writes (one test by its exact name, told by its environment). Each of its
//! threads owns a part of the disk and takes its steps from a seed; what it reports through a pipe
//! tells the parent which versions of a sector are legal. Sectors say where they belong and who
//! wrote them. The moment of the kill is a number of reports. `QED_KILL_ROUNDS` says how often
//! (default 30), `QED_KILL_SEED` which steps (default 1).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::cast_possible_truncation, unreachable_pub)]

use std::path::Path;

use qed_core::{CreateOptions, Flags, Format, OpenOptions, check, create, inspect, open};

#[path = "kill/child.rs"]
mod child;
#[path = "kill/history.rs"]
mod history;
#[path = "support/qemu.rs"]
mod qemu;
#[path = "kill/steps.rs"]
mod steps;

use child::{Start, run_and_kill};
use history::Disk;
use steps::{DISK, Dice, THREADS, bytes_of};

/// Who wrote the backing file.
const BACKING: u64 = u64::MAX;

/// The other tests' child; a test without work where it is not run as one.
#[test]
fn the_child_that_is_killed() {
    child::run_as_child();
}

#[test]
fn a_killed_writer_leaves_a_sound_image() {
    Case::new(65536, 4).run(rounds());
}

#[test]
fn a_killed_writer_leaves_sound_tables() {
    // Each L2 table maps 4 MiB.
    Case::new(4096, 2).run(rounds() / 2);
}

#[test]
fn a_killed_writer_leaves_a_sound_overlay() {
    Case::new(65536, 4).over_a_backing_file().run(rounds() / 2);
}

#[test]
fn a_killed_writer_leaves_an_overlay_with_sound_tables() {
    Case::new(4096, 2).over_a_backing_file().run(rounds() / 2);
}

#[test]
fn a_killed_writer_that_scans_beside_its_requests_leaves_a_sound_image() {
    let mut case = Case::new(65536, 4);
    case.scan_beside = true;
    case.run(rounds() / 2);
}

fn rounds() -> u64 {
    std::env::var("QED_KILL_ROUNDS").map_or(30, |rounds| rounds.parse().unwrap())
}

struct Case {
    folder: tempfile::TempDir,
    options: CreateOptions,
    /// What the backing file holds.
    backing: Vec<u8>,
    scan_beside: bool,
}

impl Case {
    fn new(cluster: u64, table: u64) -> Self {
        let mut options = CreateOptions::default();
        options.size = Some(DISK);
        options.cluster_size = Some(cluster);
        options.table_size = Some(table);
        let folder = tempfile::tempdir().unwrap();
        Self { folder, options, backing: Vec::new(), scan_beside: false }
    }

    /// Over a raw file that ends before the disk does, amidst a sector, with zeroes in its middle.
    fn over_a_backing_file(mut self) -> Self {
        self.backing = bytes_of(0, DISK - (1 << 20) - 100, BACKING);
        self.backing[5 << 20..(8 << 20) + 1000].fill(0);
        std::fs::write(self.folder.path().join("base.raw"), &self.backing).unwrap();
        self.options.backing = Some("base.raw".into());
        self.options.backing_format = Some(Format::Raw);
        self
    }

    fn run(self, rounds: u64) {
        let path = self.folder.path().join("disk.qed");
        create(&path, &self.options).unwrap();
        let seed = std::env::var("QED_KILL_SEED").map_or(1, |seed| seed.parse().unwrap());
        let start = Start { image: &path, seed, scan_beside: self.scan_beside };
        let mut content = self.backing.clone();
        content.resize(DISK as usize, 0);
        let mut disk = Disk { cluster: self.options.cluster_size.unwrap(), content };
        let with_qemu = qemu::has_tools(&["qemu-img"]);
        let mut dice = Dice::of(seed, rounds, THREADS + 1);
        for round in 0..rounds {
            let most = if dice.below(3) == 0 { 15 } else { 400 };
            kill_once(start, &mut disk, round, 1 + dice.below(most));
            if with_qemu && round % 5 == 4 {
                let theirs = qemu::check(&path);
                assert_eq!((theirs.corruptions, theirs.check_errors), (0, 0), "{theirs:?}");
            }
        }
        if with_qemu {
            assert!(read_by_qemu(&path) == disk.content, "QEMU reads otherwise");
        }
        if !self.scan_beside {
            assert_no_space_is_lost(&path);
        }
        if let Some(base) = &self.options.backing {
            let now = std::fs::read(self.folder.path().join(base)).unwrap();
            assert!(now == self.backing, "the backing file was changed");
        }
    }
}

fn kill_once(start: Start<'_>, disk: &mut Disk, round: u64, reports: u64) {
    let (path, seed) = (start.image, start.seed);
    let reports = run_and_kill(start, round, reports);
    assert_sound(path);
    disk.verify(seed, round, &reports, read(path, true));
    if round % 2 == 1 {
        // The next child then begins after a session that changed nothing.
        let found = read(path, false);
        assert!(found == disk.content, "seed {seed}, round {round}: a writer reads otherwise");
    }
    // Without a scan first, every kill before the scan's end leaves a step of the file behind.
    let length = std::fs::metadata(path).unwrap().len();
    let bounded = start.scan_beside || length < DISK / 2 * 3;
    assert!(bounded, "seed {seed}, round {round}: {length} bytes for a disk of {DISK}");
}

/// The whole disk, read by a session of its own.
fn read(path: &Path, read_only: bool) -> Vec<u8> {
    let mut options = OpenOptions::default();
    options.image.read_only = read_only;
    let image = open(path, &options).unwrap();
    let mut bytes = vec![0; DISK as usize];
    image.pread(&mut bytes, 0).unwrap();
    image.close().unwrap();
    bytes
}

fn read_by_qemu(path: &Path) -> Vec<u8> {
    let raw = path.with_extension("raw");
    let names = [qemu::text(path), qemu::text(&raw)];
    qemu::succeed("qemu-img", &["convert", "-f", "qed", "-O", "raw", names[0], names[1]]);
    std::fs::read(&raw).unwrap()
}

fn assert_sound(path: &Path) {
    assert!(!inspect(path, &OpenOptions::default()).unwrap().info().unwrap().needs_check);
    let report = check(path, &OpenOptions::default()).unwrap();
    assert!(report.is_clean(), "{report:?}");
}

/// One session that allocates and closes finds what the killed ones left behind: the file is at
/// most twice what is in use, and when the whole disk is written, hardly more than that.
fn assert_no_space_is_lost(path: &Path) {
    let (clusters, used) = clusters_after_filling(path, 1 << 20);
    assert!(clusters <= 2 * used, "{clusters} clusters in the file, {used} in use");
    let (clusters, used) = clusters_after_filling(path, DISK);
    assert!(clusters <= used + used / 8, "{clusters} clusters in the file, {used} in use");
}

/// The clusters of the file and how many are in use, after a session has written `length` bytes.
fn clusters_after_filling(path: &Path, length: u64) -> (u64, u64) {
    let image = open(path, &OpenOptions::default()).unwrap();
    image.pwrite(&bytes_of(0, length, 1), 0, Flags::NONE).unwrap();
    let cluster = image.info().unwrap().cluster_size;
    image.close().unwrap();
    assert_sound(path);
    let leaks = check(path, &OpenOptions::default()).unwrap().leaks;
    let clusters = std::fs::metadata(path).unwrap().len() / cluster;
    (clusters, clusters - leaks)
}
