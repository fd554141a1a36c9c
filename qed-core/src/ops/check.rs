//! Checking an image without changing it (F6): what is broken, what is wasted, how it lies.
//!
//! Works on whatever bytes it is given: the header must be one, everything behind it may be damage
//! and is counted, not followed. Backing files are never opened.

use std::fs::File;
use std::path::Path;

use crate::chain::file::{Access, check_file as check_type, open_path};
use crate::chain::{OpenOptions, Purpose, file_mode, lock_and_wrap};
use crate::error::{Corruption, Error, ErrorKind, Result};
use crate::format::{Geometry, Header};
use crate::image::read_header;
use crate::meta::scan::{Scan, scan};
use crate::source::Format;
use crate::storage::Storage;

/// Findings that a report carries in full; the others are counted.
const MAX_FINDINGS: usize = 100;

/// What a check found; clusters are counted in clusters of this image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// Bytes from the start of the file to the end of its last referenced cluster.
    pub image_end_offset: u64,
    /// Clusters of the guest's disk, the last one perhaps in part.
    pub total_clusters: u64,
    /// Entries of L2 tables that name a cluster, bad ones included.
    pub allocated_clusters: u64,
    /// Allocated clusters that do not lie directly behind the one before them in their table.
    pub fragmented_clusters: u64,
    /// Tables that could not be read.
    pub check_errors: u64,
    /// Why the first of them could not be read.
    pub first_check_error: Option<String>,
    /// Bad entries: dangling, misaligned, into metadata, or to a cluster that is taken.
    pub corruptions: u64,
    /// Clusters of the file that nobody references: wasted, harmless. Not counted (0) where a table
    /// could not be read: what it references is not known.
    pub leaks: u64,
    /// Bad entries that were mended.
    pub corruptions_fixed: u64,
    /// Leaked clusters that were given back.
    pub leaks_fixed: u64,
    /// The first 100 corruptions.
    pub findings: Vec<Corruption>,
}

impl CheckReport {
    /// Whether nothing is broken and everything could be read; leaks break nothing.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.corruptions == self.corruptions_fixed && self.check_errors == 0
    }
}

/// Checks the image at `path`, read-only. Of `options`, only how the file itself is opened and
/// locked has a meaning here.
///
/// # Errors
/// The file cannot be opened, another process writes to it, or its header is none
/// ([`Error::corruption`] says why). Damage behind the header is no error, it is in the report.
pub fn check(path: impl AsRef<Path>, options: &OpenOptions) -> Result<CheckReport> {
    let path = path.as_ref();
    let access = Access { no_follow: options.no_follow, ..access(options) };
    let opened = open_path(path, access, "the image");
    opened.and_then(|file| check_file(file, options)).map_err(|error| error.in_file(path))
}

/// Checks the image in `file`, as [`check`] does.
///
/// # Errors
/// As [`check`].
pub fn check_file(file: File, options: &OpenOptions) -> Result<CheckReport> {
    if options.format != Format::Qed {
        let text = format!("the format {} does not support checks", options.format);
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    check_type(&file, access(options), "the image")?;
    let mode = file_mode(options.image.cache, false);
    let storage = lock_and_wrap(file, mode, Purpose::Look, options.lock)?;
    check_storage(&*storage)
}

fn access(options: &OpenOptions) -> Access {
    Access { block_devices: options.block_devices, ..Access::default() }
}

/// Checks the image in `storage`, in memory proportional to what it references.
///
/// # Errors
/// The header cannot be read or is none: then nothing can be checked.
pub fn check_storage(storage: &dyn Storage) -> Result<CheckReport> {
    let header = read_header(storage)?;
    let length = storage.len().map_err(|cause| Error::io("asking the file's length", cause))?;
    let mut findings = Vec::new();
    let found = scan(storage, &header, length, &mut |bad| {
        if findings.len() < MAX_FINDINGS {
            findings.push(bad.fault);
        }
        Ok(())
    })?;
    Ok(report(&header, length, &found, findings))
}

fn report(header: &Header, length: u64, found: &Scan, findings: Vec<Corruption>) -> CheckReport {
    let geometry = header.geometry;
    let leaks = if found.is_complete() { leaked(geometry, length, found) } else { 0 };
    CheckReport {
        image_end_offset: found.end.saturating_mul(geometry.cluster_size()),
        total_clusters: geometry.clusters_for(header.image_size),
        allocated_clusters: found.allocated,
        fragmented_clusters: found.fragmented,
        check_errors: found.unreadable,
        first_check_error: found.first_unreadable.as_ref().map(Error::to_string),
        corruptions: found.dangling + found.damage,
        leaks,
        corruptions_fixed: 0,
        leaks_fixed: 0,
        findings,
    }
}

/// Clusters of the file that nobody references; a last one that is there in part is one of them.
fn leaked(geometry: Geometry, length: u64, found: &Scan) -> u64 {
    geometry.clusters_for(length).saturating_sub(found.refs.count())
}

#[cfg(test)]
mod tests;
