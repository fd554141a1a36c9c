//! Telling zeroes from data.

/// Whether every byte is zero.
pub(crate) fn all_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<64>();
    words.iter().all(|word| *word == [0; 64]) && rest.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeroes_are_seen_at_every_place() {
        let mut bytes = vec![0; 200];
        assert!(all_zero(&bytes));
        for at in [0, 63, 64, 191, 192, 199] {
            bytes[at] = 1;
            assert!(!all_zero(&bytes));
            bytes[at] = 0;
        }
    }
}
