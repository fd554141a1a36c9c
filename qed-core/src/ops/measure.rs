//! How long the file of a converted disk will be, before it is there.
//!
//! What the source's extents call data counts, in whole clusters of the new image; data that
//! happens to be zeroes counts, too, though [`convert`](super::convert()) leaves it out. So
//! `required` is exact for a copy of a disk whose data is none, and enough for any other one. For
//! qcow2 the metadata is what `qemu-img` reserves: all tables of the disk, and the reference counts
//! of a full one.

use super::convert::qed_length;
use super::create::{CreateOptions, CreateSpec, Shape};
use crate::chain::qcow2::Qcow2CreateSpec;
use crate::error::{Error, Result};
use crate::format::Geometry;
use crate::source::{Format, Source};

/// The new image that is measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MeasureOptions {
    /// Its format.
    pub format: Format,
    /// Bytes in a cluster; 64 KiB where it is not given. As in
    /// [`CreateOptions`](crate::CreateOptions).
    pub cluster_size: Option<u64>,
    /// Clusters in a table of a QED image; 4 where it is not given.
    pub table_size: Option<u64>,
}

/// The lengths of a new image's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Measured {
    /// Bytes of file when the disk has been copied.
    pub required: u64,
    /// Bytes of file when every cluster of the new image has been written.
    pub fully_allocated: u64,
}

/// Measures what a copy of `source`, with its backing files, takes.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) where such an image could not
/// be created; what asking for the source's extents reports.
pub fn measure(source: &dyn Source, options: &MeasureOptions) -> Result<Measured> {
    of(source.size(), Some(source), options)
}

/// Measures what a new disk of `size` bytes takes; nothing is written to it.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) where such an image could not
/// be created.
pub fn measure_size(size: u64, options: &MeasureOptions) -> Result<Measured> {
    of(size, None, options)
}

fn of(size: u64, source: Option<&dyn Source>, options: &MeasureOptions) -> Result<Measured> {
    let create = CreateOptions {
        format: options.format,
        cluster_size: options.cluster_size,
        table_size: options.table_size,
        ..CreateOptions::default()
    };
    let shape = Shape::of(&create)?;
    let size = size.checked_next_multiple_of(512).ok_or_else(too_long)?;
    match shape {
        Shape::Qed(geometry) => qed(size, source, geometry),
        Shape::Qcow2(cluster_size) => qcow2(size, source, cluster_size),
        Shape::Raw => Ok(Measured { required: size, fully_allocated: size }),
    }
}

fn qed(size: u64, source: Option<&dyn Source>, geometry: Geometry) -> Result<Measured> {
    let spec = CreateSpec::new(geometry, size)?;
    let required = match source {
        Some(source) => qed_length(source, geometry)?,
        None => spec.length()?,
    };
    Ok(Measured { required, fully_allocated: spec.length_when_full()? })
}

fn qcow2(size: u64, source: Option<&dyn Source>, cluster_size: u64) -> Result<Measured> {
    // What cannot be created is not measured.
    Qcow2CreateSpec::new(size, cluster_size)?;
    let clusters = size.div_ceil(cluster_size);
    let metadata = qcow2_metadata(clusters, cluster_size).ok_or_else(too_long)?;
    let data = match source {
        Some(source) => data_clusters(source, cluster_size)?,
        None => 0,
    };
    let bytes = |data: u64| metadata.checked_add(data)?.checked_mul(cluster_size);
    Ok(Measured {
        required: bytes(data).ok_or_else(too_long)?,
        fully_allocated: bytes(clusters).ok_or_else(too_long)?,
    })
}

/// Clusters of everything but data in a full qcow2 image of `data` clusters: header, L1 and L2
/// tables, reference counts of 16 bits and the table of their blocks.
fn qcow2_metadata(data: u64, cluster_size: u64) -> Option<u64> {
    let words = cluster_size / 8;
    let tables = data.div_ceil(words);
    let counted = tables.div_ceil(words).checked_add(tables)?.checked_add(1)?;
    let (mut blocks, mut table) = (0, 0);
    loop {
        // The blocks count themselves and their table: both grow until all are counted.
        let all = data.checked_add(counted)?.checked_add(blocks)?.checked_add(table)?;
        let needed = all.div_ceil(cluster_size / 2);
        let (before, places) = (table, needed.div_ceil(words));
        table = places;
        if needed == blocks && places == before {
            return counted.checked_add(blocks)?.checked_add(table);
        }
        blocks = needed;
    }
}

/// How many clusters of a copy hold data, each counted once.
fn data_clusters(source: &dyn Source, cluster_size: u64) -> Result<u64> {
    let (size, mut at, mut counted, mut clusters) = (source.size(), 0, 0, 0);
    while at < size {
        let extent = source.extent(at, size - at)?;
        let end = at.saturating_add(extent.length).min(size);
        if end <= at {
            return Err(Error::invalid("an extent without bytes").at(at));
        }
        if !extent.reads_zero() {
            let first = (at / cluster_size).max(counted);
            counted = end.div_ceil(cluster_size).max(counted);
            clusters += counted - first;
        }
        at = end;
    }
    Ok(clusters)
}

fn too_long() -> Error {
    Error::invalid("the image would be too long")
}
