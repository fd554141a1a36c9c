//! Four queues on four threads, and blocking calls beside them, for as long as one likes:
//! `QED_QUEUE_SECONDS` says so, two otherwise.
//!
//! Goal: the content is exact and the image sound, whatever happens beside each other. Method: each
//! thread has clusters of its own, interleaved with those of the others, so that tables, slices and
//! freed clusters are everybody's; it writes, reads back, zeroes and discards many at once, no two
//! of them over each other, and knows what has to be there. One queue of the four is often left
//! alone with requests in flight.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use qed_core::crash::oracle::by_name;
use qed_core::crash::{Plan, Session, Study};
use qed_core::storage::AlignedBuffer;
use qed_core::{Aio, CacheMode, Disk, Flags, Format, Queue, create};

use crate::rig::{CLUSTER, ENGINES, Rig, finish, image_of, number, options, queue};

const THREADS: u64 = 4;
/// Clusters of each thread.
const OWN: u64 = 700;
const SIZE: u64 = THREADS * OWN * CLUSTER;
const SECTOR: u64 = 512;

/// A reproducible sequence of numbers (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What one thread knows of its clusters: a byte for each sector.
struct Part {
    thread: u64,
    dice: Dice,
    sectors: Vec<u8>,
}

impl Part {
    fn new(thread: u64) -> Self {
        let sectors = vec![0; (OWN * CLUSTER / SECTOR) as usize];
        Self { thread, dice: Dice(0x9e37_79b9 + thread), sectors }
    }

    /// Where a sector of this part is on the disk.
    fn offset(&self, sector: u64) -> u64 {
        let per = CLUSTER / SECTOR;
        (sector / per * THREADS + self.thread) * CLUSTER + sector % per * SECTOR
    }

    /// Asks for something in cluster `cluster` of this part, and notes what comes of it.
    fn ask(&mut self, queue: &mut Queue, cluster: u64) {
        let per = CLUSTER / SECTOR;
        let (mut first, mut count) = (cluster * per, per);
        if self.dice.below(2) == 0 {
            first += self.dice.below(per - 1);
            count = 1 + self.dice.below(per - first % per);
        }
        let (offset, length) = (self.offset(first), count * SECTOR);
        let range = first as usize..(first + count) as usize;
        let kind = self.dice.below(16);
        let queued = match kind {
            0..8 => {
                let byte = 1 + self.dice.below(255) as u8;
                let mut data = AlignedBuffer::new(length as usize);
                data.fill(byte);
                self.sectors[range].fill(byte);
                let flags = if kind == 0 { Flags::FUA } else { Flags::NONE };
                queue.writev(data, offset, first, flags)
            }
            8..12 => queue.readv(AlignedBuffer::new(length as usize), offset, first, Flags::NONE),
            12 => {
                self.sectors[range].fill(0);
                queue.write_zeroes(offset, length, first, Flags::NONE)
            }
            13 => {
                self.sectors[range].fill(0);
                queue.write_zeroes(offset, length, first, Flags::MAY_UNMAP)
            }
            _ => {
                self.sectors[(cluster * per) as usize..((cluster + 1) * per) as usize].fill(0);
                queue.discard(self.offset(cluster * per), CLUSTER, first, Flags::NONE)
            }
        };
        queued.unwrap();
    }

