//! Latencies counted in classes: bounded memory, a known error, and two of them add up.
//!
//! A class is 1/64 of a power of two wide, so what is read off differs from the truth by less than
//! 1.6 percent. The largest value and the sum are exact.

use std::time::Duration;

/// Classes of each power of two.
const PARTS: u32 = 64;
const PART_BITS: u32 = PARTS.ilog2();
/// Values under `PARTS` have a class each; then come the powers of two from there to 2^64.
const CLASSES: usize = (PARTS * (64 - PART_BITS + 1)) as usize;

/// How long requests took.
#[derive(Clone, Debug)]
pub struct Histogram {
    classes: Vec<u64>,
    count: u64,
    /// Nanoseconds.
    sum: u128,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { classes: vec![0; CLASSES], count: 0, sum: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts a latency; past 584 years it counts as that.
    pub fn record(&mut self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        if let Some(class) = self.classes.get_mut(class_of(nanoseconds)) {
            *class += 1;
        }
        self.count += 1;
        self.sum += u128::from(nanoseconds);
        self.max = self.max.max(nanoseconds);
    }

    /// Counts what `other` has counted as well.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.classes.iter_mut().zip(&other.classes) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    /// Latencies counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest; zero where nothing was counted.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The mean; zero where nothing was counted.
    #[must_use]
    pub fn mean(&self) -> Duration {
        let mean = self.sum.checked_div(u128::from(self.count)).unwrap_or(0);
        Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX))
    }

    /// The latency that `permille` of 1000 requests do not exceed; zero where nothing was counted.
    #[must_use]
    pub fn permille(&self, permille: u32) -> Duration {
        let wanted = (u128::from(self.count) * u128::from(permille)).div_ceil(1000).max(1);
        let mut seen = 0_u128;
        for (class, count) in self.classes.iter().enumerate() {
            seen += u128::from(*count);
            if seen >= wanted {
                return Duration::from_nanos(last_of(class).min(self.max));
            }
        }
        self.max()
    }
}

fn class_of(value: u64) -> usize {
    let power = value.checked_ilog2().unwrap_or(0);
    let Some(above) = power.checked_sub(PART_BITS) else {
        return usize::try_from(value).unwrap_or(CLASSES - 1);
    };
    let part = (value >> above) & u64::from(PARTS - 1);
    let class = u64::from((above + 1) * PARTS) + part;
    usize::try_from(class).unwrap_or(CLASSES - 1)
}

/// The largest value of a class.
fn last_of(class: usize) -> u64 {
    let class = class as u64;
    let parts = u64::from(PARTS);
    let Some(above) = (class / parts).checked_sub(1) else { return class };
    let first = u128::from(parts + class % parts) << above;
    u64::try_from(first + (1 << above) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_class_and_classes_meet() {
        // Both ends of every power of two and around them: the class holds the value, the one
        // before ends under it, and the class is at most 1/64 of the value wide.
        for power in 0..64 {
            let value = 1_u64 << power;
            for value in [value - 1, value, value + value / 3, value.saturating_add(value - 1)] {
                let class = class_of(value);
                assert!(class < CLASSES, "{value}");
                assert!(last_of(class) >= value, "{value}");
                assert!(last_of(class) - value <= value / 64, "{value}");
                if class > 0 {
                    assert!(last_of(class - 1) < value, "{value}");
                }
            }
        }
    }

    #[test]
    fn percentiles_are_read_off_within_the_promised_error() {
        let mut histogram = Histogram::default();
        for microseconds in 1..=1000 {
            histogram.record(Duration::from_micros(microseconds));
        }
        for (permille, truth) in [(500, 500.0), (900, 900.0), (990, 990.0), (999, 999.0)] {
            let read = histogram.permille(permille).as_secs_f64() * 1e6;
            assert!((read / truth - 1.0).abs() < 0.016, "{permille}: {read} for {truth}");
        }
        assert_eq!(histogram.max(), Duration::from_millis(1));
        assert_eq!(histogram.permille(1000), Duration::from_millis(1));
        assert_eq!(histogram.mean(), Duration::from_nanos(500_500));
    }

    #[test]
    fn two_histograms_add_up_to_the_one_of_all() {
        let (mut all, mut low, mut high) = <(Histogram, Histogram, Histogram)>::default();
        for nanoseconds in 0..5000 {
            let half = if nanoseconds < 2500 { &mut low } else { &mut high };
            half.record(Duration::from_nanos(nanoseconds));
            all.record(Duration::from_nanos(nanoseconds));
        }
        low.add(&high);
        for permille in [0, 1, 250, 500, 751, 999, 1000] {
            assert_eq!(low.permille(permille), all.permille(permille), "{permille}");
        }
        assert_eq!((low.count(), low.mean(), low.max()), (5000, all.mean(), all.max()));
    }

    #[test]
    fn an_empty_histogram_says_zero() {
        let empty = Histogram::default();
        assert_eq!((empty.count(), empty.max(), empty.mean()), (0, Duration::ZERO, Duration::ZERO));
        assert_eq!(empty.permille(999), Duration::ZERO);
    }
}
