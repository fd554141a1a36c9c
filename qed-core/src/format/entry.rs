//! Table entries (F3.2 to F3.4): from a little-endian word to what it means.

use super::Geometry;
use crate::addr::FileOffset;

/// What an L1 entry says (F3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L1Entry {
    /// No L2 table: the whole span is unallocated.
    Empty,
    /// The L2 table stands here.
    Table(FileOffset),
}

/// What an L2 entry says (F3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L2Entry {
    /// Reads the backing file; zeroes without one or past its end.
    Unallocated,
    /// Reads zeroes and hides the backing file.
    Zero,
    /// The data stands in the cluster that begins here.
    Data(FileOffset),
}

impl L1Entry {
    /// The meaning of `word`; `None` where it can be no table offset: 1, or misaligned.
    #[must_use]
    pub fn decode(word: u64, geometry: Geometry) -> Option<Self> {
        match word {
            0 => Some(Self::Empty),
            offset if geometry.is_cluster_aligned(offset) => Some(Self::Table(FileOffset(offset))),
            _ => None,
        }
    }

    /// The word that says this.
    #[must_use]
    pub fn encode(self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Table(offset) => offset.get(),
        }
    }
}

impl L2Entry {
    /// The meaning of `word`; `None` where it is a misaligned offset.
    #[must_use]
    pub fn decode(word: u64, geometry: Geometry) -> Option<Self> {
        match word {
            0 => Some(Self::Unallocated),
            1 => Some(Self::Zero),
            offset if geometry.is_cluster_aligned(offset) => Some(Self::Data(FileOffset(offset))),
            _ => None,
        }
    }

    /// The word that says this.
    #[must_use]
    pub fn encode(self) -> u64 {
        match self {
            Self::Unallocated => 0,
            Self::Zero => 1,
            Self::Data(offset) => offset.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_and_misaligned_ones_mean_nothing() {
        let geometry = Geometry::new(65536, 4).unwrap();
        for word in [0, 1, 65536, u64::MAX - 65535] {
            assert_eq!(L2Entry::decode(word, geometry).map(L2Entry::encode), Some(word));
        }
        assert_eq!(L1Entry::decode(1, geometry), None);
        for word in [2, 511, 4096, 65537, u64::MAX] {
            assert_eq!(L1Entry::decode(word, geometry), None);
            assert_eq!(L2Entry::decode(word, geometry), None);
        }
    }
}
