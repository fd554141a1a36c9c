//! Taking changes back.

use std::io::{self, IoSlice};
use std::sync::Arc;

use super::journal::{Kind, Reader, Writer, digest};
use crate::storage::covered::Covered;
use crate::storage::{Storage, WriteFlags, write_zeroes};

/// Makes `storage` what it was before the changes that `journal` keeps, its length included.
/// Stable when this returns. Where it is broken off it can be made again.
///
/// # Errors
/// `InvalidData` for what is no journal; `InvalidInput` where the file is not as the changes left
/// it, or they were taken back already: nothing is changed then. What the storages report.
pub fn restore(storage: &dyn Storage, journal: Arc<dyn Storage>) -> io::Result<()> {
    let mut reader = Reader::new(&*journal)?;
    let length = reader.length;
    let mut covered = Covered::default();
    let (mut left, mut last) = (None, None);
    while let Some(record) = reader.next()? {
        last = Some(record.kind);
        match record.kind {
            Kind::Bytes | Kind::Zeroes => {
                let end = record.place.checked_add(record.number).filter(|end| *end <= length);
                let end = end.ok_or_else(|| wrong("the undo file names bytes past the end"))?;
                covered.insert(record.place, end);
            }
            Kind::End => left = Some((record.place, record.number)),
            Kind::Restoring => {}
            Kind::Restored => return Err(refused("the changes were taken back already")),
        }
    }
    // Half taken back, it is neither one nor the other; without an end nobody knows.
    if let Some((length_left, digest_left)) = left.filter(|_| last == Some(Kind::End)) {
        let same = storage.len()? == length_left && digest(storage, covered.iter())? == digest_left;
        if !same {
            return Err(refused("the file is another one, or was changed since"));
        }
    }
    let mut writer = Writer::resume(Arc::clone(&journal), reader.at);
    writer.add(Kind::Restoring, 0, 0, &[])?;
    writer.sync()?;
    apply(storage, &*journal, length)?;
    writer.add(Kind::Restored, 0, 0, &[])?;
    writer.sync()
}

fn apply(storage: &dyn Storage, journal: &dyn Storage, length: u64) -> io::Result<()> {
    if storage.len()? != length {
        storage.set_len(length)?;
    }
    let mut reader = Reader::new(journal)?;
    while let Some(record) = reader.next()? {
        let flags = WriteFlags::default();
        match record.kind {
            Kind::Bytes => storage.write(&[IoSlice::new(&record.payload)], record.place, flags)?,
            Kind::Zeroes => clear(storage, record.place, record.number)?,
            Kind::End | Kind::Restoring | Kind::Restored => {}
        }
    }
    storage.sync()
}

/// Zeroes that take no space where the storage can do that.
fn clear(storage: &dyn Storage, offset: u64, length: u64) -> io::Result<()> {
    match storage.punch(offset, length) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            write_zeroes(storage, offset, length, WriteFlags::default())
        }
        done => done,
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

fn wrong(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
