//! The file of a qcow2 image: every byte that is read from it or written to it passes here.
//!
//! Two kinds of access come together. Guest data is moved by this layer itself; tables are moved by
//! the engine through its [`Adapter`](super::adapter::Adapter). Order between them is kept here:
//!
//! - Q1. Before a table is written, guest data written earlier is stable.
//! - Q2. Before a pointer to a table is written (an entry of the L1 or refcount table, the header),
//!   everything written earlier is stable.
//! - Q3. Before the first change the header says that the image is dirty, and that is stable; it
//!   says so until a close has made everything stable.
//!
//! With Q3 refcounts need no order: whoever meets a dirty image rebuilds them from the other
//! tables, for which Q1 and Q2 vouch.
//!
//! The engine sees a header of our making: validated values, no name, no feature, no extension.

use std::io::{self, IoSlice, IoSliceMut};
use std::sync::Arc;

use super::fields::{be32, be64, put};
use super::header::{
    AUTOCLEAR, CLUSTER_BITS, EXTENSION_END, HEADER_LENGTH, INCOMPATIBLE, L1_ENTRIES, L1_OFFSET,
    MAGIC, Qcow2Header, REFCOUNT_ORDER, REFCOUNT_TABLE, REFCOUNT_TABLE_CLUSTERS, SIZE, V2_BYTES,
    V3_BYTES, VERSION,
};
use super::info::INCOMPATIBLE_DIRTY;
use super::places::{Places, range};
use crate::error::{Error, Result};
use crate::storage::{Storage, WriteFlags};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Mutex, Rank};

#[derive(Debug)]
pub(super) struct ImageFile {
    storage: Arc<dyn Storage>,
    cluster_size: u64,
    /// Held while a table is written, with the sync before it, and while anything is synced.
    order: Mutex<()>,
    /// Guest data was written since the last sync began.
    data_unsynced: AtomicBool,
    /// Tables were written since the last sync began.
    tables_unsynced: AtomicBool,
    layout: Mutex<Layout>,
    /// Bytes of tables that the engine has read or made since they were last forgotten.
    loaded: AtomicU64,
}

#[derive(Debug)]
struct Layout {
    /// The header as the engine sees it.
    header: Vec<u8>,
    /// Bytes of the file.
    length: u64,
    /// None where the image is read-only.
    places: Option<Places>,
}

impl ImageFile {
    /// The image in `storage`, whose header is `header`.
    ///
    /// # Errors
    /// Where it will be written to: tables that cannot be, a failed read.
    pub(super) fn new(
        storage: Arc<dyn Storage>,
        header: &Qcow2Header,
        writable: bool,
    ) -> Result<Self> {
        let length = storage.len().map_err(|error| Error::io("asking the file's length", error))?;
        let places = if writable { Some(Places::find(&*storage, header)?) } else { None };
        let layout = Layout { header: engine_header(header), length, places };
        Ok(Self {
            storage,
            cluster_size: header.info.cluster_size,
            order: Mutex::new(Rank::Qcow2Order, ()),
            data_unsynced: AtomicBool::new(false),
            tables_unsynced: AtomicBool::new(false),
            layout: Mutex::new(Rank::Qcow2Layout, layout),
            loaded: AtomicU64::new(0),
        })
    }

    pub(super) fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    /// Bytes of the file.
    pub(super) fn length(&self) -> u64 {
        self.layout.lock().length
    }

    /// Bytes of tables that the engine has read or made since they were last forgotten.
    pub(super) fn loaded(&self) -> u64 {
        self.loaded.load(Ordering::Relaxed)
    }

    pub(super) fn forget_loaded(&self) {
        self.loaded.store(0, Ordering::Relaxed);
    }

    /// Reads for the engine.
    ///
    /// # Errors
    /// What the storage reports.
    pub(super) fn read_table(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        if offset >= self.cluster_size {
            let length: usize = buffers.iter().map(|buffer| buffer.len()).sum();
            self.loaded.fetch_add(length as u64, Ordering::Relaxed);
            return self.storage.read(buffers, offset);
        }
        let layout = self.layout.lock();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut seen = layout.header.iter().skip(start).copied();
        for byte in buffers.iter_mut().flat_map(|buffer| buffer.iter_mut()) {
            *byte = seen.next().unwrap_or(0);
        }
        Ok(())
    }

