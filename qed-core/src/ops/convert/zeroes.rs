//! Which parts of a buffer are zeroes, in units that are aligned on the disk.

use crate::source::all_zero;

/// A part of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run<'a> {
    /// To be written.
    Data {
        /// Where on the disk.
        offset: u64,
        bytes: &'a [u8],
    },
    /// Zeroes.
    Zero {
        /// Where on the disk.
        offset: u64,
        length: u64,
    },
}

/// The runs of `bytes`, which belong at `offset`; no unit of `unit` bytes (a power of two) is
/// counted as zero unless all of it that is in `bytes` is. Neighbours of one kind are one run.
pub(super) fn runs(bytes: &[u8], offset: u64, unit: usize) -> impl Iterator<Item = Run<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        if from == bytes.len() {
            return None;
        }
        let start = from;
        let mut end = unit_end(bytes, offset, unit, start);
        let zero = all_zero(&bytes[start..end]);
        while end < bytes.len() {
            let next = unit_end(bytes, offset, unit, end);
            if all_zero(&bytes[end..next]) != zero {
                break;
            }
            end = next;
        }
        from = end;
        let (offset, bytes) = (offset + start as u64, &bytes[start..end]);
        Some(if zero {
            Run::Zero { offset, length: bytes.len() as u64 }
        } else {
            Run::Data { offset, bytes }
        })
    })
}

/// Where in `bytes` the unit ends that holds the byte at `at`.
fn unit_end(bytes: &[u8], offset: u64, unit: usize, at: usize) -> usize {
    let unit_mask = unit as u64 - 1;
    let within = (offset + at as u64) & unit_mask;
    let rest = usize::try_from(unit as u64 - within).unwrap_or(unit);
    bytes.len().min(at.saturating_add(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_the_disk_and_neighbours_are_joined() {
        // Goal: a zero run begins and ends at units of the disk, or at the piece's ends. Method: a
        // piece that begins in the middle of a unit.
        let mut bytes = vec![0; 40];
        bytes[5] = 1;
        let found: Vec<_> = runs(&bytes, 12, 8).collect();
        let expected = [
            Run::Zero { offset: 12, length: 4 },
            Run::Data { offset: 16, bytes: &bytes[4..12] },
            Run::Zero { offset: 24, length: 28 },
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn every_byte_is_in_one_run() {
        // Goal: nothing is lost or told twice. Method: all places of one byte, odd ends.
        for length in [1, 7, 8, 9, 31] {
            for at in 0..length {
                let mut bytes = vec![0; length];
                bytes[at] = 7;
                let mut next = 3;
                for run in runs(&bytes, 3, 8) {
                    let (offset, count) = match run {
                        Run::Data { offset, bytes } => (offset, bytes.len() as u64),
                        Run::Zero { offset, length } => (offset, length),
                    };
                    assert_eq!(offset, next);
                    let place = 3 + at as u64;
                    let holds = (offset..offset + count).contains(&place);
                    assert_eq!(holds, matches!(run, Run::Data { .. }));
                    next += count;
                }
                assert_eq!(next, 3 + length as u64);
            }
        }
    }
}
