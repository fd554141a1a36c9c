//! How a test's disk lies: its sizes, and the few places where everything happens.
//!
//! Requests stay near the start of the disk, the border between its first two L2 tables and its
//! end, so that even disks of terabytes are small files.

use std::ops::Range;

use crate::dice::Dice;

/// Guest bytes on either side of a border in which requests may lie.
pub(crate) const WINDOW: u64 = 36 << 20;
/// Entries of one sector of a table.
const SECTOR_ENTRIES: u64 = 64;

#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) cluster: u64,
    /// Clusters of a table.
    pub(crate) table: u64,
    /// Guest bytes that one L2 table maps.
    pub(crate) span: u64,
    /// Guest bytes.
    pub(crate) size: u64,
    /// Where requests may lie.
    pub(crate) windows: Vec<Range<u64>>,
    /// The places that requests lie at most often.
    pub(crate) points: Vec<u64>,
}

/// Every cluster size and table size that QEMU can work with (F8).
pub(crate) fn working_sizes() -> Vec<(u64, u64)> {
    let mut sizes = Vec::new();
    for bits in 12..=20 {
        sizes.extend([2, 4, 8, 16].map(|table| (1 << bits, table)));
    }
    sizes.extend([2, 4, 8].map(|table| (2 << 20, table)));
    sizes.push((4 << 20, 2));
    sizes
}

impl Layout {
    pub(crate) fn new(cluster: u64, table: u64, dice: &mut Dice) -> Self {
        let span = table * cluster / 8 * cluster;
        // The last cluster is seldom whole.
        let size = span + WINDOW + 512 * dice.below(cluster / 512);
        let windows = if span <= 2 * WINDOW {
            vec![Range { start: 0, end: size }]
        } else {
            vec![0..WINDOW, span - WINDOW..size]
        };
        let mut layout = Self { cluster, table, span, size, windows, points: Vec::new() };
        let neighbour = span + dice.pick(&[0, SECTOR_ENTRIES, SECTOR_ENTRIES * 8]) * cluster;
        layout.points = vec![0, span, span, size, neighbour.min(size)];
        for _ in 0..2 {
            let window = dice.pick(&layout.windows);
            let step = SECTOR_ENTRIES * cluster;
            let place = window.start + dice.below(window.end - window.start);
            layout.points.push((place / step * step).max(window.start));
        }
        layout
    }

    /// The window that holds `offset`, or the nearest one after it.
    pub(crate) fn window(&self, offset: u64) -> Range<u64> {
        let found = self.windows.iter().find(|window| offset < window.end);
        found.or(self.windows.last()).unwrap().clone()
    }

    /// Bytes of a file up to which QEMU counts leaks right (D3).
    pub(crate) fn countable(&self) -> u64 {
        self.cluster * (self.cluster - 1)
    }

    /// Whether QEMU can tell the state of every run of this disk: it cannot for 4 GiB (D12).
    pub(crate) fn has_short_runs(&self) -> bool {
        self.size < 4 << 30
    }

    pub(crate) fn clusters(&self, range: &Range<u64>) -> Range<u64> {
        range.start / self.cluster..range.end.div_ceil(self.cluster)
    }
}
