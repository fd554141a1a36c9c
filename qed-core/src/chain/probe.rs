//! Formats: which there are, and which one a file's first bytes look like.
//!
//! Probing reads bytes and opens nothing else. Raw is never its answer: a guest may write any magic
//! into its raw disk, and a file without a magic may be anything.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::file::{Access, check_file, open_path};
use crate::error::{Error, Result};
use crate::format::MAGIC;
use crate::storage::Storage;

/// What a file looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// It begins as a QED image does.
    Qed,
    /// It begins as a qcow2 image does.
    Qcow2,
    /// Nothing that is known: a raw disk, or anything else.
    Unknown,
}

/// A format that a backing file may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackingFormat {
    /// The bytes of the disk.
    Raw,
    /// An image of our own.
    Qed,
}

impl BackingFormat {
    /// The format's name in options.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qed => "qed",
        }
    }
}

/// What the regular file or block device at `path` looks like.
///
/// # Errors
/// What the operating system reports; [`ErrorKind::Refused`](crate::ErrorKind::Refused) for a file
/// of another type.
pub fn probe(path: impl AsRef<Path>) -> Result<Format> {
    let path = path.as_ref();
    let opened = open_path(path, ANY_DISK, "the file");
    opened.and_then(|file| probe_file(&file)).map_err(|error| error.in_file(path))
}

/// What an open file looks like. Its position stays.
///
/// # Errors
/// As [`probe`].
pub fn probe_file(file: &File) -> Result<Format> {
    check_file(file, ANY_DISK, "the file")?;
    let mut start = [0; PROBED];
    let mut present = 0;
    while present < PROBED {
        match file.read_at(&mut start[present..], present as u64) {
            Ok(0) => break,
            Ok(count) => present += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("reading the first bytes", error).at(0)),
        }
    }
    Ok(recognise(start))
}

/// What the file in `storage` looks like.
///
/// # Errors
/// A failed read.
pub(crate) fn probe_storage(storage: &dyn Storage) -> Result<Format> {
    // Past the end reads as zeroes, which the magic must not borrow.
    let length = storage.len().map_err(|error| Error::io("asking the file's length", error))?;
    let mut start = [0; PROBED];
    if length < MAGIC.to_le_bytes().len() as u64 {
        return Ok(Format::Unknown);
    }
    storage
        .read(&mut [IoSliceMut::new(&mut start)], 0)
        .map_err(|error| Error::io("reading the first bytes", error).at(0))?;
    Ok(recognise(start))
}

fn recognise(start: [u8; PROBED]) -> Format {
    let [a, b, c, d, version @ ..] = start;
    let magic = [a, b, c, d];
    if magic == MAGIC.to_le_bytes() {
        Format::Qed
    } else if magic == *b"QFI\xfb" && matches!(u32::from_be_bytes(version), 2 | 3) {
        Format::Qcow2
    } else {
        Format::Unknown
    }
}

/// A magic and a version.
const PROBED: usize = 8;
const ANY_DISK: Access = Access { writable: false, no_follow: false, block_devices: true };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    #[test]
    fn magic_alone_decides() {
        let look = |bytes: &[u8]| probe_storage(&MemoryStorage::from_bytes(bytes)).unwrap();
        assert_eq!(look(b"QED\0"), Format::Qed);
        assert_eq!(look(b"QFI\xfb\0\0\0\x02"), Format::Qcow2);
        assert_eq!(look(b"QFI\xfb\0\0\0\x03"), Format::Qcow2);
        assert_eq!(look(b"QFI\xfb\0\0\0\x01"), Format::Unknown);
        for other in [&b""[..], b"Q", b"QED", b"QED ", b"\0QED\0", b"QFI\xfb"] {
            assert_eq!(look(other), Format::Unknown, "{other:?}");
        }
    }
}
