//! What a service that takes uploads wants to know of a file before anyone opens it
//! (`docs/security.md`).
//!
//! Reads the one file it is given, never more of it than [`SafetyOptions`] allows, and believes
//! nothing. No backing file is opened, no lock is taken, nothing is changed.

use std::fs::File;
use std::io::IoSliceMut;
use std::path::Path;

use crate::chain::file::{Access, check_file, open_path};
use crate::chain::{OpenOptions, file_mode, probe_storage};
use crate::error::{Corruption, Error, ErrorKind, Result};
use crate::format::{FEATURES_KNOWN, HEADER_BYTES, Header};
use crate::image::{BackingInfo, read_backing_info};
use crate::meta::scan::scan_while;
use crate::source::Format;
use crate::storage::{FileStorage, Storage};

/// How far a safety check goes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SafetyOptions {
    /// The most bytes of tables that are walked; an image with more is not called consistent.
    pub max_table_bytes: u64,
}

impl Default for SafetyOptions {
    /// 256 MiB of tables: 2 TiB of data at 64 KiB clusters.
    fn default() -> Self {
        Self { max_table_bytes: 256 << 20 }
    }
}

/// What a file is, as far as its own bytes say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SafetyReport {
    /// The format that the magic announces; the rest is known of QED images alone.
    pub format: Option<Format>,
    /// Bytes of the file.
    pub file_length: u64,
    /// Guest bytes of the disk, where the header says so credibly.
    pub virtual_size: Option<u64>,
    /// The backing file that it names.
    pub backing: Option<BackingInfo>,
    /// Incompatible features that this library does not know.
    pub unknown_features: u64,
    /// Another writer left the image unchecked (F5).
    pub needs_check: bool,
    /// Whether the tables are sound, every entry of them; `None` where that would take more than it
    /// may, or nobody can tell.
    pub consistent: Option<bool>,
    /// The first thing that is wrong with the header or the tables.
    pub fault: Option<Corruption>,
}

impl SafetyReport {
    /// Whether it is a QED image that names no backing file, has no feature unknown here, and is
    /// known to be consistent.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        self.format == Some(Format::Qed)
            && self.backing.is_none()
            && self.unknown_features == 0
            && !self.needs_check
            && self.consistent == Some(true)
            && self.fault.is_none()
    }
}

/// Looks at the file at `path`.
///
/// # Errors
/// What opening and reading it reports; [`ErrorKind::Refused`] for what is no regular file. That
/// the file is no image, or a broken one, is what the report says.
pub fn safety_check(path: impl AsRef<Path>, options: &SafetyOptions) -> Result<SafetyReport> {
    let path = path.as_ref();
    let opened = open_path(path, Access::default(), "the file");
    opened.and_then(|file| safety_check_file(file, options)).map_err(|error| error.in_file(path))
}

/// Looks at `file`, as [`safety_check`] does.
///
/// # Errors
/// As there.
pub fn safety_check_file(file: File, options: &SafetyOptions) -> Result<SafetyReport> {
    check_file(&file, Access::default(), "the file")?;
    let mode = file_mode(OpenOptions::default().image.cache, false);
    let storage = FileStorage::new(file, mode);
    safety_check_storage(&storage.map_err(|cause| Error::io("reading the file", cause))?, options)
}

/// Looks at the file in `storage`, as [`safety_check`] does.
///
/// # Errors
/// What reading it reports.
pub fn safety_check_storage(
    storage: &dyn Storage,
    options: &SafetyOptions,
) -> Result<SafetyReport> {
    let reading = |cause| Error::io("reading the file", cause);
    let mut report = SafetyReport {
        format: probe_storage(storage)?,
        file_length: storage.len().map_err(reading)?,
        ..SafetyReport::default()
    };
    if report.format != Some(Format::Qed) {
        return Ok(report);
    }
    let mut bytes = [0; HEADER_BYTES];
    storage.read(&mut [IoSliceMut::new(&mut bytes)], 0).map_err(reading)?;
    let present = usize::try_from(report.file_length).unwrap_or(HEADER_BYTES).min(HEADER_BYTES);
    let header = match decode(&bytes[..present], &mut report) {
        Ok(header) => header,
        Err(fault) => {
            (report.fault, report.consistent) = (Some(fault), Some(false));
            return Ok(report);
        }
    };
    report.virtual_size = Some(header.image_size);
    report.needs_check = header.needs_check();
    match look_behind(storage, &header, &mut report, options) {
        Ok(()) => Ok(report),
        Err(error) => match error.corruption() {
            Some(fault) => {
                (report.fault, report.consistent) = (Some(fault.clone()), Some(false));
                Ok(report)
            }
            None => Err(error),
        },
    }
}

/// The header; features that nobody knows are told apart from what is wrong.
fn decode(bytes: &[u8], report: &mut SafetyReport) -> std::result::Result<Header, Corruption> {
    match Header::decode(bytes) {
        Err(Corruption::UnknownFeatures { unknown }) => {
            report.unknown_features = unknown;
            let mut known = [0; HEADER_BYTES];
            known.copy_from_slice(bytes);
            let features = u64::from_le_bytes([
                known[16], known[17], known[18], known[19], known[20], known[21], known[22],
                known[23],
            ]);
            known[16..24].copy_from_slice(&(features & FEATURES_KNOWN).to_le_bytes());
            Header::decode(&known)
        }
        decoded => decoded,
    }
}

