//! Numbers that look random and are the same for the same seed on every machine: what samples,
//! generators and digests are made of.

/// A generator of numbers; the state is its seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next word.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `limit`; 0 where that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        to_usize(self.word() % limit.max(1) as u64)
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// Spreads a word over all bits (the finaliser of splitmix64).
#[must_use]
pub fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// A digest of bytes, 0 for nothing but zeroes of whatever length.
#[must_use]
pub fn digest(bytes: &[u8]) -> u64 {
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    };
    let (pairs, rest) = bytes.split_at(bytes.len() - bytes.len() % 16);
    let mut hash = SEED ^ bytes.len() as u64;
    let mut any = 0;
    let mut step = |a: u64, b: u64| {
        any |= a | b;
        hash = fold(a ^ hash, b ^ KEY);
    };
    for pair in pairs.chunks_exact(16) {
        let (a, b) = pair.split_at(8);
        step(word(a), word(b));
    }
    if !rest.is_empty() {
        let (a, b) = rest.split_at(rest.len().min(8));
        step(word(a), word(b));
    }
    if any == 0 { 0 } else { mix(hash).max(1) }
}

/// Folds the product of two words.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    let low = product & u128::from(u64::MAX);
    u64::try_from((product >> 64) ^ low).unwrap_or(u64::MAX)
}

/// A number of bytes or units that indexes memory.
pub(super) fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

const SEED: u64 = 0x243f_6a88_85a3_08d3;
const KEY: u64 = 0x1319_8a2e_0370_7345;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        // Goal: samples are the same everywhere. Method: the first words of seed 0 of splitmix64.
        let mut random = Random::new(0);
        assert_eq!([random.word(), random.word()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
        let mut random = Random::new(7);
        assert!((0..1000).map(|_| random.below(10)).all(|number| number < 10));
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn digests_tell_contents_apart() {
        // Goal: equal digests mean equal content. Method: every single bit of a sector, and places.
        let mut seen = std::collections::BTreeSet::new();
        assert_eq!(digest(&[0; 512]), 0);
        for bit in 0..4096 {
            let mut bytes = [0; 512];
            bytes[bit / 8] = 1 << (bit % 8);
            assert!(seen.insert(digest(&bytes)), "bit {bit}");
        }
        assert_ne!(digest(&[1; 15]), digest(&[1; 16]));
    }
}
