//! The engine beside a raw file, on the same disk, in one run: medians of pairs, order alternated.
//!
//! `cargo bench -p qed-core` prints one line for each kind of work: the median time of either side
//! and the median of the pairs' ratios. `QED_BENCH_DIR` says where the files go (default: the
//! temporary directory), `QED_BENCH_PAIRS` how many pairs (default 9), `QED_BENCH_DIRECT=1` passes
//! the page cache, `QED_BENCH_WORK` keeps to the lines that contain it.

mod pairs;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use pairs::{Outcome, Settings, medians};
use qed_core::storage::AlignedBuffer;
use qed_core::{CacheMode, CreateOptions, Flags, Image, create, open};

const CLUSTER: u64 = 65536;
const COUNT: u64 = 4096;
const SIZE: u64 = 1 << 30;

/// One kind of work, done by `threads` threads.
struct Work {
    name: &'static str,
    block: usize,
    /// Bytes from one request to the next.
    stride: u64,
    count: u64,
    threads: u64,
    /// A flush after so many requests.
    flush_each: Option<u64>,
    /// The disk is written before the time is taken.
    prepared: bool,
    read: bool,
}

const KIB4: Work = Work {
    name: "",
    block: 4096,
    stride: CLUSTER,
    count: COUNT,
    threads: 1,
    flush_each: None,
    prepared: false,
    read: false,
};

/// What both sides can do.
trait Disk: Sync {
    fn read(&self, buffer: &mut [u8], offset: u64) -> Outcome<()>;
    fn write(&self, buffer: &[u8], offset: u64) -> Outcome<()>;
    fn flush(&self) -> Outcome<()>;
}

impl Disk for File {
    fn read(&self, buffer: &mut [u8], offset: u64) -> Outcome<()> {
        Ok(self.read_exact_at(buffer, offset)?)
    }
    fn write(&self, buffer: &[u8], offset: u64) -> Outcome<()> {
        Ok(self.write_all_at(buffer, offset)?)
    }
    fn flush(&self) -> Outcome<()> {
        Ok(self.sync_data()?)
    }
}

impl Disk for Image {
    fn read(&self, buffer: &mut [u8], offset: u64) -> Outcome<()> {
        Ok(self.pread(buffer, offset)?)
    }
    fn write(&self, buffer: &[u8], offset: u64) -> Outcome<()> {
        Ok(self.pwrite(buffer, offset, Flags::NONE)?)
    }
    fn flush(&self) -> Outcome<()> {
        Ok(Image::flush(self)?)
    }
}

fn main() -> Outcome<()> {
    let Settings { pairs, direct, folder } = Settings::read()?;
    println!("{:44} {:>9} {:>9} {:>7}", "work", "raw ms", "qed ms", "ratio");
    let works = [
        Work { name: "4 KiB reads, allocated", prepared: true, read: true, count: 32768, ..KIB4 },
        Work { name: "4 KiB writes in place", prepared: true, count: 32768, ..KIB4 },
        Work { name: "4 KiB writes in place, 4 threads", threads: 4, prepared: true, ..KIB4 },
        Work { name: "4 KiB writes into new clusters", ..KIB4 },
        Work { name: "4 KiB writes into new clusters, 4 threads", threads: 4, ..KIB4 },
        Work { name: "64 KiB sequential writes into new clusters", block: 65536, ..KIB4 },
        Work { name: "the same with a flush each 32", flush_each: Some(32), count: 1024, ..KIB4 },
    ];
    let only = std::env::var("QED_BENCH_WORK").unwrap_or_default();
    let mut wanted = works.iter().filter(|work| work.name.contains(&only));
    let result = wanted.try_for_each(|work| measure(work, &folder, direct, pairs));
    std::fs::remove_dir_all(&folder)?;
    result
}

fn measure(work: &Work, folder: &Path, direct: bool, pairs: u64) -> Outcome<()> {
    let mut times = Vec::new();
    for pair in 0..pairs {
        let (raw, qed);
        if pair % 2 == 0 {
            raw = time_raw(work, &folder.join("raw"), direct)?;
            qed = time_qed(work, &folder.join("qed"), direct)?;
        } else {
            qed = time_qed(work, &folder.join("qed"), direct)?;
            raw = time_raw(work, &folder.join("raw"), direct)?;
        }
        times.push((raw, qed));
    }
    let (raw, qed, ratio) = medians(&times);
    println!("{:44} {raw:9.2} {qed:9.2} {ratio:7.3}", work.name);
    Ok(())
}

fn time_raw(work: &Work, path: &Path, direct: bool) -> Outcome<Duration> {
    let flags = if direct { libc::O_DIRECT } else { 0 };
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true).custom_flags(flags);
    let file = options.open(path)?;
    file.set_len(SIZE)?;
    let time = run(work, &file);
    std::fs::remove_file(path)?;
    time
}

fn time_qed(work: &Work, path: &Path, direct: bool) -> Outcome<Duration> {
    let mut options = CreateOptions::default();
    options.size = Some(SIZE);
    create(path, &options)?;
    let mut options = qed_core::OpenOptions::default();
    options.image.cache = if direct { CacheMode::None } else { CacheMode::Writeback };
    let image = open(path, &options)?;
    let time = run(work, &image);
    drop(image);
    std::fs::remove_file(path)?;
    time
}

fn run(work: &Work, disk: &dyn Disk) -> Outcome<Duration> {
    if work.prepared {
        let block = AlignedBuffer::new(1 << 20);
        for at in (0..SIZE).step_by(1 << 20) {
            disk.write(&block, at)?;
        }
    }
    disk.flush()?;
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..work.threads)
            .map(|thread| scope.spawn(move || requests(work, disk, thread)))
            .collect();
        for thread in threads {
            let done = thread.join().map_err(|_| "a thread panicked")?;
            done.map_err(|error| error.to_string())?;
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    disk.flush()?;
    Ok(begun.elapsed())
}

fn requests(work: &Work, disk: &dyn Disk, thread: u64) -> Result<(), String> {
    let failed = |error: Box<dyn std::error::Error>| error.to_string();
    let mut buffer = AlignedBuffer::new(work.block);
    buffer.fill(1);
    let slots = SIZE / work.stride;
    for request in 0..work.count / work.threads {
        // A stride that is coprime to the slots visits each of them once, far from in order.
        let slot = (request * work.threads + thread) * 1_000_003 % slots;
        let slot = if work.block == 65536 { request * work.threads + thread } else { slot };
        if work.read {
            disk.read(&mut buffer, slot * work.stride).map_err(failed)?;
        } else {
            disk.write(&buffer, slot * work.stride).map_err(failed)?;
        }
        if work.flush_each.is_some_and(|each| request % each == each - 1) {
            disk.flush().map_err(failed)?;
        }
    }
    Ok(())
}
