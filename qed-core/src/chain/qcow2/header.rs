//! The header of a qcow2 image: bytes to values that are safe to use.
//!
//! Big-endian fields at fixed places, then extensions, then the backing file's name, all inside the
//! first cluster. Whatever the bytes are, the answer is a header whose tables lie inside the file
//! and are not larger than QEMU's own limits, or an error. What a reader cannot serve is refused
//! by [`support`](super::support), not here, so that such an image can still be described.

use std::io::IoSliceMut;

use super::fields::{be32, be64, bytes_at};
use super::info::{
    INCOMPATIBLE_COMPRESSION, Qcow2Backing, Qcow2Compression, Qcow2Encryption, Qcow2Info,
};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::Storage;

/// A header whose values can be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Qcow2Header {
    pub(super) info: Qcow2Info,
    pub(super) cluster_bits: u32,
    pub(super) l1_offset: u64,
    pub(super) l1_entries: u32,
    pub(super) refcount_table_offset: u64,
    pub(super) refcount_table_clusters: u32,
}

impl Qcow2Header {
    /// Reads the header of the image in `storage`.
    ///
    /// # Errors
    /// A field that breaks the format, a failed read.
    pub(super) fn load(storage: &dyn Storage) -> Result<Self> {
        let length = storage.len().map_err(|error| Error::io("asking the file's length", error))?;
        let start = read(storage, LONGEST_FIXED.min(length))?;
        let cluster_size = 1 << cluster_bits(&start)?;
        Self::parse(&read(storage, length.min(cluster_size))?, length)
    }

    /// The header in `bytes`, the first cluster of a file of `length` bytes or what is there of it.
    ///
    /// # Errors
    /// A field that breaks the format.
    pub(super) fn parse(bytes: &[u8], length: u64) -> Result<Self> {
        let cluster_bits = cluster_bits(bytes)?;
        let fixed = bytes_at(bytes, 0, V2_BYTES)?;
        let version = be32(fixed, VERSION)?;
        let newer = if version == 3 { Newer::parse(bytes, cluster_bits)? } else { Newer::V2 };
        let name = backing_name(bytes)?;
        let extensions = Extensions::parse(bytes, newer.header_length, name.offset)?;
        let info = Qcow2Info {
            version,
            virtual_size: be64(fixed, SIZE)?,
            cluster_size: 1 << cluster_bits,
            refcount_bits: 1 << newer.refcount_order,
            incompatible_features: newer.incompatible,
            compatible_features: newer.compatible,
            autoclear_features: newer.autoclear,
            compression: newer.compression,
            encryption: encryption(be32(fixed, CRYPT_METHOD)?)?,
            snapshots: be32(fixed, SNAPSHOTS)?,
            backing: name.bytes.map(|name| Qcow2Backing { name, format: extensions.format }),
        };
        let header = Self {
            info,
            cluster_bits,
            l1_offset: be64(fixed, L1_OFFSET)?,
            l1_entries: be32(fixed, L1_ENTRIES)?,
            refcount_table_offset: be64(fixed, REFCOUNT_TABLE)?,
            refcount_table_clusters: be32(fixed, REFCOUNT_TABLE_CLUSTERS)?,
        };
        header.check_tables(length)?;
        Ok(header)
    }

    /// Tables lie inside the file, and reach as far as they must.
    fn check_tables(&self, length: u64) -> Result<()> {
        let cluster_size = self.info.cluster_size;
        let per_table = cluster_size.saturating_mul(cluster_size / 8);
        let needed = self.info.virtual_size.div_ceil(per_table);
        let entries = u64::from(self.l1_entries);
        if entries > MAX_L1_ENTRIES || needed > entries {
            return Err(broken(format!(
                "L1 table of {entries} entries, where the size needs {needed} and \
                 {MAX_L1_ENTRIES} are the most"
            )));
        }
        self.check_table("L1 table", self.l1_offset, entries * 8, length)?;
        let clusters = u64::from(self.refcount_table_clusters);
        let bytes = clusters.saturating_mul(cluster_size);
        if clusters == 0 || bytes > MAX_REFCOUNT_TABLE {
            return Err(broken(format!("refcount table of {clusters} clusters is out of range")));
        }
        self.check_table("refcount table", self.refcount_table_offset, bytes, length)
    }