    /// Writes for the engine, in the order that Q1 and Q2 demand.
    ///
    /// # Errors
    /// What the storage reports; `InvalidData` for a table on the header.
    pub(super) fn write_table(&self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let length = buffers.iter().map(|buffer| buffer.len()).sum::<usize>() as u64;
        if offset < self.cluster_size {
            return self.write_header(buffers, offset, length);
        }
        let _order = self.order.lock();
        self.sync_before(length < SMALLEST_TABLE)?;
        self.grow(offset, length)?;
        if length == self.cluster_size
            && let Some(places) = &mut self.layout.lock().places
            && places.table_written(offset)
        {
            self.loaded.fetch_add(length, Ordering::Relaxed);
        }
        self.put_table(buffers, offset)
    }

    /// The engine has moved one of the two tables that the header names: those fields, and nothing
    /// else, go to the real header.
    fn write_header(&self, buffers: &[IoSlice<'_>], offset: u64, length: u64) -> io::Result<()> {
        if offset != 0 || length != V2_BYTES as u64 {
            return Err(damaged("a qcow2 table would be written over the header"));
        }
        let new: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.iter().copied()).collect();
        let _order = self.order.lock();
        self.sync_before(true)?;
        let mut real = [0; V2_BYTES];
        self.storage.read(&mut [IoSliceMut::new(&mut real)], 0)?;
        put(&mut real, L1_ENTRIES, &new[L1_ENTRIES..REFCOUNT_TABLE_CLUSTERS + 4]);
        self.put_table(&[IoSlice::new(&real)], 0)?;
        let mut layout = self.layout.lock();
        put(&mut layout.header, 0, &new);
        let number = |field| be64(&new, field).map_err(io::Error::other);
        let short = |field| be32(&new, field).map(u64::from).map_err(io::Error::other);
        let l1 = range(number(L1_OFFSET)?, short(L1_ENTRIES)? * 8);
        let clusters = short(REFCOUNT_TABLE_CLUSTERS)?.saturating_mul(self.cluster_size);
        let refcounts = range(number(REFCOUNT_TABLE)?, clusters);
        if let Some(places) = &mut layout.places {
            places.moved(l1, refcounts);
        }
        Ok(())
    }

