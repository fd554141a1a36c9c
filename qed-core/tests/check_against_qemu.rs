//! Goal: our check counts what `qemu-img check` counts, wherever QEMU is right (F6, D3).
//! Method: images made by qemu-img and qemu-io, as they are and with entries overwritten, judged by
//! both. Leaks are compared in files that QEMU can count, of at most C*(C-1) bytes.

#![allow(clippy::unwrap_used)] // clippy knows tests by their attribute, not their helpers

#[path = "support/qemu.rs"]
mod qemu;

use qed_core::{CheckReport, OpenOptions, check};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn qemu_is_here() -> bool {
    qemu::has_tools(&["qemu-img", "qemu-io"])
}

/// An image file in a directory of its own.
struct Image {
    _directory: tempfile::TempDir,
    path: PathBuf,
    cluster_size: u64,
}

impl Image {
    fn new(cluster_size: u64, table_size: u64, size: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image.qed");
        qemu::create(&path, cluster_size, table_size, size, &[]);
        Self { _directory: directory, path, cluster_size }
    }

    /// Runs qemu-io commands: `abort` as the last one leaves the image dirty.
    fn io(&self, commands: &[String]) {
        let name = self.path.to_str().unwrap();
        let mut arguments = vec!["-f", "qed", name];
        for command in commands {
            arguments.extend(["-c", command]);
        }
        let output = Command::new("qemu-io").args(arguments).output().unwrap();
        let aborts = commands.last().is_some_and(|last| last == "abort");
        assert_eq!(output.status.success(), !aborts, "{commands:?}: {output:?}");
    }

    fn word(&self, offset: u64) -> u64 {
        let mut bytes = [0; 8];
        File::open(&self.path).unwrap().read_exact_at(&mut bytes, offset).unwrap();
        u64::from_le_bytes(bytes)
    }

    fn put(&self, offset: u64, word: u64) {
        let file = File::options().write(true).open(&self.path).unwrap();
        file.write_all_at(&word.to_le_bytes(), offset).unwrap();
    }

    fn length(&self) -> u64 {
        fs::metadata(&self.path).unwrap().len()
    }

    fn set_length(&self, length: u64) {
        File::options().write(true).open(&self.path).unwrap().set_len(length).unwrap();
    }

    fn l1(&self) -> u64 {
        self.word(40)
    }

    fn l2(&self, index: u64) -> u64 {
        self.word(self.l1() + 8 * index)
    }

    fn check(&self) -> CheckReport {
        check(&self.path, &OpenOptions::default()).unwrap()
    }
}

/// What QEMU says: total, allocated, fragmented, corruptions, check errors, leaks.
fn qemu_check(path: &Path) -> [u64; 6] {
    let qemu::Check { total, allocated, fragmented, corruptions, check_errors, leaks } =
        qemu::check(path);
    [total, allocated, fragmented, corruptions, check_errors, leaks]
}

fn ours(report: &CheckReport) -> [u64; 6] {
    [
        report.total_clusters,
        report.allocated_clusters,
        report.fragmented_clusters,
        report.corruptions,
        report.check_errors,
        report.leaks,
    ]
}

fn assert_same(image: &Image, what: &str) -> CheckReport {
    let limit = image.cluster_size * (image.cluster_size - 1);
    assert!(image.length() <= limit, "QEMU counts leaks wrong in longer files (D3)");
    let report = image.check();
    assert_eq!(ours(&report), qemu_check(&image.path), "{what}: {report:?}");
    report
}