fn look_behind(
    storage: &dyn Storage,
    header: &Header,
    report: &mut SafetyReport,
    options: &SafetyOptions,
) -> Result<()> {
    // Behind a feature that nobody knows, and a NUL in the name, anything may stand.
    if report.unknown_features == 0 {
        report.backing = named(storage, header)?;
    } else if header.has_backing_file() {
        report.backing = Some(BackingInfo { name: Vec::new(), format: None });
    }
    header.validate()?;
    if report.unknown_features != 0 {
        return Ok(());
    }
    let mut pieces = 0;
    let mut go_on = |done, total: u64| {
        pieces += 1;
        let too_much = total.max(done) > options.max_table_bytes || pieces > MAX_PIECES;
        if too_much { Err(Error::new(ErrorKind::Cancelled, "too much to look at")) } else { Ok(()) }
    };
    let mut visit = |bad: crate::meta::scan::BadEntry| Err(bad.fault.into());
    match scan_while(storage, header, report.file_length, &mut go_on, &mut visit) {
        Ok(found) => report.consistent = found.is_complete().then_some(true),
        Err(error) if error.kind() == ErrorKind::Cancelled => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// The backing file's name; one that cannot be read is a name all the same.
fn named(storage: &dyn Storage, header: &Header) -> Result<Option<BackingInfo>> {
    match read_backing_info(storage) {
        Err(error) if error.corruption().is_some() && header.has_backing_file() => {
            Ok(Some(BackingInfo { name: Vec::new(), format: None }))
        }
        read => read,
    }
}

/// Pieces of tables, of at most 1 MiB, that are looked at: also a table of many small pieces ends.
const MAX_PIECES: u64 = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Geometry;
    use crate::ops::create::{CreateSpec, format_storage};
    use crate::storage::{MemoryStorage, WriteFlags};
    use std::io::IoSlice;

    fn image() -> MemoryStorage {
        let storage = MemoryStorage::new();
        let spec = CreateSpec::new(Geometry::new(4096, 1).unwrap(), 4 << 20).unwrap();
        format_storage(&storage, &spec).unwrap();
        storage
    }

    fn put(storage: &MemoryStorage, offset: u64, bytes: &[u8]) {
        storage.write(&[IoSlice::new(bytes)], offset, WriteFlags::default()).unwrap();
    }

    fn look(storage: &MemoryStorage) -> SafetyReport {
        let report = safety_check_storage(storage, &SafetyOptions::default()).unwrap();
        assert_eq!(report.file_length, storage.len().unwrap());
        report
    }

    #[test]
    fn a_sound_image_is_safe() {
        let report = look(&image());
        assert!(report.is_safe(), "{report:?}");
        assert_eq!((report.virtual_size, report.consistent), (Some(4 << 20), Some(true)));
    }

    #[test]
    fn everything_else_is_not_and_is_told_apart() {
        // Goal: each of the questions has an answer of its own. Method: a sound image, changed.
        let changed = |changes: &[(u64, &[u8])]| {
            let storage = image();
            changes.iter().for_each(|(offset, bytes)| put(&storage, *offset, bytes));
            let report = look(&storage);
            assert!(!report.is_safe(), "{report:?}");
            report
        };
        let backed = changed(&[(16, &[1]), (56, &[64]), (60, &[4]), (64, b"base")]);
        assert_eq!(backed.backing.unwrap().name, b"base");
        assert_eq!(backed.consistent, Some(true));
        let stray = changed(&[(16, &[1]), (57, &[0x10]), (60, &[4]), (4096, b"base")]);
        assert!(matches!(stray.fault, Some(Corruption::BackingName { .. })), "{stray:?}");
        assert!(changed(&[(16, &[1]), (56, &[64]), (60, &[4])]).backing.is_some(), "of NULs");
        let unknown = changed(&[(16, &[1, 0x80]), (56, &[64]), (60, &[4])]);
        assert_eq!((unknown.unknown_features, unknown.consistent), (0x8000, None));
        assert!(unknown.virtual_size.is_some() && unknown.backing.is_some());
        assert!(changed(&[(16, &[2])]).needs_check);
        let broken = changed(&[(4096, &[1])]);
        assert_eq!(broken.consistent, Some(false));
        assert_eq!(broken.fault, Some(Corruption::L1Entry { index: 0, value: 1 }));
        assert!(matches!(changed(&[(4, &[1])]).fault, Some(Corruption::ClusterSize { .. })));
        assert_eq!(changed(&[(0, b"QFI\xfb\0\0\0\x03")]).format, Some(Format::Qcow2));
        assert_eq!(changed(&[(0, b"?")]).format, None);
        assert_eq!(look(&MemoryStorage::from_bytes(b"QED\0")).consistent, Some(false));
    }

    #[test]
    fn the_work_is_bounded() {
        // 512 L1 entries, each a table of its own: two MiB of tables, one of which is allowed.
        let storage = image();
        storage.set_len(4096 * 1024).unwrap();
        for index in 0..512_u64 {
            put(&storage, 4096 + 8 * index, &(4096 * (index + 2)).to_le_bytes());
        }
        assert_eq!(look(&storage).consistent, Some(true));
        let report =
            safety_check_storage(&storage, &SafetyOptions { max_table_bytes: 1 << 20 }).unwrap();
        assert_eq!((report.consistent, report.fault), (None, None));
    }
}
