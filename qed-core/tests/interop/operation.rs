//! Random guest requests.

use std::ops::Range;

use crate::dice::Dice;
use crate::layout::Layout;

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Write { range: Range<u64>, content: Content, forced: bool },
    Zeroes { range: Range<u64>, unmap: bool, forced: bool },
    Discard { range: Range<u64> },
    Read { range: Range<u64> },
    Flush,
    Reopen,
}

/// What a write writes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content {
    Fill(u8),
    /// Bytes that differ from place to place.
    Mixed(u64),
}

/// The longest request.
const LONGEST: u64 = 32 << 20;
/// Bytes of mixed content before it repeats: a prime.
const PERIOD: usize = 4093;

/// `count` requests of which the first crosses the border between two L2 tables, and one is of many
/// megabytes if `large`. `grain` is what offsets and lengths are multiples of.
pub(crate) fn requests(
    layout: &Layout,
    dice: &mut Dice,
    grain: u64,
    count: usize,
    large: bool,
) -> Vec<Operation> {
    let at_large = if large { dice.below(count as u64) } else { u64::MAX };
    (0..count as u64)
        .map(|number| match number {
            _ if number == at_large => change(large_range(layout, dice, grain), dice),
            0 => change(crossing(layout, dice, grain), dice),
            _ => request(layout, dice, grain),
        })
        .collect()
}

fn request(layout: &Layout, dice: &mut Dice, grain: u64) -> Operation {
    match dice.below(20) {
        0 | 1 => Operation::Flush,
        2 => Operation::Reopen,
        3 | 4 => Operation::Read { range: range(layout, dice, grain) },
        _ => change(range(layout, dice, grain), dice),
    }
}

fn change(range: Range<u64>, dice: &mut Dice) -> Operation {
    let forced = dice.one_in(8);
    match dice.below(10) {
        0..=5 => Operation::Write { range, content: content(dice), forced },
        6 | 7 => Operation::Zeroes { range, unmap: dice.one_in(2), forced },
        _ => Operation::Discard { range },
    }
}

fn content(dice: &mut Dice) -> Content {
    match dice.below(10) {
        0 => Content::Fill(0),
        1..=4 => Content::Fill(1 + u8::try_from(dice.below(255)).unwrap()),
        _ => Content::Mixed(dice.throw()),
    }
}

/// A range near one of the layout's points, in one window.
fn range(layout: &Layout, dice: &mut Dice, grain: u64) -> Range<u64> {
    let cluster = layout.cluster;
    // Few large clusters: each may be a write of megabytes.
    let spread = if cluster >= 1 << 20 { cluster } else { 4 * cluster };
    let point = dice.pick(&layout.points);
    let place = (point + dice.below(2 * spread)).saturating_sub(spread);
    let start = aligned(place, dice.pick(&[cluster, 512, 1]));
    let length = match dice.below(20) {
        0..=9 => 1 + dice.below((2 * cluster).min(256 << 10)),
        10..=15 => cluster * (1 + dice.below(8.min((4 << 20) / cluster).max(1))),
        _ => 1 + dice.below((100 * cluster).clamp(64 << 10, 3 << 20)),
    };
    inside(layout, start, length, grain)
}

fn crossing(layout: &Layout, dice: &mut Dice, grain: u64) -> Range<u64> {
    let most = (3 * layout.cluster).min(2 << 20);
    let before = 1 + dice.below(most);
    let after = 1 + dice.below(most);
    inside(layout, layout.span - before, before + after, grain)
}

fn large_range(layout: &Layout, dice: &mut Dice, grain: u64) -> Range<u64> {
    let window = dice.pick(&layout.windows);
    let start = window.start + dice.below((window.end - window.start) / 2);
    inside(layout, start, LONGEST - dice.pick(&[0, 512, LONGEST / 2]), grain)
}

/// `length` bytes from `start`, cut at the window's end, and made whole grains.
fn inside(layout: &Layout, start: u64, length: u64, grain: u64) -> Range<u64> {
    let window = layout.window(start);
    let start = aligned(start.clamp(window.start, window.end - 512), grain);
    let end = (start + length.min(LONGEST)).div_ceil(grain) * grain;
    start..end.min(window.end)
}

pub(crate) fn aligned(offset: u64, grain: u64) -> u64 {
    offset / grain * grain
}

impl Operation {
    pub(crate) fn range(&self) -> Option<&Range<u64>> {
        match self {
            Self::Write { range, .. }
            | Self::Zeroes { range, .. }
            | Self::Discard { range }
            | Self::Read { range } => Some(range),
            Self::Flush | Self::Reopen => None,
        }
    }
}

impl Content {
    /// `length` bytes of it.
    pub(crate) fn bytes(self, length: u64) -> Vec<u8> {
        let length = usize::try_from(length).unwrap();
        match self {
            Self::Fill(byte) => vec![byte; length],
            Self::Mixed(_) => {
                let mut bytes = self.period().repeat(length.div_ceil(PERIOD));
                bytes.truncate(length);
                bytes
            }
        }
    }

    /// What mixed content repeats.
    pub(crate) fn period(self) -> Vec<u8> {
        match self {
            Self::Fill(byte) => vec![byte],
            Self::Mixed(seed) => {
                let mut dice = Dice::new(seed);
                let words = PERIOD.div_ceil(8);
                let mut bytes: Vec<u8> =
                    (0..words).flat_map(|_| dice.throw().to_le_bytes()).collect();
                bytes.truncate(PERIOD);
                bytes
            }
        }
    }
}
