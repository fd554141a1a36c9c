//! Figures that are taken inside one process: what an open, a blocking call, a queue's request and
//! an open image cost. `make bench` runs it and puts its numbers beside those of others.
//!
//! `in_process WORK ARGUMENTS...` does one piece of work and prints one number. The work is named
//! in [`main`]; reads are of blocks in an order far from the disk's.

#[path = "in_process/blocks.rs"]
mod blocks;
#[path = "in_process/scale.rs"]
mod scale;

use std::error::Error;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use qed_core::storage::AlignedBuffer;
use qed_core::{
    Aio, Buffers, CacheMode, CreateOptions, Disk, Flags, OpenOptions, Queue, QueueOptions, create,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    // cargo adds its own words.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let number = match words.as_slice() {
        ["open", path, count] => open_read_close(path.as_ref(), number(count)?)?,
        ["create", folder, cache, count] => creating(folder.as_ref(), cache, number(count)?)?,
        ["memory", path, images] => memory_of_open(path.as_ref(), number(images)?)?,
        ["cache", path, bytes] => memory_of_cache(path.as_ref(), number(bytes)?)?,
        ["check", path] => checking(path.as_ref())?,
        ["check-memory", path] => {
            checking(path.as_ref())?;
            kib_of("VmHWM")?
        }
        ["calls", side, path, length, threads, count] => {
            calls(side, path.as_ref(), number(length)?, number(threads)?, number(count)?)?
        }
        ["queue", path, length, depth, count] => {
            queue(path.as_ref(), number(length)?, number(depth)?, number(count)?)?
        }
        ["scale", work, time, threads, count] => {
            scale::scale(work, time, number(threads)?, number(count)?)?
        }
        _ => return Err(format!("no such work: {words:?}").into()),
    };
    println!("{number}");
    Ok(())
}

fn number<T: FromStr>(word: &str) -> Outcome<T> {
    word.parse().map_err(|_| format!("{word:?} is no number").into())
}

fn options(cache: CacheMode) -> OpenOptions {
    let mut options = OpenOptions::default();
    options.image.cache = cache;
    options.image.read_only = true;
    options
}

/// The median of `count` times, in microseconds.
fn median(count: usize, mut work: impl FnMut(usize) -> Outcome<Duration>) -> Outcome<f64> {
    let mut times = (0..count).map(&mut work).collect::<Outcome<Vec<_>>>()?;
    times.sort_unstable();
    let middle = times.get(count / 2).ok_or("no run at all")?;
    Ok(middle.as_secs_f64() * 1e6)
}

/// Open, a first read, close.
fn open_read_close(path: &Path, count: usize) -> Outcome<f64> {
    let options = options(CacheMode::Writeback);
    let mut buffer = [0; 4096];
    median(count, |_| {
        let begun = Instant::now();
        let disk = Disk::open(path, &options)?;
        disk.pread(&mut buffer, 0)?;
        disk.close()?;
        Ok(begun.elapsed())
    })
}

/// A new image of 10 GiB. Removing it is not timed.
fn creating(folder: &Path, cache: &str, count: usize) -> Outcome<f64> {
    let mut options = CreateOptions::default();
    options.size = Some(10 << 30);
    options.cache = match cache {
        "writeback" => CacheMode::Writeback,
        "unsafe" => CacheMode::Unsafe,
        _ => return Err(format!("{cache:?} is neither writeback nor unsafe").into()),
    };
    median(count, |run| {
        let path = folder.join(format!("new-{run}.qed"));
        let begun = Instant::now();
        create(&path, &options)?;
        let time = begun.elapsed();
        std::fs::remove_file(path)?;
        Ok(time)
    })
}

/// A line of `/proc/self/status`, in KiB.
fn kib_of(name: &str) -> Outcome<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("no such line")?;
    number(kib)
}

/// KiB of memory of an open image before I/O: many are open at once.
fn memory_of_open(path: &Path, images: usize) -> Outcome<f64> {
    let options = options(CacheMode::Writeback);
    // What a first one brings into the process is not the others'.
    let first = Disk::open(path, &options)?;
    let before = kib_of("VmRSS")?;
    let disks: Vec<_> =
        (0..images).map(|_| Disk::open(path, &options)).collect::<Result<_, _>>()?;
    let after = kib_of("VmRSS")?;
    drop((first, disks));
    Ok((after - before) / u32::try_from(images).map(f64::from)?)
}

