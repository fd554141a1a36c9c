//! Requests on mapped clusters by threads that keep to clusters of their own, on a storage that
//! shares nothing: where the engine shares nothing either, a request costs the same however many
//! threads there are.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use qed_core::format::Geometry;
use qed_core::{CreateSpec, Disk, Flags, Format, ImageSettings, format_storage};

use crate::Outcome;
use crate::blocks::Blocks;

const CLUSTER: u64 = 65536;
/// Clusters of a thread. What it touches of them fits into a processor's own cache.
const OWN: u64 = 128;
const MOST_THREADS: u64 = 8;
/// Guest bytes, all of them mapped.
const SIZE: u64 = MOST_THREADS * OWN * CLUSTER;
const LENGTH: usize = 512;
/// Bytes that take about as long to copy as a request takes.
const COPIED: usize = 4096;

#[derive(Clone, Copy)]
enum Work {
    Reads,
    Writes,
    /// No requests: what the machine gives to threads that have nothing in common at all.
    Copies,
}

/// Nanoseconds for a request when each of `threads` threads makes `count`: by the clock, of all
/// threads together, or of the processor's time.
pub(crate) fn scale(work: &str, time: &str, threads: u64, count: u64) -> Outcome<f64> {
    let work = match work {
        "reads" => Work::Reads,
        "writes" => Work::Writes,
        "copies" => Work::Copies,
        _ => return Err(format!("{work:?} is none of reads, writes, copies").into()),
    };
    let disk = mapped_disk()?;
    let begun = Instant::now();
    let busy = std::thread::scope(|scope| {
        let disk = &disk;
        let part = |thread| scope.spawn(move || requests(disk, thread, count, work));
        let parts: Vec<_> = (0..threads.min(MOST_THREADS)).map(part).collect();
        let joined = parts.into_iter().map(|part| part.join().map_err(|_| "a thread panicked")?);
        joined.sum::<Result<u64, String>>()
    })?;
    let all = threads.min(MOST_THREADS) * count;
    let nanoseconds = match time {
        "clock" => begun.elapsed().as_nanos(),
        "processor" => u128::from(busy),
        _ => return Err(format!("{time:?} is neither clock nor processor").into()),
    };
    Ok(nanoseconds as f64 / all as f64)
}

fn mapped_disk() -> Outcome<Disk> {
    let storage = Arc::new(Blocks::new(SIZE * 5 / 4));
    format_storage(&*storage, &CreateSpec::new(Geometry::new(CLUSTER, 4)?, SIZE)?)?;
    let settings = ImageSettings { background: false, ..ImageSettings::default() };
    let disk = Disk::from_storage(storage, Format::Qed, None, settings)?;
    for offset in (0..SIZE).step_by(65536) {
        disk.pwrite(&[1; LENGTH], offset, Flags::NONE)?;
    }
    disk.flush()?;
    Ok(disk)
}

/// Makes the requests of one thread, and says how long it was on a processor, in nanoseconds.
fn requests(disk: &Disk, thread: u64, count: u64, work: Work) -> Result<u64, String> {
    let (mut buffer, mut other) = ([1; LENGTH], [0; COPIED]);
    for request in 0..count {
        let offset = (thread * OWN + request * 7 % OWN) * CLUSTER;
        let made = match work {
            Work::Reads => disk.pread(&mut buffer, offset),
            Work::Writes => disk.pwrite(&buffer, offset, Flags::NONE),
            Work::Copies => {
                other.copy_from_slice(black_box(&[1; COPIED]));
                black_box(&other);
                Ok(())
            }
        };
        made.map_err(|error| error.to_string())?;
    }
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let busy = told.split(' ').next().and_then(|word| word.parse().ok());
    busy.ok_or_else(|| "the system tells no processor time of a thread".into())
}
