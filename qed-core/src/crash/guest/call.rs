//! What the guest does to its disk, as data: one word each, printed and parsed back.

use super::content::{Content, pattern};
use crate::crash::medium::SECTOR;
use crate::error::{Error, Result};
use crate::storage::Preallocation;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What a guest call does to the disk it sees. Offsets and lengths are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Data is written.
    Write {
        /// The first byte.
        offset: u64,
        /// How many bytes.
        length: u64,
        /// Stable when it returns.
        forced: bool,
        /// Which bytes.
        content: Content,
    },
    /// A range is made to read as zeroes.
    Zeroes {
        /// The first byte.
        offset: u64,
        /// How many bytes.
        length: u64,
        /// Stable when it returns.
        forced: bool,
        /// Whole clusters may be freed.
        unmap: bool,
    },
    /// A range is given back: whole clusters read as zeroes, of others either is right.
    Discard {
        /// The first byte.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
    /// The disk becomes larger or smaller; stable when it returns. What is between the two sizes
    /// reads as zeroes, where it is on the disk.
    Resize {
        /// Bytes of the disk before.
        from: u64,
        /// Bytes of the disk afterwards.
        to: u64,
        /// The space that its new part gets.
        preallocation: Preallocation,
    },
    /// A range is read: the disk stays what it is, the image may copy what it reads.
    Read {
        /// The first byte.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
    /// Everything that has returned becomes stable.
    Flush,
    /// The process was killed: nothing that was not stable is covered by a later flush. These
    /// sectors, ascending, have these digests in the next process, and that is covered.
    Killed(Vec<(u64, u64)>),
}

impl Call {
    /// A write of bytes that name the call and the place.
    #[must_use]
    pub fn write(offset: u64, length: u64) -> Self {
        Self::Write { offset, length, forced: false, content: Content::Named }
    }

    /// A write of the same kind that is stable when it returns.
    #[must_use]
    pub fn write_forced(offset: u64, length: u64) -> Self {
        Self::Write { offset, length, forced: true, content: Content::Named }
    }

    /// A write of these bytes.
    #[must_use]
    pub fn write_bytes(offset: u64, bytes: &[u8], forced: bool) -> Self {
        let content = Content::of(bytes);
        Self::Write { offset, length: bytes.len() as u64, forced, content }
    }

    /// The bytes it touches: offset and length.
    #[must_use]
    pub fn range(&self) -> Option<(u64, u64)> {
        match self {
            Self::Write { offset, length, .. }
            | Self::Zeroes { offset, length, .. }
            | Self::Discard { offset, length }
            | Self::Read { offset, length } => Some((*offset, *length)),
            Self::Resize { from, to, .. } => Some((*from.min(to), from.abs_diff(*to))),
            Self::Flush | Self::Killed(_) => None,
        }
    }

    /// The sectors it gives a version, ascending.
    #[must_use]
    pub fn sectors(&self) -> Vec<u64> {
        match (self, self.range()) {
            (Self::Killed(seen), _) => seen.iter().map(|(sector, _)| *sector).collect(),
            (Self::Read { .. }, _) | (_, Some((_, 0)) | None) => Vec::new(),
            (_, Some((offset, length))) => {
                (offset / SECTOR..offset.saturating_add(length).div_ceil(SECTOR)).collect()
            }
        }
    }

    /// Whether it is stable when it returns.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        match self {
            Self::Write { forced, .. } | Self::Zeroes { forced, .. } => *forced,
            Self::Resize { .. } => true,
            Self::Discard { .. } | Self::Read { .. } | Self::Flush | Self::Killed(_) => false,
        }
    }

    /// The bytes that a write writes as call `number`.
    #[must_use]
    pub fn bytes(&self, number: u64) -> Option<Vec<u8>> {
        let Self::Write { offset, length, content, .. } = self else { return None };
        Some(match content {
            Content::Named => pattern(number, *offset, *length),
            Content::Fill(byte) => vec![*byte; super::to_usize(*length)],
            Content::Bytes(bytes) => bytes.to_vec(),
        })
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fua = if self.is_forced() { " fua" } else { "" };
        match self {
            Self::Write { offset, length, content, .. } => {
                write!(f, "write {offset}+{length}{fua}")?;
                match content {
                    Content::Named => Ok(()),
                    Content::Fill(byte) => write!(f, " fill={byte:02x}"),
                    Content::Bytes(bytes) => {
                        f.write_str(" data=")?;
                        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
                    }
                }
            }
            Self::Zeroes { offset, length, unmap, .. } => {
                let unmap = if *unmap { " unmap" } else { "" };
                write!(f, "zero {offset}+{length}{fua}{unmap}")
            }
            Self::Discard { offset, length } => write!(f, "discard {offset}+{length}"),
            Self::Read { offset, length } => write!(f, "read {offset}+{length}"),
            Self::Resize { from, to, preallocation } => {
                write!(f, "resize {to} from={from}")?;
                match preallocation {
                    Preallocation::Off => Ok(()),
                    kind => write!(f, " {}", kind.name()),
                }
            }
            Self::Flush => f.write_str("flush"),
            Self::Killed(seen) => {
                f.write_str("killed")?;
                seen.iter().try_for_each(|(sector, digest)| write!(f, " {sector}={digest:x}"))
            }
        }
    }
}

