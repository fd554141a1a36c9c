//! Requests on mapped clusters from 1, 2, 4 and 8 threads, on a storage in memory that shares
//! nothing between them: what is left is what the engine shares.
//!
//! `cargo bench -p qed-core --bench scaling` prints requests a second, how many times those of one
//! thread that is, and the processor's time for a request in nanoseconds, which other processes
//! disturb less: where threads share nothing it stays the same. Each keeps to clusters of its own.
//! `QED_BENCH_REQUESTS` says how many requests a thread makes (default 400,000),
//! `QED_BENCH_THREADS` the most threads (default 8).

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use qed_core::format::Geometry;
use qed_core::storage::{Limits, Storage, StoredExtent, WriteFlags};
use qed_core::{CreateSpec, Flags, Image, ImageSettings, format_storage};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const CLUSTER: u64 = 65536;
/// Clusters that a thread keeps to, as many however many threads there are: their blocks fit into a
/// processor's own cache.
const OWN: u64 = 128;
/// Guest bytes, all of them mapped.
const SIZE: u64 = 8 * OWN * CLUSTER;
const BLOCK: usize = 4096;

/// A file of blocks, each behind a lock of its own, on cache lines of its own.
struct Blocks(Box<[Mutex<Block>]>);

#[repr(align(128))]
struct Block([u8; BLOCK]);

impl Blocks {
    fn each(&self, offset: u64, length: usize, mut with: impl FnMut(&mut [u8])) -> io::Result<()> {
        let mut at = usize::try_from(offset).map_err(io::Error::other)?;
        let end = at + length;
        while at < end {
            let within = at % BLOCK;
            let stop = end.min(at - within + BLOCK);
            let block = self.0.get(at / BLOCK).ok_or(io::ErrorKind::UnexpectedEof)?;
            let mut block = block.lock().unwrap_or_else(PoisonError::into_inner);
            with(&mut block.0[within..within + stop - at]);
            at = stop;
        }
        Ok(())
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Blocks").field(&self.0.len()).finish()
    }
}

impl Storage for Blocks {
    fn limits(&self) -> Limits {
        Limits { atomic_unit: 512, zeroes_new_space: true, can_punch: false }
    }
    fn len(&self) -> io::Result<u64> {
        Ok((self.0.len() * BLOCK) as u64)
    }
    fn read(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        let mut at = offset;
        for buffer in buffers {
            let mut rest = &mut buffer[..];
            self.each(at, rest.len(), |block| {
                let (part, tail) = std::mem::take(&mut rest).split_at_mut(block.len());
                part.copy_from_slice(block);
                rest = tail;
            })?;
            at += buffer.len() as u64;
        }
        Ok(())
    }
    fn write(&self, buffers: &[IoSlice<'_>], offset: u64, _flags: WriteFlags) -> io::Result<()> {
        let mut at = offset;
        for buffer in buffers {
            let mut rest = &buffer[..];
            self.each(at, rest.len(), |block| {
                let (part, tail) = rest.split_at(block.len());
                block.copy_from_slice(part);
                rest = tail;
            })?;
            at += buffer.len() as u64;
        }
        Ok(())
    }
    fn zero_range(&self, _offset: u64, _length: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn punch(&self, _offset: u64, _length: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn set_len(&self, _length: u64) -> io::Result<()> {
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn stored_extent(&self, _offset: u64, length: u64) -> io::Result<StoredExtent> {
        Ok(StoredExtent { length, hole: false })
    }
    fn disk_usage(&self) -> io::Result<u64> {
        self.len()
    }
}

fn main() -> Outcome<()> {
    let requests = number("QED_BENCH_REQUESTS").unwrap_or(400_000);
    let most = number("QED_BENCH_THREADS").unwrap_or(8);
    let image = mapped_image()?;
    println!("{:8} {:>8} {:>12} {:>6} {:>8}", "work", "threads", "requests/s", "times", "cpu ns");
    for (name, writes) in [("reads", false), ("writes", true)] {
        let mut alone = None;
        for threads in [1, 2, 4, 8].into_iter().filter(|threads| *threads <= most) {
            let (rate, cpu) = best_rate(&image, threads, requests, writes)?;
            let times = rate / *alone.get_or_insert(rate);
            println!("{name:8} {threads:8} {rate:12.0} {times:6.2} {cpu:8.0}");
        }
    }
    Ok(())
}

/// An image whose clusters are all mapped, and stable.
fn mapped_image() -> Outcome<Image> {
    let blocks = (SIZE / BLOCK as u64) * 5 / 4;
    let blocks = (0..blocks).map(|_| Mutex::new(Block([0; BLOCK]))).collect();
    let storage = Arc::new(Blocks(blocks));
    format_storage(&*storage, &CreateSpec::new(Geometry::new(CLUSTER, 4)?, SIZE)?)?;
    let settings = ImageSettings { background: false, ..ImageSettings::default() };
    let image = Image::from_storage(storage, None, settings)?;
    for cluster in 0..SIZE / CLUSTER {
        image.pwrite(&[1; BLOCK], cluster * CLUSTER, Flags::NONE)?;
    }
    image.flush()?;
    Ok(image)
}

/// Requests a second of all threads together, and the processor's nanoseconds for one: the best of
/// five runs.
fn best_rate(image: &Image, threads: u64, requests: u64, writes: bool) -> Outcome<(f64, f64)> {
    let (mut best, mut least) = (0.0_f64, f64::MAX);
    for _ in 0..5 {
        let begun = Instant::now();
        let busy: u64 = std::thread::scope(|scope| {
            let work = move |thread| requests_of(image, thread, requests, writes);
            let running: Vec<_> =
                (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, Result<u64, String>>| {
                thread.join().map_err(|_| "a thread panicked".to_string())?
            };
            running.into_iter().map(join).sum::<Result<u64, String>>()
        })?;
        let all = threads.saturating_mul(requests);
        #[allow(clippy::cast_precision_loss)] // a rate for people
        let (rate, cpu) = (all as f64 / begun.elapsed().as_secs_f64(), busy as f64 / all as f64);
        (best, least) = (best.max(rate), least.min(cpu));
    }
    Ok((best, least))
}

fn requests_of(image: &Image, thread: u64, requests: u64, writes: bool) -> Result<u64, String> {
    let failed = |error: qed_core::Error| error.to_string();
    let mut buffer = [1; BLOCK];
    for request in 0..requests {
        let offset = (thread * OWN + request * 7 % OWN) * CLUSTER;
        if writes {
            image.pwrite(&buffer, offset, Flags::NONE).map_err(failed)?;
        } else {
            image.pread(&mut buffer, offset).map_err(failed)?;
        }
    }
    Ok(busy_ns())
}

/// Nanoseconds that the calling thread has spent on a processor.
fn busy_ns() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
