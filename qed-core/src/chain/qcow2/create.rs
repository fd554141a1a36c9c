//! A fresh qcow2 image: version 3, no features, refcounts of 16 bits.
//!
//! The file is the header's cluster, the refcount table, its blocks, and an L1 table for the whole
//! disk. The header is written last, so that a crash leaves no image or a whole one.

use std::io::IoSlice;

use super::fields::put;
use super::header::{
    BACKING_OFFSET, BACKING_SIZE, CLUSTER_BITS, EXTENSION_BACKING_FORMAT, EXTENSION_END,
    HEADER_LENGTH, L1_ENTRIES, L1_OFFSET, MAGIC, MAX_BACKING_NAME, MAX_CLUSTER_BITS,
    MAX_L1_ENTRIES, MIN_CLUSTER_BITS, REFCOUNT_ORDER, REFCOUNT_TABLE, REFCOUNT_TABLE_CLUSTERS,
    SIZE, VERSION,
};
use crate::error::{Error, Result};
use crate::source::Format;
use crate::storage::{Storage, WriteFlags, write_zeroes};

/// What a fresh qcow2 image is to be; every value of this type is legal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qcow2CreateSpec {
    size: u64,
    cluster_size: u64,
    /// Name and format.
    backing: Option<(Vec<u8>, Format)>,
}

/// Where the parts of a fresh image stand, in clusters.
struct Plan {
    l1_entries: u64,
    refcount_table: u64,
    refcount_blocks: u64,
    total: u64,
}

impl Qcow2CreateSpec {
    /// An image of `size` guest bytes, rounded up to 512.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) where the cluster size is
    /// no power of two from 512 bytes to 2 MiB, or the size passes what it can address.
    pub fn new(size: u64, cluster_size: u64) -> Result<Self> {
        let bits = cluster_size.trailing_zeros();
        if !cluster_size.is_power_of_two() || !(MIN_CLUSTER_BITS..=MAX_CLUSTER_BITS).contains(&bits)
        {
            return Err(Error::invalid(format!(
                "qcow2 cluster size {cluster_size} is not a power of two from 512 to 2097152"
            )));
        }
        let most = MAX_L1_ENTRIES * (cluster_size / 8) * cluster_size;
        let rounded = size.checked_next_multiple_of(512).filter(|size| *size <= most);
        let Some(size) = rounded else {
            return Err(Error::invalid(format!(
                "size {size} passes the maximum of {most} for qcow2 clusters of {cluster_size}"
            )));
        };
        Ok(Self { size, cluster_size, backing: None })
    }

    /// The same image over the backing file `name`, which is stored as it is.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for a name that is empty,
    /// too long or holds a NUL.
    pub fn with_backing(mut self, name: &[u8], format: Format) -> Result<Self> {
        let room = usize::try_from(self.cluster_size).unwrap_or(usize::MAX);
        let most = room.saturating_sub(extensions(format).len() + HEADER_BYTES);
        let most = most.min(MAX_BACKING_NAME);
        if name.is_empty() || name.len() > most {
            let size = name.len();
            return Err(Error::invalid(format!(
                "a backing name of {size} bytes is empty or too long: {most} fit in a qcow2 \
                 header cluster of {room} bytes"
            )));
        }
        if let Some(at) = name.iter().position(|byte| *byte == 0) {
            return Err(Error::invalid(format!("the backing name holds a NUL byte at {at}")));
        }
        self.backing = Some((name.to_vec(), format));
        Ok(self)
    }

    fn plan(&self) -> Plan {
        let per_l2 = self.cluster_size / 8 * self.cluster_size;
        let l1_entries = self.size.div_ceil(per_l2);
        let l1 = (l1_entries * 8).div_ceil(self.cluster_size);
        let per_block = self.cluster_size / 2;
        // More blocks are more clusters, which may need more blocks: it ends at a fixed point.
        let (mut refcount_table, mut refcount_blocks) = (1, 1);
        loop {
            let total = 1 + refcount_table + refcount_blocks + l1;
            let blocks = total.div_ceil(per_block);
            let table = (blocks * 8).div_ceil(self.cluster_size);
            if (table, blocks) == (refcount_table, refcount_blocks) {
                return Plan { l1_entries, refcount_table, refcount_blocks, total };
            }
            (refcount_table, refcount_blocks) = (table, blocks);
        }
    }

