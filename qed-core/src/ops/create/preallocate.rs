//! Space that a new image has from the start.
//!
//! The L2 tables stand in one run behind the L1 table, so that the image behaves as one with a
//! single level: no table is ever made. Then, where that is asked for, the guest's clusters in
//! their order. All of it is written before the header makes an image of the file.

use crate::addr::FileOffset;
use crate::error::{Error, Result};
use crate::format::{Header, L1Entry, L2Entry, MAX_FILE_OFFSET};
use crate::meta::write_words;
use crate::storage::{Preallocation, Storage, set_aside};

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
