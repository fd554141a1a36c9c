//! Converting beside `qemu-img convert` with its best flags, in one run: medians of pairs, order
//! alternated.
//!
//! `cargo bench -p qed-core --bench convert` prints one line for each direction, for a dense disk
//! and a sparse one. `QED_BENCH_DIR` says where the files go (default: the temporary directory),
//! `QED_BENCH_PAIRS` how many pairs (default 9), `QED_BENCH_DIRECT=1` passes the page cache on both
//! sides. QEMU may abort where it converts to QED out of order in parallel: such a pair is left
//! out, and counted.

mod pairs;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pairs::{Outcome, Settings, medians};
use qed_core::{
    CacheMode, ConvertOptions, ConvertSource, ConvertTarget, CreateOptions, Disk, Format,
    OpenOptions, convert,
};

const SIZE: u64 = 1 << 30;
const PIECE: usize = 1 << 20;

/// One direction.
#[derive(Clone, Copy)]
struct Way {
    from: Format,
    to: Format,
}

const WAYS: [Way; 3] = [
    Way { from: Format::Raw, to: Format::Qed },
    Way { from: Format::Qed, to: Format::Raw },
    Way { from: Format::Qcow2, to: Format::Qed },
];

fn main() -> Outcome<()> {
    let Settings { pairs, direct, folder } = Settings::read()?;
    println!("{:28} {:>9} {:>9} {:>7} {:>8}", "work", "qemu ms", "qed ms", "ratio", "aborted");
    let result = [("dense", 1), ("sparse", 16)].iter().try_for_each(|(name, each)| {
        WAYS.iter().try_for_each(|way| {
            let source = prepare(&folder, way.from, *each)?;
            let label = format!("{} -> {}, {name}", way.from, way.to);
            measure(&label, *way, &source, &folder, direct, pairs)
        })
    });
    std::fs::remove_dir_all(&folder)?;
    result
}

/// A disk of that format with data in one piece of `each`.
fn prepare(folder: &Path, format: Format, each: usize) -> Outcome<PathBuf> {
    let raw = folder.join("source.raw");
    let file = File::create(&raw)?;
    file.set_len(SIZE)?;
    let mut state = 1_u64;
    for offset in (0..SIZE).step_by(PIECE).step_by(each) {
        let mut piece = Vec::with_capacity(PIECE);
        while piece.len() < PIECE {
            // Nothing of it is zero for long, and nothing repeats.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            piece.extend(state.to_le_bytes());
        }
        file.write_all_at(&piece, offset)?;
    }
    file.sync_all()?;
    if format == Format::Raw {
        return Ok(raw);
    }
    let path = folder.join(format!("source.{format}"));
    ours(Way { from: Format::Raw, to: format }, &raw, &path, false)?;
    std::fs::remove_file(raw)?;
    Ok(path)
}

fn measure(
    label: &str,
    way: Way,
    source: &Path,
    folder: &Path,
    direct: bool,
    pairs: u64,
) -> Outcome<()> {
    let target = folder.join("target");
    let mut times = Vec::new();
    let mut aborted = 0;
    for pair in 0..pairs {
        let mine_first = pair % 2 == 1;
        let early = mine_first.then(|| ours(way, source, &target, direct)).transpose()?;
        let theirs = qemu(way, source, &target, direct)?;
        let mine = match early {
            Some(time) => time,
            None => ours(way, source, &target, direct)?,
        };
        match theirs {
            Some(theirs) => times.push((theirs, mine)),
            None => aborted += 1,
        }
    }
    std::fs::remove_file(target)?;
    if times.is_empty() {
        println!("{label:28} {:>9} {:>9} {:>7} {aborted:8}", "-", "-", "-");
        return Ok(());
    }
    let (theirs, mine, ratio) = medians(&times);
    println!("{label:28} {theirs:9.1} {mine:9.1} {ratio:7.3} {aborted:8}");
    Ok(())
}

/// Each side begins without a target: freeing an old one is nobody's work here.
fn forget(target: &Path) -> Outcome<()> {
    match std::fs::remove_file(target) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// The library, in this process: open, convert, make stable.
fn ours(way: Way, source: &Path, target: &Path, direct: bool) -> Outcome<Duration> {
    let cache = if direct { CacheMode::None } else { CacheMode::Writeback };
    forget(target)?;
    let start = Instant::now();
    let mut open = OpenOptions::default();
    open.format = way.from;
    open.image.read_only = true;
    open.image.cache = cache;
    let disk = Disk::open(source, &open)?;
    let mut create = CreateOptions::default();
    (create.format, create.cache, create.overwrite) = (way.to, cache, true);
    let (from, to) = (ConvertSource::Disks(vec![&disk]), ConvertTarget::New(target, create));
    let mut options = ConvertOptions::default();
    options.in_order = false;
    convert(from, to, &options, &mut |_, _| std::ops::ControlFlow::Continue(()))?;
    disk.close()?;
    Ok(start.elapsed())
}

/// `qemu-img` as fast as it goes; none where it dies.
fn qemu(way: Way, source: &Path, target: &Path, direct: bool) -> Outcome<Option<Duration>> {
    let cache = if direct { "none" } else { "writeback" };
    let (from, to) = (way.from.name(), way.to.name());
    forget(target)?;
    let start = Instant::now();
    let status = Command::new("qemu-img")
        .args(["convert", "-m", "16", "-W", "-t", cache, "-T", cache, "-f", from, "-O", to])
        .args([source, target])
        .stderr(Stdio::null())
        .status()?;
    Ok(status.success().then(|| start.elapsed()))
}