    fn header(&self, plan: &Plan) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        let l1 = (1 + plan.refcount_table + plan.refcount_blocks) * self.cluster_size;
        let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
        put(&mut bytes, 0, &MAGIC.to_be_bytes());
        put(&mut bytes, VERSION, &3_u32.to_be_bytes());
        put(&mut bytes, CLUSTER_BITS, &self.cluster_size.trailing_zeros().to_be_bytes());
        put(&mut bytes, SIZE, &self.size.to_be_bytes());
        put(&mut bytes, L1_ENTRIES, &short(plan.l1_entries));
        put(&mut bytes, L1_OFFSET, &l1.to_be_bytes());
        put(&mut bytes, REFCOUNT_TABLE, &self.cluster_size.to_be_bytes());
        put(&mut bytes, REFCOUNT_TABLE_CLUSTERS, &short(plan.refcount_table));
        put(&mut bytes, REFCOUNT_ORDER, &4_u32.to_be_bytes());
        put(&mut bytes, HEADER_LENGTH, &short(HEADER_BYTES as u64));
        match &self.backing {
            None => bytes.extend([0; 8]),
            Some((name, format)) => {
                bytes.extend(extensions(*format));
                let offset = bytes.len() as u64;
                put(&mut bytes, BACKING_OFFSET, &offset.to_be_bytes());
                put(&mut bytes, BACKING_SIZE, &short(name.len() as u64));
                bytes.extend(name);
            }
        }
        bytes
    }

    /// Refcount table and blocks, in a row: every cluster of the fresh file is used once.
    fn refcounts(&self, plan: &Plan) -> Vec<u8> {
        let clusters = (plan.refcount_table + plan.refcount_blocks) * self.cluster_size;
        let mut bytes = vec![0; usize::try_from(clusters).unwrap_or(0)];
        let table = usize::try_from(plan.refcount_table * self.cluster_size).unwrap_or(0);
        let (entries, counts) = bytes.split_at_mut(table);
        for (block, entry) in (0..plan.refcount_blocks).zip(entries.chunks_exact_mut(8)) {
            let offset = (1 + plan.refcount_table + block) * self.cluster_size;
            put(entry, 0, &offset.to_be_bytes());
        }
        for (_, count) in (0..plan.total).zip(counts.chunks_exact_mut(2)) {
            put(count, 0, &1_u16.to_be_bytes());
        }
        bytes
    }
}

/// Makes a fresh qcow2 image of `storage`, whatever it held, and makes it stable.
///
/// # Errors
/// What the storage reports.
pub fn format_qcow2(storage: &dyn Storage, spec: &Qcow2CreateSpec) -> Result<()> {
    let resized = |error| Error::io("setting the file's length", error);
    let plan = spec.plan();
    storage.set_len(0).map_err(resized)?;
    sync(storage)?;
    storage.set_len(plan.total * spec.cluster_size).map_err(resized)?;
    if !storage.limits().zeroes_new_space {
        write_zeroes(storage, 0, plan.total * spec.cluster_size, TABLES)
            .map_err(|error| Error::io("clearing the new image", error))?;
    }
    write(storage, &spec.refcounts(&plan), spec.cluster_size)?;
    sync(storage)?;
    write(storage, &spec.header(&plan), 0)?;
    sync(storage)
}

fn write(storage: &dyn Storage, bytes: &[u8], offset: u64) -> Result<()> {
    storage
        .write(&[IoSlice::new(bytes)], offset, TABLES)
        .map_err(|error| Error::io("writing the new image", error).at(offset))
}

fn sync(storage: &dyn Storage) -> Result<()> {
    storage.sync().map_err(|error| Error::io("syncing the new image", error))
}

/// The extensions behind the header: the backing file's format, and the end of the list.
fn extensions(format: Format) -> Vec<u8> {
    let format = format.name();
    let mut bytes = EXTENSION_BACKING_FORMAT.to_be_bytes().to_vec();
    bytes.extend(u32::try_from(format.len()).unwrap_or(0).to_be_bytes());
    bytes.extend(format.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend(EXTENSION_END.to_be_bytes());
    bytes.extend([0; 4]);
    bytes
}

/// As QEMU writes it: with the compression type, which is 0.
const HEADER_BYTES: usize = 112;
const TABLES: WriteFlags = WriteFlags { metadata: true, fua: false };
