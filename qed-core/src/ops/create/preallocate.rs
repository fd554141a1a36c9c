//! Space that a new image has from the start.
//!
//! The L2 tables stand in one run behind the L1 table, so that the image behaves as one with a
//! single level: no table is ever made. Then, where that is asked for, the guest's clusters in
//! their order. All of it is written before the header makes an image of the file.

use std::io::{ErrorKind as IoErrorKind, IoSlice};

use crate::addr::FileOffset;
use crate::error::{Error, Result};
use crate::format::{Header, L1Entry, L2Entry, MAX_FILE_OFFSET};
use crate::storage::{Storage, WriteFlags, write_zeroes};

/// What space a new disk has from the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preallocation {
    /// None.
    #[default]
    Off,
    /// All tables, and no data.
    Metadata,
    /// All clusters: the file system has set their space aside.
    Falloc,
    /// All clusters, written as zeroes.
    Full,
}

impl Preallocation {
    /// Whether the guest's data has its space.
    pub(super) fn has_data(self) -> bool {
        matches!(self, Self::Falloc | Self::Full)
    }
}

/// Where tables and data stand in an image of `header` that has them from the start.
struct Plan {
    tables: u64,
    data: u64,
    end: u64,
}

impl Plan {
    fn of(header: &Header, kind: Preallocation) -> Option<Self> {
        let geometry = header.geometry;
        let first = header.l1_table_offset.get().checked_add(geometry.table_bytes())?;
        let tables = geometry.l1_entries_for(header.image_size);
        let data = first.checked_add(tables.checked_mul(geometry.table_bytes())?)?;
        let clusters = if kind.has_data() { geometry.clusters_for(header.image_size) } else { 0 };
        let end = data.checked_add(clusters.checked_mul(geometry.cluster_size())?)?;
        (end <= MAX_FILE_OFFSET).then_some(Self { tables: first, data, end })
    }
}

/// Bytes of the file of a new image.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument): no file is so long.
pub(super) fn length(header: &Header, kind: Preallocation) -> Result<u64> {
    if kind == Preallocation::Off {
        return Ok(header.l1_table_offset.get() + header.geometry.table_bytes());
    }
    let plan = Plan::of(header, kind);
    plan.map(|plan| plan.end).ok_or_else(|| Error::invalid("the preallocated file is too long"))
}

/// Writes tables and data of a new image into `storage`, which is [`length`] bytes of zeroes long.
///
/// # Errors
/// What the storage reports.
pub(super) fn fill(storage: &dyn Storage, header: &Header, kind: Preallocation) -> Result<()> {
    let Some(plan) = Plan::of(header, kind).filter(|_| kind != Preallocation::Off) else {
        return Ok(());
    };
    let geometry = header.geometry;
    let tables = geometry.l1_entries_for(header.image_size);
    let table = |index: u64| plan.tables + index * geometry.table_bytes();
    write_words(storage, header.l1_table_offset.get(), tables, |index| {
        L1Entry::Table(FileOffset(table(index))).encode()
    })?;
    if !kind.has_data() {
        return Ok(());
    }
    let cluster = |index: u64| plan.data + index * geometry.cluster_size();
    // The tables stand one behind the other: their entries are one list.
    write_words(storage, plan.tables, geometry.clusters_for(header.image_size), |index| {
        L2Entry::Data(FileOffset(cluster(index))).encode()
    })?;
    set_aside(storage, plan.data, plan.end - plan.data, kind)
}

/// Gives `length` bytes at `offset`, which read as zeroes, their space.
///
/// # Errors
/// What the storage reports.
pub(super) fn set_aside(
    storage: &dyn Storage,
    offset: u64,
    length: u64,
    kind: Preallocation,
) -> Result<()> {
    let failed = |error| Error::io("preallocating", error).at(offset);
    if kind == Preallocation::Falloc {
        match storage.allocate(offset, length) {
            Err(error) if error.kind() == IoErrorKind::Unsupported => {}
            result => return result.map_err(failed),
        }
    }
    write_zeroes(storage, offset, length, WriteFlags::default()).map_err(failed)
}

/// Writes `count` words of a table from `offset` on, padded with zeroes to a whole block.
fn write_words(
    storage: &dyn Storage,
    offset: u64,
    count: u64,
    word: impl Fn(u64) -> u64,
) -> Result<()> {
    let flags = WriteFlags { metadata: true, fua: false };
    let mut first = 0;
    while first < count {
        let next = count.min(first + WORDS_AT_ONCE);
        let mut bytes: Vec<u8> =
            (first..next).flat_map(|index| word(index).to_le_bytes()).collect();
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        let at = offset + 8 * first;
        let written = storage.write(&[IoSlice::new(&bytes)], at, flags);
        written.map_err(|error| Error::io("writing a table", error).at(at))?;
        first = next;
    }
    Ok(())
}

/// 1 MiB of a table.
const WORDS_AT_ONCE: u64 = 1 << 17;
/// No table is smaller, and none cut differently.
const BLOCK: usize = 4096;
