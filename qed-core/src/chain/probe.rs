//! Which format a file's first bytes announce.
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
use crate::source::Format;
use crate::storage::Storage;

/// The format that the first bytes of the file or block device at `path` announce.
///
/// # Errors
/// What the operating system reports; [`ErrorKind::Refused`](crate::ErrorKind::Refused) for a file
/// of another type.
pub fn probe(path: impl AsRef<Path>) -> Result<Option<Format>> {
    let path = path.as_ref();
    let opened = open_path(path, ANY_DISK, "the file");
    opened.and_then(|file| probe_file(&file)).map_err(|error| error.in_file(path))
}

/// What an open file looks like. Its position stays.
///
/// # Errors
/// As [`probe`].
pub fn probe_file(file: &File) -> Result<Option<Format>> {
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
pub(crate) fn probe_storage(storage: &dyn Storage) -> Result<Option<Format>> {
    // Past the end reads as zeroes, which the magic must not borrow.
    let length = storage.len().map_err(|error| Error::io("asking the file's length", error))?;
    let mut start = [0; PROBED];
    if length < MAGIC.to_le_bytes().len() as u64 {
        return Ok(None);
    }
    storage
        .read(&mut [IoSliceMut::new(&mut start)], 0)
        .map_err(|error| Error::io("reading the first bytes", error).at(0))?;
    Ok(recognise(start))
}

fn recognise(start: [u8; PROBED]) -> Option<Format> {
    let [a, b, c, d, version @ ..] = start;
    let magic = [a, b, c, d];
    if magic == MAGIC.to_le_bytes() {
        Some(Format::Qed)
    } else if magic == *b"QFI\xfb" && matches!(u32::from_be_bytes(version), 2 | 3) {
        Some(Format::Qcow2)
    } else {
        None
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
        assert_eq!(look(b"QED\0"), Some(Format::Qed));
        assert_eq!(look(b"QFI\xfb\0\0\0\x02"), Some(Format::Qcow2));
        assert_eq!(look(b"QFI\xfb\0\0\0\x03"), Some(Format::Qcow2));
        assert_eq!(look(b"QFI\xfb\0\0\0\x01"), None);
        for other in [&b""[..], b"Q", b"QED", b"QED ", b"\0QED\0", b"QFI\xfb"] {
            assert_eq!(look(other), None, "{other:?}");
        }
    }
}