    /// A round of requests in flight together, each in a cluster of its own.
    fn round(&mut self, queue: &mut Queue, disk: &Disk) {
        let count = 1 + self.dice.below(32);
        let start = self.dice.below(OWN - count);
        let mut expected = Vec::new();
        for cluster in start..start + count {
            expected.push(self.sectors[(cluster * CLUSTER / SECTOR) as usize..][..8].to_vec());
            self.ask(queue, cluster);
            if self.dice.below(8) == 0 {
                queue.submit();
            }
        }
        if self.dice.below(4) == 0 {
            queue.flush(u64::MAX, Flags::NONE).unwrap();
        }
        if self.dice.below(8) == 0 {
            // Away from the queue, with requests in flight.
            queue.submit();
            disk.flush().unwrap();
        }
        for done in finish(queue) {
            // What was read is what was there before: nothing else was asked of that cluster.
            let per = CLUSTER / SECTOR;
            let before = expected.get((done.user_data / per).wrapping_sub(start) as usize);
            let Some(before) = before else { continue };
            let now = &self.sectors[(done.user_data / per * per) as usize..][..8];
            let at = (done.user_data % per) as usize;
            for (sector, bytes) in done.buffers.parts().concat().chunks(512).enumerate() {
                let found = bytes[0];
                assert!(bytes.iter().all(|byte| *byte == found));
                assert!(found == before[at + sector] || found == now[at + sector]);
            }
        }
    }

    /// Compares what this part knows with the disk.
    fn check(&self, disk: &Disk) {
        for (sector, byte) in (0..).zip(&self.sectors) {
            let mut bytes = [0xee; SECTOR as usize];
            disk.pread(&mut bytes, self.offset(sector)).unwrap();
            let thread = self.thread;
            assert!(bytes.iter().all(|found| found == byte), "thread {thread}, sector {sector}");
        }
    }
}

/// Runs the threads until `go_on` says no, which is asked the number of the round.
fn run(disk: &Arc<Disk>, aio: Aio, go_on: impl Fn(u64) -> bool + Sync) {
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let go_on = &go_on;
            scope.spawn(move || {
                let mut part = Part::new(thread);
                let mut queue = queue(disk, aio, 64);
                for round in 0.. {
                    if !go_on(round) {
                        break;
                    }
                    part.round(&mut queue, disk);
                }
                drop(queue);
                part.check(disk);
            });
        }
    });
}

fn assert_clean(path: &Path) {
    let report = qed_core::check(path, &options(Format::Qed, CacheMode::Writeback)).unwrap();
    assert!(report.is_clean(), "{report:?}");
    match Command::new("qemu-img").args(["check", "-q", "-f", "qed"]).arg(path).output() {
        // 3: space that nobody uses, as between clusters that were freed.
        Ok(output) => assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}"),
        Err(_) => assert!(std::env::var("CI").as_deref() != Ok("true"), "qemu-img is missing"),
    }
}

#[test]
fn four_queues_on_four_threads_leave_what_they_wrote() {
    let seconds: f64 = number("QED_QUEUE_SECONDS", 2.0);
    let each = Duration::from_secs_f64(seconds / 4.0);
    for cache in [CacheMode::Writeback, CacheMode::None] {
        for aio in ENGINES {
            let rig = Rig::new(SIZE, cache);
            let end = Instant::now() + each;
            run(&rig.disk, aio, |_| Instant::now() < end);
            let (folder, path) = rig.close();
            assert_clean(&path);
            drop(folder);
        }
    }
}

#[test]
fn a_crash_in_the_midst_of_four_queues_loses_nothing_stable() {
    // Method: a short run is recorded, and the states that a power cut may leave of it are judged.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.qed");
    create(&path, &image_of(SIZE)).unwrap();
    let (session, disk) =
        Session::open(&path, &options(Format::Qed, CacheMode::Writeback)).unwrap();
    let disk = Arc::new(disk);
    run(&disk, Aio::IoUring, |round| round < number("QED_QUEUE_ROUNDS", 3));
    Arc::into_inner(disk).unwrap().close().unwrap();
    let study = Study::new(session.recording().unwrap()).unwrap();
    let plan = Plan { full: 4, torn_full: 2, samples: 2, ..Plan::default() };
    let whole = study.explorer(plan.clone()).unwrap().whole();
    let oracles = by_name(&["structure", "no-foreign-data", "durable"]).unwrap();
    let report = study.run(&plan, &whole, oracles, &mut || true).unwrap();
    assert!(report.judged() > 100, "{report}");
    assert!(report.failures.is_empty(), "{}", report.failures[0]);
}
