//! What the killed process does: from the same seed the same steps, in it and in its parent.

use qed_core::{Flags, Image};

pub const THREADS: u64 = 4;
pub const SECTOR: u64 = 512;
/// Bytes of a thread's part of the disk. No multiple of a cluster: neighbours share one, and of the
/// disk's last cluster a part is there.
pub const PART: u64 = (6 << 20) + 23 * SECTOR;
pub const DISK: u64 = THREADS * PART;
const LARGEST: u64 = 256 << 10;

/// What one thread does next; places and lengths in bytes of the disk.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Write { at: u64, length: u64, flags: Flags },
    Zero { at: u64, length: u64, flags: Flags },
    Discard { at: u64, length: u64 },
    Flush,
}

/// A small generator of numbers.
pub struct Dice(u64);

impl Dice {
    /// The numbers of `thread` in a round; `thread` [`THREADS`] stands for the process itself.
    pub fn of(seed: u64, round: u64, thread: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + round * 1000 + thread);
        dice.below(2);
        dice.below(2);
        dice
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    pub fn step(&mut self, thread: u64) -> Step {
        let kind = self.below(40);
        let (at, length) = self.range(thread);
        match kind {
            0 => Step::Write { at, length, flags: Flags::FUA },
            1..23 => Step::Write { at, length, flags: Flags::NONE },
            23..26 => Step::Zero { at, length, flags: Flags::NONE },
            26..28 => Step::Zero { at, length, flags: Flags::MAY_UNMAP },
            28 => Step::Zero { at, length, flags: Flags::MAY_UNMAP | Flags::FUA },
            29..36 => {
                let most = thread * PART + PART - at;
                Step::Discard { at, length: length.max(160 << 10).min(most) }
            }
            _ => Step::Flush,
        }
    }

    /// Up to 256 KiB of a thread's part, often small, often at one of its ends, on a boundary of
    /// clusters, pages or sectors, or on none.
    fn range(&mut self, thread: u64) -> (u64, u64) {
        let most = [LARGEST, 64 << 10, 8 << 10, 8 << 10][self.index(4)];
        let unit = [1, SECTOR, 4096, 65536][self.index(4)];
        let length = (1 + self.below(most)).next_multiple_of(unit);
        let (start, last) = (thread * PART, thread * PART + PART - length);
        let at = match self.below(12) {
            0 => start,
            1 => last,
            _ => ((start + self.below(PART - length)) / unit * unit).max(start),
        };
        (at, length)
    }

    fn index(&mut self, limit: usize) -> usize {
        self.below(limit as u64) as usize
    }
}

/// Who writes in a step: never 0.
pub fn writer(round: u64, thread: u64, number: u64) -> u64 {
    (round + 1) << 40 | thread << 32 | (number + 1)
}

/// The bytes of `sector` as `writer` leaves them.
pub fn sector_of(sector: u64, writer: u64) -> [u8; SECTOR as usize] {
    let mut bytes = [0; SECTOR as usize];
    for stamp in bytes.chunks_exact_mut(16) {
        stamp[..8].copy_from_slice(&sector.to_le_bytes());
        stamp[8..].copy_from_slice(&writer.to_le_bytes());
    }
    bytes
}

/// `length` bytes of the disk at `at` as `writer` leaves them.
pub fn bytes_of(at: u64, length: u64, writer: u64) -> Vec<u8> {
    let first = at / SECTOR;
    let sectors = first..(at + length).div_ceil(SECTOR);
    let bytes: Vec<u8> = sectors.flat_map(|sector| sector_of(sector, writer)).collect();
    let skip = (at - first * SECTOR) as usize;
    bytes[skip..skip + length as usize].to_vec()
}

pub fn perform(image: &Image, step: Step, writer: u64) {
    match step {
        Step::Write { at, length, flags } => {
            image.pwrite(&bytes_of(at, length, writer), at, flags).unwrap();
        }
        Step::Zero { at, length, flags } => image.write_zeroes(at, length, flags).unwrap(),
        Step::Discard { at, length } => image.discard(at, length).unwrap(),
        Step::Flush => image.flush().unwrap(),
    }
}
