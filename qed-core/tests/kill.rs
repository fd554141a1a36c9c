//! Writing processes killed in the midst of their work, many times, on one image.
//!
//! Goal: after every `kill -9` the image is sound as it is, what was flushed is there, and every
//! sector reads as some version since its last stable one. Method: this test starts itself again as
//! the child that writes (`the_child_that_is_killed`). Each of its threads owns a part of the disk,
//! takes its operations from a seed, and reports each one when it is done; so the parent knows
//! which versions of a sector are legal. Sectors say who wrote them, and where. `QED_KILL_ROUNDS`
//! says how often (default 40).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::cast_possible_truncation)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use qed_core::{
    BackingFormat, CreateOptions, Flags, Image, OpenOptions, check, create, inspect, open,
};

#[path = "support/qemu.rs"]
mod qemu;

const THREADS: u64 = 4;
const SECTOR: u64 = 512;
/// Sectors of a thread's part of the disk: 12 MiB.
const PART: u64 = 24_576;
const CLUSTER: u64 = 65536;
const CLUSTER_SECTORS: u64 = CLUSTER / SECTOR;
/// Who wrote the backing file.
const BACKING: u64 = u64::MAX;

/// What one thread does next; places and lengths in sectors of the disk.
#[derive(Clone, Copy, Debug)]
enum Step {
    Write { first: u64, count: u64 },
    Zero { first: u64, count: u64, unmap: bool },
    Discard { first: u64, count: u64 },
    Flush,
}

/// A small generator: the same seed, the same steps, in the child and in its parent.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn step(&mut self, thread: u64) -> Step {
        let kind = self.below(20);
        let most = if self.below(4) == 0 { 512 } else { 16 };
        let count = 1 + self.below(most);
        let first = thread * PART + self.below(PART - count);
        match kind {
            0..12 => Step::Write { first, count },
            12..15 => Step::Zero { first, count, unmap: kind == 12 },
            15..18 => {
                Step::Discard { first, count: count.max(200).min(thread * PART + PART - first) }
            }
            _ => Step::Flush,
        }
    }
}

fn seed(round: u64, thread: u64) -> Dice {
    let mut dice = Dice(round * 1000 + thread);
    dice.below(2);
    dice
}

/// The bytes of `sector` as `writer` leaves them.
fn bytes_of(sector: u64, writer: u64) -> Vec<u8> {
    [sector.to_le_bytes(), writer.to_le_bytes()].concat().repeat(32)
}

/// Who wrote `bytes`, which were read at `sector`: 0 where they are zeroes.
fn writer_of(sector: u64, bytes: &[u8]) -> u64 {
    if bytes.iter().all(|byte| *byte == 0) {
        return 0;
    }
    let writer = u64::from_le_bytes(bytes[8..16].try_into().unwrap());
    assert!(bytes == bytes_of(sector, writer), "sector {sector} is torn or a stranger's");
    writer
}

fn writer(round: u64, thread: u64, number: u64) -> u64 {
    (round + 1) << 40 | thread << 32 | (number + 1)
}

/// The clusters that `first..first + count` covers whole, in sectors.
fn whole_clusters(first: u64, count: u64) -> std::ops::Range<u64> {
    let start = first.next_multiple_of(CLUSTER_SECTORS);
    start..((first + count) / CLUSTER_SECTORS * CLUSTER_SECTORS).max(start)
}