    fn check_table(&self, what: &str, offset: u64, bytes: u64, length: u64) -> Result<()> {
        let cluster_size = self.info.cluster_size;
        if bytes == 0 {
            return Ok(());
        }
        let end = offset.checked_add(bytes).filter(|end| *end <= length);
        if !offset.is_multiple_of(cluster_size) || offset < cluster_size || end.is_none() {
            return Err(broken(format!(
                "{what} of {bytes} bytes at {offset:#x} is misaligned, on the header or outside \
                 the file of {length} bytes"
            )));
        }
        Ok(())
    }
}

/// What version 3 added.
struct Newer {
    incompatible: u64,
    compatible: u64,
    autoclear: u64,
    refcount_order: u32,
    header_length: usize,
    compression: Qcow2Compression,
}

impl Newer {
    /// What version 2 has instead.
    const V2: Self = Self {
        incompatible: 0,
        compatible: 0,
        autoclear: 0,
        refcount_order: 4,
        header_length: V2_BYTES,
        compression: Qcow2Compression::Zlib,
    };

    fn parse(bytes: &[u8], cluster_bits: u32) -> Result<Self> {
        let length = be32(bytes, HEADER_LENGTH)?;
        let header_length = usize::try_from(length).unwrap_or(usize::MAX);
        if header_length < V3_BYTES || header_length % 8 != 0 || length > 1 << cluster_bits {
            return Err(broken(format!("header length {length} is out of range")));
        }
        let refcount_order = be32(bytes, REFCOUNT_ORDER)?;
        if refcount_order > 6 {
            return Err(broken(format!("refcounts of 2^{refcount_order} bits, at most 2^6")));
        }
        let incompatible = be64(bytes, INCOMPATIBLE)?;
        let kind = if header_length > COMPRESSION_TYPE {
            bytes_at(bytes, COMPRESSION_TYPE, 1)?.first().copied().unwrap_or(0)
        } else {
            0
        };
        if (incompatible & INCOMPATIBLE_COMPRESSION != 0) != (kind != 0) {
            let message = format!("compression type {kind} contradicts the feature bit for it");
            return Err(broken(message));
        }
        let compression = match kind {
            0 => Qcow2Compression::Zlib,
            1 => Qcow2Compression::Zstd,
            other => Qcow2Compression::Unknown(other),
        };
        let (compatible, autoclear) = (be64(bytes, COMPATIBLE)?, be64(bytes, AUTOCLEAR)?);
        Ok(Self { incompatible, compatible, autoclear, refcount_order, header_length, compression })
    }
}

/// The extensions that mean something here.
struct Extensions {
    format: Option<Vec<u8>>,
}

impl Extensions {
    /// The extensions between the header and `end`, where the backing name begins, or the cluster's
    /// end.
    fn parse(bytes: &[u8], start: usize, end: Option<usize>) -> Result<Self> {
        let mut found = Self { format: None };
        let end = end.unwrap_or(bytes.len()).min(bytes.len());
        let mut at = start;
        while at.saturating_add(8) <= end {
            let (kind, size) = (be32(bytes, at)?, be32(bytes, at + 4)?);
            if kind == EXTENSION_END {
                break;
            }
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            if size > end - at - 8 {
                return Err(
                    broken(format!("header extension {kind:#x} passes the header")).at(at as u64)
                );
            }
            if kind == EXTENSION_BACKING_FORMAT {
                found.format = Some(bytes_at(bytes, at + 8, size)?.to_vec());
            }
            at = (at + 8).saturating_add(size.next_multiple_of(8));
        }
        Ok(found)
    }
}

struct BackingName {
    offset: Option<usize>,
    bytes: Option<Vec<u8>>,
}

