//! Sizes as people write them: "64K", "1.5G", as qemu-img reads them.

use crate::error::{Error, Result};

/// The bytes that `text` says: a number, perhaps with a decimal fraction, and a unit: none or B for
/// bytes, k M G T P E for powers of 1024, in either case. A fraction needs a unit, and what of it
/// is less than a byte is dropped.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for anything else, and for
/// what passes 64 bits.
pub fn parse_size(text: &str) -> Result<u64> {
    parse(text).ok_or_else(|| {
        let known = "a number of bytes, or one with k, M, G, T, P or E behind it";
        Error::invalid(format!("{text:?} is no size: a size is {known}"))
    })
}

fn parse(text: &str) -> Option<u64> {
    let (number, unit) = match text.char_indices().next_back()? {
        (_, last) if last.is_ascii_digit() => (text, 1),
        (at, suffix) => (&text[..at], unit(suffix)?),
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (number, None),
    };
    let whole = u128::from(digits(whole)?).checked_mul(u128::from(unit))?;
    let part = match fraction {
        Some(_) if unit == 1 => return None,
        Some(fraction) => part_of(unit, fraction)?,
        None => 0,
    };
    u64::try_from(whole + u128::from(part)).ok()
}

fn unit(suffix: char) -> Option<u64> {
    let power = match suffix.to_ascii_uppercase() {
        'B' => 0,
        'K' => 1,
        'M' => 2,
        'G' => 3,
        'T' => 4,
        'P' => 5,
        'E' => 6,
        _ => return None,
    };
    Some(1 << (10 * power))
}

/// The bytes that `.fraction` of `unit` is, rounded down.
fn part_of(unit: u64, fraction: &str) -> Option<u64> {
    // 18 digits are more than 64 bits can tell apart.
    let told = fraction.get(..fraction.len().min(18))?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let scale = 10_u128.checked_pow(u32::try_from(told.len()).ok()?)?;
    u64::try_from(u128::from(digits(told)?) * u128::from(unit) / scale).ok()
}

fn digits(text: &str) -> Option<u64> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if all { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_qemu_img_reads_them() {
        for (text, size) in [
            ("0", 0),
            ("512", 512),
            ("512B", 512),
            ("64K", 65536),
            ("64k", 65536),
            ("10G", 10 << 30),
            ("1.5G", 3 << 29),
            ("0.5k", 512),
            ("1.0001k", 1024),
            ("2T", 2 << 40),
            ("3P", 3 << 50),
            ("15E", 15 << 60),
            ("18446744073709551615", u64::MAX),
            ("0.99999999999999999999999k", 1023),
        ] {
            assert_eq!(parse_size(text).unwrap(), size, "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "K",
            "-1",
            "+1",
            " 1",
            "1 ",
            "1.5",
            "1.5B",
            ".5K",
            "1.K",
            "1..5K",
            "1.5.5K",
            "1KB",
            "1X",
            "0x10",
            "1e3",
            "16E",
            "18446744073709551616",
            "1.-5K",
            "１K",
            "1ｋ",
            "1.5é",
        ] {
            assert!(parse_size(text).is_err(), "{text:?}");
        }
    }
}
