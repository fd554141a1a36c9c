//! What benches that compare two sides share: settings from the environment, a folder, medians.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// How the pairs are run.
pub(crate) struct Settings {
    /// `QED_BENCH_PAIRS`, 9 unless it is set.
    pub(crate) pairs: u64,
    /// `QED_BENCH_DIRECT=1`: past the page cache.
    pub(crate) direct: bool,
    /// A folder of this run's own in `QED_BENCH_DIR` or the temporary directory.
    pub(crate) folder: PathBuf,
}

impl Settings {
    /// # Errors
    /// The folder cannot be made.
    pub(crate) fn read() -> Outcome<Self> {
        let pairs = number("QED_BENCH_PAIRS").unwrap_or(9);
        let direct = number("QED_BENCH_DIRECT") == Some(1);
        let above = std::env::var_os("QED_BENCH_DIR");
        let above = above.map_or_else(std::env::temp_dir, PathBuf::from);
        let folder = above.join(format!("qed-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        println!("{pairs} pairs, {}", if direct { "O_DIRECT" } else { "page cache" });
        Ok(Self { pairs, direct, folder })
    }
}

/// The rival's median and ours, in milliseconds, and the median of the pairs' ratios.
pub(crate) fn medians(times: &[(Duration, Duration)]) -> (f64, f64, f64) {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let theirs = median(times.iter().map(|(theirs, _)| ms(*theirs)).collect());
    let ours = median(times.iter().map(|(_, ours)| ms(*ours)).collect());
    let ratio = median(times.iter().map(|(theirs, ours)| ms(*ours) / ms(*theirs)).collect());
    (theirs, ours, ratio)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