#[test]
fn the_child_that_is_killed() {
    let Some(path) = std::env::var_os("QED_KILL_CHILD") else { return };
    let round: u64 = std::env::var("QED_KILL_ROUND").unwrap().parse().unwrap();
    let image = open(PathBuf::from(path), &OpenOptions::default()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let image = &image;
            scope.spawn(move || {
                let mut dice = seed(round, thread);
                for number in 0.. {
                    perform(image, dice.step(thread), writer(round, thread, number));
                    // One short write to a pipe is whole.
                    let line = format!("\ndone {thread} {number}\n");
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

fn perform(image: &Image, step: Step, writer: u64) {
    match step {
        Step::Write { first, count } => {
            let data: Vec<u8> =
                (first..first + count).flat_map(|sector| bytes_of(sector, writer)).collect();
            image.pwrite(&data, first * SECTOR, Flags::NONE).unwrap();
        }
        Step::Zero { first, count, unmap } => {
            let flags = if unmap { Flags::MAY_UNMAP } else { Flags::NONE };
            image.write_zeroes(first * SECTOR, count * SECTOR, flags).unwrap();
        }
        Step::Discard { first, count } => image.discard(first * SECTOR, count * SECTOR).unwrap(),
        Step::Flush => image.flush().unwrap(),
    }
}

/// Runs the child until it has reported `reports` steps, kills it, and answers how many steps each
/// thread has reported.
fn run_and_kill(path: &Path, round: u64, reports: u64) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_child_that_is_killed", "--nocapture"])
        .env("QED_KILL_CHILD", path)
        .env("QED_KILL_ROUND", round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut done = vec![0; THREADS as usize];
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let Some(report) = line.strip_prefix("done ") else { continue };
        let (thread, number) = report.split_once(' ').unwrap();
        done[thread.parse::<usize>().unwrap()] = number.parse::<u64>().unwrap() + 1;
        seen += 1;
        if seen == reports {
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert!(seen >= reports && !status.success(), "the child ended by itself: {status}");
    done
}

/// Who may have written each touched sector, once a thread has reported `done` steps of a round.
fn legal(round: u64, thread: u64, done: u64, content: &[u64]) -> BTreeMap<u64, Vec<u64>> {
    let mut versions: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut dice = seed(round, thread);
    // The step behind the last one reported may have been done in part.
    for number in 0..=done {
        let (sectors, now) = match dice.step(thread) {
            Step::Write { first, count } => (first..first + count, writer(round, thread, number)),
            Step::Zero { first, count, .. } => (first..first + count, 0),
            Step::Discard { first, count } => (whole_clusters(first, count), 0),
            Step::Flush => {
                if number < done {
                    versions.values_mut().for_each(|all| drop(all.drain(..all.len() - 1)));
                }
                continue;
            }
        };
        for sector in sectors {
            let before = content[sector as usize];
            versions.entry(sector).or_insert_with(|| vec![before]).push(now);
        }
    }
    versions
}

/// Checks every sector of the disk and remembers what it holds now.
fn verify(path: &Path, round: u64, done: &[u64], content: &mut [u64]) {
    let mut options = OpenOptions::default();
    options.image.read_only = true;
    let image = open(path, &options).unwrap();
    for thread in 0..THREADS {
        let legal = legal(round, thread, done[thread as usize], content);
        let mut bytes = vec![0; (PART * SECTOR) as usize];
        image.pread(&mut bytes, thread * PART * SECTOR).unwrap();
        for (sector, bytes) in (thread * PART..).zip(bytes.chunks(SECTOR as usize)) {
            let found = writer_of(sector, bytes);
            let before = content[sector as usize];
            let allowed = legal.get(&sector).map_or(found == before, |all| all.contains(&found));
            assert!(
                allowed,
                "round {round}: sector {sector} is by {found:#x}, before by {before:#x}, \
                 legal are {:x?}",
                legal.get(&sector)
            );
            content[sector as usize] = found;
        }
    }
}

fn assert_sound(path: &Path) {
    assert!(!inspect(path, &OpenOptions::default()).unwrap().info().unwrap().needs_check);
    let report = check(path, &OpenOptions::default()).unwrap();
    assert!(report.is_clean(), "{report:?}");
}

fn killed_again_and_again(options: &CreateOptions, folder: &Path, initial: u64, rounds: u64) {
    let path = folder.join("disk.qed");
    create(&path, options).unwrap();
    let mut content = vec![initial; (THREADS * PART) as usize];
    let with_qemu = qemu::has_tools(&["qemu-img"]);
    let mut dice = Dice(rounds);
    for round in 0..rounds {
        let done = run_and_kill(&path, round, 1 + dice.below(250));
        assert_sound(&path);
        verify(&path, round, &done, &mut content);
        if with_qemu && round % 6 == 5 {
            let theirs = qemu::check(&path);
            assert_eq!((theirs.corruptions, theirs.check_errors), (0, 0), "{theirs:?}");
        }
    }
    assert_no_space_is_lost(&path);
}

/// One session that scans, changes something and closes leaves a file without leaks.
fn assert_no_space_is_lost(path: &Path) {
    let mut options = OpenOptions::default();
    options.image.background = false;
    let image = open(path, &options).unwrap();
    image.discard(0, CLUSTER).unwrap();
    image.close().unwrap();
    assert_sound(path);
    let report = check(path, &OpenOptions::default()).unwrap();
    let length = std::fs::metadata(path).unwrap().len();
    let disk = THREADS * PART * SECTOR;
    assert!(length < 2 * disk, "a file of {length} bytes for a disk of {disk}: {report:?}");
}

fn rounds() -> u64 {
    std::env::var("QED_KILL_ROUNDS").map_or(40, |rounds| rounds.parse().unwrap())
}

#[test]
fn a_killed_writer_leaves_a_sound_image() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = CreateOptions::default();
    options.size = Some(THREADS * PART * SECTOR);
    killed_again_and_again(&options, folder.path(), 0, rounds());
}

#[test]
fn a_killed_writer_leaves_a_sound_overlay() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base.raw");
    let sectors = 0..THREADS * PART;
    let data: Vec<u8> = sectors.flat_map(|sector| bytes_of(sector, BACKING)).collect();
    std::fs::write(&base, &data).unwrap();
    let mut options = CreateOptions::default();
    options.backing = Some("base.raw".into());
    options.backing_format = Some(BackingFormat::Raw);
    killed_again_and_again(&options, folder.path(), BACKING, rounds() / 2);
    assert!(std::fs::read(&base).unwrap() == data, "the backing file was changed");
}