    /// Writes guest data to space of the file that belongs to it: `fresh` says that it was just
    /// allocated.
    ///
    /// # Errors
    /// What the storage reports; `InvalidData` where an entry names no space for data.
    pub(super) fn write_data(
        &self,
        buffers: &[IoSlice<'_>],
        offset: u64,
        fresh: bool,
    ) -> io::Result<()> {
        let length = buffers.iter().map(|buffer| buffer.len()).sum::<usize>() as u64;
        self.check_target(offset, length, fresh)?;
        self.grow(offset, length)?;
        self.storage.write(buffers, offset, WriteFlags::default())?;
        // Before anybody can write the table that names this data.
        self.data_unsynced.store(true, Ordering::Release);
        Ok(())
    }

    /// Whether space at `offset` reads as zeroes because the file has never been so long.
    pub(super) fn is_untouched(&self, offset: u64) -> bool {
        self.storage.limits().zeroes_new_space && offset >= self.layout.lock().length
    }

    fn check_target(&self, offset: u64, length: u64, fresh: bool) -> io::Result<()> {
        let mut layout = self.layout.lock();
        let end = layout.length.next_multiple_of(self.cluster_size);
        let inside = fresh || offset.checked_add(length).is_some_and(|last| last <= end);
        let free = match &mut layout.places {
            Some(places) if fresh => places.allocated(offset, length),
            Some(places) => places.is_free_of_tables(offset, length),
            None => false,
        };
        if inside && free {
            return Ok(());
        }
        let what = if inside { "holds tables" } else { "lies outside the file" };
        Err(damaged(&format!("a qcow2 entry names space for data at {offset:#x} that {what}")))
    }

    /// Makes everything written so far stable.
    ///
    /// # Errors
    /// What the storage reports.
    pub(super) fn sync(&self) -> io::Result<()> {
        let _order = self.order.lock();
        self.sync_all()
    }

    fn sync_before(&self, pointer: bool) -> io::Result<()> {
        let tables = pointer && self.tables_unsynced.load(Ordering::Acquire);
        if tables || self.data_unsynced.load(Ordering::Acquire) {
            return self.sync_all();
        }
        Ok(())
    }

    /// Under the order lock alone: a flag that is down means that the sync is over.
    fn sync_all(&self) -> io::Result<()> {
        self.data_unsynced.store(false, Ordering::Release);
        self.tables_unsynced.store(false, Ordering::Release);
        self.storage.sync()
    }

    fn put_table(&self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let written =
            self.storage.write(buffers, offset, WriteFlags { metadata: true, fua: false });
        self.tables_unsynced.store(true, Ordering::Release);
        written
    }

    /// Makes the file long enough, by whole clusters.
    fn grow(&self, offset: u64, length: u64) -> io::Result<()> {
        let end = offset.checked_add(length).and_then(|end| {
            let end = end.checked_next_multiple_of(self.cluster_size)?;
            i64::try_from(end).ok().map(|_| end)
        });
        let Some(end) = end else { return Err(damaged("a qcow2 entry passes the largest file")) };
        let mut layout = self.layout.lock();
        if offset + length > layout.length {
            self.storage.set_len(end)?;
            layout.length = end;
        }
        Ok(())
    }

    /// Sets or clears the dirty bit, and makes that stable (Q3). Features that other writers vouch
    /// for with autoclear bits are no longer vouched for.
    ///
    /// # Errors
    /// What the storage reports.
    pub(super) fn mark(&self, dirty: bool) -> io::Result<()> {
        let _order = self.order.lock();
        let mut bits = [0; AUTOCLEAR + 8 - INCOMPATIBLE];
        self.storage.read(&mut [IoSliceMut::new(&mut bits)], INCOMPATIBLE as u64)?;
        let before = be64(&bits, 0).map_err(io::Error::other)?;
        let now = if dirty { before | INCOMPATIBLE_DIRTY } else { before & !INCOMPATIBLE_DIRTY };
        put(&mut bits, 0, &now.to_be_bytes());
        put(&mut bits, AUTOCLEAR - INCOMPATIBLE, &[0; 8]);
        self.put_table(&[IoSlice::new(&bits)], INCOMPATIBLE as u64)?;
        self.sync_all()
    }
}

/// What the engine gets to see of `header`.
fn engine_header(header: &Qcow2Header) -> Vec<u8> {
    let info = &header.info;
    let mut bytes = vec![0; V3_BYTES];
    put(&mut bytes, 0, &MAGIC.to_be_bytes());
    put(&mut bytes, VERSION, &info.version.to_be_bytes());
    put(&mut bytes, CLUSTER_BITS, &header.cluster_bits.to_be_bytes());
    put(&mut bytes, SIZE, &info.virtual_size.to_be_bytes());
    put(&mut bytes, L1_ENTRIES, &header.l1_entries.to_be_bytes());
    put(&mut bytes, L1_OFFSET, &header.l1_offset.to_be_bytes());
    put(&mut bytes, REFCOUNT_TABLE, &header.refcount_table_offset.to_be_bytes());
    put(&mut bytes, REFCOUNT_TABLE_CLUSTERS, &header.refcount_table_clusters.to_be_bytes());
    put(&mut bytes, REFCOUNT_ORDER, &info.refcount_bits.trailing_zeros().to_be_bytes());
    put(&mut bytes, HEADER_LENGTH, &104_u32.to_be_bytes());
    bytes.extend(EXTENSION_END.to_be_bytes());
    bytes
}

fn damaged(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Tables are clusters; what is shorter than the smallest is an entry of one.
const SMALLEST_TABLE: u64 = 512;