fn commands(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

/// A generator of numbers that is the same everywhere (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

#[test]
fn fresh_images_count_the_same() {
    if !qemu_is_here() {
        return;
    }
    for (cluster_size, table_size) in [(4096, 2), (4096, 16), (65536, 4), (1 << 20, 2)] {
        let image = Image::new(cluster_size, table_size, "300M");
        let report = assert_same(&image, "fresh");
        assert_eq!(report.image_end_offset, (1 + table_size) * cluster_size);
        assert!(report.is_clean() && report.leaks == 0);
    }
}

#[test]
fn images_with_data_in_any_order_count_the_same() {
    if !qemu_is_here() {
        return;
    }
    for seed in 0..6 {
        let mut numbers = Numbers(seed);
        let table_size = [2, 4, 16][usize::try_from(seed % 3).unwrap()];
        let image = Image::new(4096, table_size, "64M");
        let mut list = Vec::new();
        for _ in 0..25 {
            let (at, length) = (numbers.below(16_000) * 4096, (1 + numbers.below(9)) * 4096);
            let zero = if numbers.below(4) == 0 { "-z " } else { "" };
            list.push(format!("write {zero}{at} {length}"));
        }
        image.io(&list);
        let report = assert_same(&image, &format!("seed {seed}"));
        assert!(report.is_clean() && report.allocated_clusters > 25);
        assert_eq!(report.image_end_offset, image.length());
    }
}

#[test]
fn a_dirty_image_counts_the_same() {
    if !qemu_is_here() {
        return;
    }
    let image = Image::new(65536, 4, "1G");
    image.io(&commands(&["write 0 128k", "write 512M 64k", "abort"]));
    assert_eq!(image.word(16) & 2, 2, "the image must be dirty");
    let report = assert_same(&image, "dirty");
    assert_eq!(report.corruptions, 0);
    // The crash that the flag stands for: the file is shorter than its tables say.
    let end = image.length();
    image.set_length(end - 65536);
    let report = assert_same(&image, "dirty and cut");
    assert_eq!(report.corruptions, 1);
    image.set_length(end - 65536 + 65025);
    assert_eq!(assert_same(&image, "one byte over the last sector").corruptions, 0);
}

#[test]
fn leaks_count_the_same() {
    if !qemu_is_here() {
        return;
    }
    let image = Image::new(4096, 2, "16M");
    image.io(&commands(&["write 0 64k"]));
    let end = image.length();
    image.set_length(end + 4 * 4096);
    assert_eq!(assert_same(&image, "longer file").leaks, 4);
    let l2 = image.l2(0);
    image.put(l2 + 8 * 5, 0);
    image.put(l2 + 8 * 9, 1);
    assert_eq!(assert_same(&image, "entries cleared").leaks, 6);
    image.put(image.l1(), 0);
    assert_eq!(assert_same(&image, "the whole table lost").leaks, 4 + 2 + 16);
    // A cluster that is there in part is wasted space as well; QEMU does not count it.
    image.set_length(end + 3 * 4096 + 100);
    assert_eq!(image.check().leaks, 4 + 2 + 16);
}

#[test]
fn bad_l2_entries_count_the_same() {
    if !qemu_is_here() {
        return;
    }
    for seed in 0..8 {
        let mut numbers = Numbers(100 + seed);
        let image = Image::new(4096, 2, "16M");
        image.io(&commands(&["write 0 64k", "write 5M 64k", "write -z 1M 64k"]));
        let end = image.length();
        for _ in 0..1 + numbers.below(6) {
            let entry = image.l2(numbers.below(2)) + 8 * numbers.below(1024);
            let clusters = end / 4096;
            // Clusters from 3 on are L2 tables and data; 1 is in the L1 table, which QEMU marks.
            let word = match numbers.below(6) {
                0 => end,
                1 => end + (numbers.below(1 << 40) << 12),
                2 => (3 + numbers.below(clusters - 3)) * 4096 + 512,
                3 => 2 + numbers.below(1 << 50),
                4 => u64::MAX - numbers.below(1 << 20),
                _ => 4096,
            };
            image.put(entry, word);
        }
        let report = assert_same(&image, &format!("seed {seed}"));
        assert!(report.corruptions > 0, "seed {seed}");
        assert_eq!(report.findings.len() as u64, report.corruptions);
    }
}

#[test]
fn duplicates_count_the_same() {
    if !qemu_is_here() {
        return;
    }
    let image = Image::new(4096, 2, "16M");
    image.io(&commands(&["write 0 64k"]));
    let l2 = image.l2(0);
    let data = image.word(l2);
    for entry in [100, 101, 200] {
        image.put(l2 + 8 * entry, data);
    }
    assert_eq!(assert_same(&image, "one cluster four times").corruptions, 3);
}

#[test]
fn bad_l1_entries_count_the_same() {
    if !qemu_is_here() {
        return;
    }
    let image = Image::new(4096, 2, "16M");
    image.io(&commands(&["write 0 64k", "write 5M 64k"]));
    let (l1, end) = (image.l1(), image.length());
    let outside = [1, 8, end, end - 4096, 1 << 40, u64::MAX, 4096 * 3 + 512];
    for (index, word) in (10..).zip(outside) {
        image.put(l1 + 8 * index, word);
    }
    let report = assert_same(&image, "tables that are none");
    assert_eq!(report.corruptions, 7);
}

#[test]
fn damage_that_qemu_finds_is_found() {
    // Not the same numbers: QEMU counts clusters and believes the reference it meets first, we
    // count entries and mark all tables before any data.
    if !qemu_is_here() {
        return;
    }
    let image = Image::new(4096, 2, "16M");
    image.io(&commands(&["write 0 64k", "write 5M 64k"]));
    let (l1, l2) = (image.l1(), image.l2(0));
    let cases = [
        ("a table named twice", l1 + 8 * 20, l2),
        ("a table in data", l1 + 8 * 20, image.word(l2)),
        ("a table in the L1 table", l1 + 8 * 20, l1),
        ("a cluster in the L1 table", l2 + 8 * 99, l1),
        ("a cluster in an L2 table", l2 + 8 * 99, image.l2(1)),
    ];
    for (what, entry, word) in cases {
        let before = image.word(entry);
        image.put(entry, word);
        let (report, theirs) = (image.check(), qemu_check(&image.path));
        assert!(report.corruptions > 0 && theirs[3] > 0, "{what}: {report:?} {theirs:?}");
        image.put(entry, before);
        assert!(assert_same(&image, what).is_clean(), "{what}: undone");
    }
}

#[test]
fn files_that_qemu_miscounts_are_clean() {
    // Goal: D3. Method: one full image of 24 MiB at 4 KiB clusters, over C*(C-1) bytes.
    if !qemu_is_here() {
        return;
    }
    let image = Image::new(4096, 4, "24M");
    image.io(&commands(&["write 0 12M", "write 12M 12M"]));
    assert!(image.length() > 4096 * 4095);
    let (report, theirs) = (image.check(), qemu_check(&image.path));
    assert_eq!((report.corruptions, report.check_errors, report.leaks), (0, 0, 0));
    assert_eq!(ours(&report)[..5], theirs[..5]);
    assert_eq!(report.image_end_offset, image.length());
}
