//! The entries of a write log: a file's bytes to a list, strictly or leniently.

use super::v1::{Head, SUPERBLOCK_BYTES, Superblock, check_sector_size, flags};
use crate::error::{Error, Result};
use std::ops::Range;

/// One entry: its fields, a mark's text, where its payload stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The fields.
    pub head: Head,
    /// A mark's text.
    pub text: Vec<u8>,
    /// The bytes of the log that are its payload.
    pub payload: Range<usize>,
}

/// A log, cut into entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries {
    /// Bytes of a sector.
    pub sector_size: u32,
    /// In the order of the file.
    pub entries: Vec<Entry>,
    /// Something was missing that lenient reading did without, in words.
    pub missing: Option<String>,
}

/// How much a reader puts up with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leniency {
    /// Take a superblock of zeroes (its writer was killed before its first flush) and a tail that
    /// is cut off.
    pub lenient: bool,
    /// Bytes of a sector where the superblock does not say.
    pub sector_size: Option<u32>,
}

impl Entries {
    /// Cuts a log into its entries.
    ///
    /// # Errors
    /// What breaks the format, with its place; unless lenient, an empty superblock or a log that
    /// ends early.
    pub fn decode(bytes: &[u8], leniency: Leniency) -> Result<Self> {
        let superblock = Superblock::decode(&bytes[..bytes.len().min(SUPERBLOCK_BYTES)])?;
        let (sector_size, count) = match superblock {
            Some(Superblock { entries, sector_size }) => (sector_size, Some(entries)),
            None if leniency.lenient => (leniency.sector_size.unwrap_or(512), None),
            None => {
                let message = "the write log's superblock is empty: its writer was killed";
                return Err(Error::invalid(message).at(0));
            }
        };
        check_sector_size(sector_size)?;
        let missing = count.is_none().then(|| "the superblock is empty".to_owned());
        let mut log = Self { sector_size, entries: Vec::new(), missing };
        let mut at = usize::try_from(sector_size).unwrap_or(512);
        while count.is_none_or(|count| (log.entries.len() as u64) < count) {
            if count.is_none() && bytes.len() <= at {
                break;
            }
            match log.entry(bytes, at) {
                Ok(entry) => {
                    at = entry.payload.end;
                    log.entries.push(entry);
                }
                Err(error) if leniency.lenient => {
                    log.missing = Some(error.to_string());
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(log)
    }

    fn entry(&self, bytes: &[u8], at: usize) -> Result<Entry> {
        let number = self.entries.len();
        let wrong = |what: &str| {
            Error::invalid(format!("entry {number} of the write log {what}")).at(at as u64)
        };
        let size = usize::try_from(self.sector_size).unwrap_or(512);
        let own = at.checked_add(size).and_then(|end| bytes.get(at..end));
        let own = own.ok_or_else(|| wrong("is cut off"))?;
        let head = Head::decode(own).map_err(|error| error.at(at as u64))?;
        let text = match head.has(flags::MARK) {
            true => {
                let end = usize::try_from(head.data_length).ok();
                let end = end.and_then(|length| length.checked_add(super::v1::HEAD_BYTES));
                let text = end.and_then(|end| own.get(super::v1::HEAD_BYTES..end));
                text.ok_or_else(|| wrong("has a text longer than its sector"))?.to_vec()
            }
            false => Vec::new(),
        };
        if head.sectors == 0 && head.flags == 0 {
            return Err(wrong("is empty"));
        }
        let reach = head.sector.checked_add(head.sectors);
        let reach = reach.and_then(|end| end.checked_mul(u64::from(self.sector_size)));
        if reach.is_none_or(|end| end > crate::crash::guest::MOST_BYTES) {
            return Err(wrong("reaches past the largest file that is explored"));
        }
        let length = head.payload_sectors().checked_mul(u64::from(self.sector_size));
        let length = length.and_then(|length| usize::try_from(length).ok());
        let start = at + size;
        let end = length.and_then(|length| start.checked_add(length));
        let end = end.filter(|end| *end <= bytes.len()).ok_or_else(|| wrong("is cut off"))?;
        Ok(Entry { head, text, payload: start..end })
    }
}