/// KiB of memory that an image takes whose cache of tables may hold `bytes`, once every slice of
/// its tables was wanted.
fn memory_of_cache(path: &Path, bytes: u64) -> Outcome<f64> {
    let mut options = options(CacheMode::Writeback);
    options.image.l2_cache_size = bytes;
    let before = kib_of("VmRSS")?;
    let disk = Disk::open(path, &options)?;
    let mut buffer = [0; 512];
    for offset in (0..disk.size()).step_by(512 * 65536) {
        disk.pread(&mut buffer, offset)?;
    }
    Ok(kib_of("VmRSS")? - before)
}

/// Milliseconds of a check that finds nothing wrong.
fn checking(path: &Path) -> Outcome<f64> {
    let begun = Instant::now();
    let report = qed_core::check(path, &options(CacheMode::Writeback))?;
    let time = begun.elapsed();
    if report.corruptions + report.check_errors > 0 {
        return Err("the image is not sound".into());
    }
    Ok(time.as_secs_f64() * 1e3)
}

/// The offset of a read: blocks of `length`, far from in order.
fn offset(index: u64, length: u64, size: u64) -> u64 {
    index.wrapping_mul(100_003) % (size / length) * length
}

/// Seconds of `count` blocking reads by `threads` threads.
fn calls(side: &str, path: &Path, length: usize, threads: u64, count: u64) -> Outcome<f64> {
    if side == "raw" {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        return read_by_threads(length, threads, count, size, |buffer, offset| {
            file.read_exact_at(buffer, offset).map_err(Into::into)
        });
    }
    let disk = Disk::open(path, &options(CacheMode::Writeback))?;
    read_by_threads(length, threads, count, disk.size(), |buffer, offset| {
        disk.pread(buffer, offset).map_err(Into::into)
    })
}

fn read_by_threads(
    length: usize,
    threads: u64,
    count: u64,
    size: u64,
    read: impl Fn(&mut [u8], u64) -> Outcome<()> + Sync,
) -> Outcome<f64> {
    let read_some = |indices: Range<u64>| {
        let mut buffer = AlignedBuffer::new(length);
        for index in indices {
            read(&mut buffer, offset(index, length as u64, size)).map_err(|e| e.to_string())?;
        }
        Ok::<_, String>(())
    };
    // Once through what is read: the page cache and the tables are warm.
    read_some(0..(size / length as u64).min(count))?;
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let each = count / threads;
        let part = |thread| scope.spawn(move || read_some(thread * each..(thread + 1) * each));
        let parts: Vec<_> = (0..threads).map(part).collect();
        parts.into_iter().try_for_each(|part| part.join().map_err(|_| "a thread panicked")?)
    })?;
    Ok(begun.elapsed().as_secs_f64())
}

/// Seconds of `count` reads through a queue that is kept full, past the page cache.
fn queue(path: &Path, length: usize, depth: usize, count: u64) -> Outcome<f64> {
    let disk = Arc::new(Disk::open(path, &options(CacheMode::None))?);
    let mut slice = AlignedBuffer::new(4096);
    for offset in (0..disk.size()).step_by(512 * 65536) {
        disk.pread(&mut slice, offset)?;
    }
    let size = disk.size();
    let mut wanted = QueueOptions::default();
    (wanted.depth, wanted.aio) = (depth, Aio::IoUring);
    let mut queue = Queue::new(disk, &wanted)?;
    let mut free: Vec<Buffers> = (0..depth).map(|_| AlignedBuffer::new(length).into()).collect();
    let (mut next, mut done) = (0, Vec::with_capacity(depth));
    let begun = Instant::now();
    while next < count || queue.pending() > 0 {
        while next < count {
            let Some(buffers) = free.pop() else { break };
            queue.readv(buffers, offset(next, length as u64, size), next, Flags::NONE)?;
            next += 1;
        }
        queue.do_io(&mut done, 1, depth, None)?;
        for completion in done.drain(..) {
            completion.result?;
            free.push(completion.buffers);
        }
    }
    Ok(begun.elapsed().as_secs_f64())
}
