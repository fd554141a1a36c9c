//! CRC-64 (ECMA-182, reflected, as in xz): tells a saved map that fits the image from one that does
//! not. It guards against accidents and other writers, not against a forger.

const POLYNOMIAL: u64 = 0xc96c_5795_d787_0f42;

const TABLE: [u64; 256] = table();

/// A checksum that grows with the bytes it is fed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crc64(u64);

impl Crc64 {
    pub(crate) fn new() -> Self {
        Self(!0)
    }

    #[must_use]
    pub(crate) fn feed(self, bytes: &[u8]) -> Self {
        let step = |crc: u64, byte: &u8| {
            TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)] ^ (crc >> u8::BITS)
        };
        Self(bytes.iter().fold(self.0, step))
    }

    pub(crate) fn value(self) -> u64 {
        !self.0
    }
}

const fn table() -> [u64; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < table.len() {
        let mut crc = at as u64;
        let mut bit = 0;
        while bit < u8::BITS {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_check_value() {
        assert_eq!(Crc64::new().feed(b"123456789").value(), 0x995d_c9bb_df19_39fa);
        assert_eq!(Crc64::new().feed(b"1234").feed(b"56789").value(), 0x995d_c9bb_df19_39fa);
        assert_eq!(Crc64::new().value(), 0);
    }
}