impl FromStr for Call {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::invalid(format!("guest call {:?} makes no sense", short(text)));
        let mut words = text.split_whitespace();
        let verb = words.next().ok_or_else(wrong)?;
        if verb == "flush" && words.next().is_none() {
            return Ok(Self::Flush);
        }
        if verb == "killed" {
            let seen = |word: &str| {
                let (sector, digest) = word.split_once('=')?;
                Some((sector.parse().ok()?, u64::from_str_radix(digest, 16).ok()?))
            };
            return words.map(seen).collect::<Option<_>>().map(Self::Killed).ok_or_else(wrong);
        }
        if verb == "resize" {
            return parse_resize(words).ok_or_else(wrong);
        }
        let range = words.next().and_then(|range| range.split_once('+')).ok_or_else(wrong)?;
        let offset: u64 = range.0.parse().map_err(|_| wrong())?;
        let length: u64 = range.1.parse().map_err(|_| wrong())?;
        if offset.checked_add(length).is_none_or(|end| end > super::MOST_BYTES) {
            return Err(wrong());
        }
        let (mut forced, mut unmap, mut content) = (false, false, Content::Named);
        for word in words {
            match (verb, word.split_once('=')) {
                ("write" | "zero", None) if word == "fua" => forced = true,
                ("zero", None) if word == "unmap" => unmap = true,
                ("write", Some(("fill", byte))) => {
                    content = Content::Fill(u8::from_str_radix(byte, 16).map_err(|_| wrong())?);
                }
                ("write", Some(("data", hex))) => {
                    let bytes = from_hex(hex).ok_or_else(wrong)?;
                    (bytes.len() as u64 == length).then_some(()).ok_or_else(wrong)?;
                    content = Content::Bytes(bytes);
                }
                _ => return Err(wrong()),
            }
        }
        match verb {
            "write" => Ok(Self::Write { offset, length, forced, content }),
            "zero" => Ok(Self::Zeroes { offset, length, forced, unmap }),
            "discard" => Ok(Self::Discard { offset, length }),
            "read" => Ok(Self::Read { offset, length }),
            _ => Err(wrong()),
        }
    }
}

fn parse_resize<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Call> {
    let to = words.next()?.parse().ok()?;
    let (mut from, mut preallocation) = (0, Preallocation::Off);
    for word in words {
        match word.strip_prefix("from=") {
            Some(number) => from = number.parse().ok()?,
            None => preallocation = word.parse().ok()?,
        }
    }
    let legal = |size: u64| size.is_multiple_of(SECTOR) && size <= super::MOST_BYTES;
    (legal(to) && legal(from)).then_some(Call::Resize { from, to, preallocation })
}

fn from_hex(hex: &str) -> Option<Arc<[u8]>> {
    if !hex.len().is_multiple_of(2) || !hex.is_ascii() {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    (0..hex.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>().map(Arc::from)
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_printed_and_parsed_back() {
        // Goal: a call's word says all of it. Method: every kind there and back.
        for text in [
            "write 0+4096",
            "write 512+1024 fua",
            "write 5+3 data=00ff10",
            "write 0+65536 fua fill=aa",
            "zero 0+4096",
            "zero 0+4096 fua unmap",
            "discard 65536+65536",
            "read 512+4096",
            "flush",
            "resize 4096 from=512",
            "resize 8192 from=512 metadata",
            "killed 0=0 7=1f",
        ] {
            let call: Call = text.parse().unwrap();
            assert_eq!(call.to_string(), text);
        }
        for text in [
            "",
            "flush now",
            "write",
            "write 1",
            "write 1+x",
            "write 0+2 data=00",
            "fly 0+1",
            "write 0+1 unmap",
            "read 0+1 fua",
            "write 18446744073709551615+9",
            "killed 1",
            "resize 513",
            "resize 512 to=1024",
        ] {
            assert!(text.parse::<Call>().is_err(), "{text}");
        }
    }
}