fn backing_name(bytes: &[u8]) -> Result<BackingName> {
    let (offset, size) = (be64(bytes, BACKING_OFFSET)?, be32(bytes, BACKING_SIZE)?);
    if offset == 0 {
        return Ok(BackingName { offset: None, bytes: None });
    }
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let name = match usize::try_from(size) {
        Ok(length @ 1..=MAX_BACKING_NAME) => bytes_at(bytes, start, length).ok(),
        _ => None,
    };
    let Some(name) = name else {
        return Err(broken(format!(
            "backing name of {size} bytes at {offset} is empty, too long or outside the header"
        )));
    };
    if let Some(at) = name.iter().position(|byte| *byte == 0) {
        return Err(broken(format!("backing name holds a NUL byte at {at}")));
    }
    Ok(BackingName { offset: Some(start), bytes: Some(name.to_vec()) })
}

fn encryption(method: u32) -> Result<Option<Qcow2Encryption>> {
    match method {
        0 => Ok(None),
        1 => Ok(Some(Qcow2Encryption::Aes)),
        2 => Ok(Some(Qcow2Encryption::Luks)),
        other => Err(broken(format!("unknown encryption method {other}"))),
    }
}

/// log2 of the cluster size, once it is known that these bytes are a qcow2 header at all.
fn cluster_bits(bytes: &[u8]) -> Result<u32> {
    let magic = be32(bytes, 0).ok();
    if magic != Some(MAGIC) {
        let found = magic.map_or("missing".into(), |magic| format!("{magic:#010x}"));
        return Err(broken(format!("not a qcow2 image: magic is {found}")));
    }
    let version = be32(bytes, VERSION)?;
    if !matches!(version, 2 | 3) {
        let message = format!("qcow2 version {version} is not supported");
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let bits = be32(bytes, CLUSTER_BITS)?;
    if !(MIN_CLUSTER_BITS..=MAX_CLUSTER_BITS).contains(&bits) {
        return Err(broken(format!("cluster size 2^{bits} is not from 512 to 2097152")));
    }
    Ok(bits)
}

fn read(storage: &dyn Storage, length: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    storage
        .read(&mut [IoSliceMut::new(&mut bytes)], 0)
        .map_err(|error| Error::io("reading the header", error))?;
    Ok(bytes)
}

fn broken(message: String) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}

// Places of the fields in the header, and the sizes of its two versions.
pub(super) const MAGIC: u32 = 0x5146_49fb;
pub(super) const VERSION: usize = 4;
pub(super) const BACKING_OFFSET: usize = 8;
pub(super) const BACKING_SIZE: usize = 16;
pub(super) const CLUSTER_BITS: usize = 20;
pub(super) const SIZE: usize = 24;
const CRYPT_METHOD: usize = 32;
pub(super) const L1_ENTRIES: usize = 36;
pub(super) const L1_OFFSET: usize = 40;
pub(super) const REFCOUNT_TABLE: usize = 48;
pub(super) const REFCOUNT_TABLE_CLUSTERS: usize = 56;
const SNAPSHOTS: usize = 60;
pub(super) const V2_BYTES: usize = 72;
pub(super) const INCOMPATIBLE: usize = 72;
const COMPATIBLE: usize = 80;
pub(super) const AUTOCLEAR: usize = 88;
pub(super) const REFCOUNT_ORDER: usize = 96;
pub(super) const HEADER_LENGTH: usize = 100;
pub(super) const V3_BYTES: usize = 104;
const COMPRESSION_TYPE: usize = 104;
/// Enough of the header to know the cluster size.
const LONGEST_FIXED: u64 = 112;

pub(super) const EXTENSION_END: u32 = 0;
pub(super) const EXTENSION_BACKING_FORMAT: u32 = 0xe279_2aca;

pub(super) const MIN_CLUSTER_BITS: u32 = 9;
pub(super) const MAX_CLUSTER_BITS: u32 = 21;
/// QEMU's limits, which are ours for memory, too: 32 MiB and 8 MiB.
pub(super) const MAX_L1_ENTRIES: u64 = 4 << 20;
const MAX_REFCOUNT_TABLE: u64 = 8 << 20;
pub(super) const MAX_BACKING_NAME: usize = 1023;
