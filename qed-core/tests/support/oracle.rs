//! Judges one crash state: structure, what the guest reads, recovery, and life afterwards.
//!
//! The first two read the state by an independent reader; then the engine opens it, read-only (not
//! a byte may change) and writable, must read the same, and goes on living: it writes into new
//! clusters, whole and in small parts, flushes, closes, and everything old and new must be there.

use super::disk::{Disk, DiskStorage, at};
use super::guest::{GuestModel, SECTOR, View, pattern};
use super::structure::{Raw, Shape};
use super::workload::Workload;
use qed_core::{Flags, Image, ImageSettings};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Who writes after the crash.
const AFTERWARDS: u64 = 0xaf7e;
/// Guest bytes written whole, and again as many of which one sector of each cluster is written.
const LIFE: u64 = 32 << 10;

/// What must hold in every state of one run.
pub struct Judge<'a> {
    pub workload: &'a Workload,
    pub model: &'a GuestModel,
    pub shape: Shape,
}

impl Judge<'_> {
    /// What is wrong with `disk` after a crash at `t`.
    pub fn judge(&self, disk: &Disk, t: usize) -> Result<(), String> {
        let raw = Raw::read(disk).map_err(|what| format!("structure: {what}"))?;
        self.check_shape(&raw)?;
        let view = self.model.view(t);
        let before = self.content_of(&raw, &BTreeSet::new());
        check(&view, &before).map_err(|what| format!("data: {what}"))?;
        let live = AssertUnwindSafe(|| self.live_on(disk, &before));
        match catch_unwind(live) {
            Ok(result) => result,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map_or("no text", String::as_str);
                Err(format!("the engine panicked: {text}"))
            }
        }
    }

    /// NEED_CHECK may go, but never come.
    fn check_shape(&self, raw: &Raw<'_>) -> Result<(), String> {
        let legal = raw.shape == self.shape || raw.shape == self.shape.without_check();
        if legal { Ok(()) } else { Err(format!("header: {:?}", raw.shape)) }
    }

    /// What the tables of `raw` say the guest reads: every cluster that anybody touched or that has
    /// an entry, and `more`.
    fn content_of(&self, raw: &Raw<'_>, more: &BTreeSet<u64>) -> Vec<(u64, Vec<u8>)> {
        let cluster = self.workload.cluster;
        let touched = self.model.touched().map(|sector| sector * SECTOR / cluster);
        let mut clusters: BTreeSet<u64> = touched.chain(raw.entries.keys().copied()).collect();
        clusters.extend(more);
        let content = |index: u64| match raw.entries.get(&index) {
            Some(entry) => (index, raw.content(*entry)),
            None => (index, self.workload.initial(index * cluster, cluster)),
        };
        clusters.into_iter().map(content).collect()
    }

    fn live_on(&self, disk: &Disk, before: &[(u64, Vec<u8>)]) -> Result<(), String> {
        let storage = DiskStorage::new(disk.clone(), self.workload.unit);
        let punches = self.workload.punches;
        let storage = Arc::new(if punches { storage } else { storage.without_punch() });
        let image = self.open(&storage, true)?;
        self.compare(&image, before).map_err(|what| format!("read-only: {what}"))?;
        if storage.changes() != 0 {
            return Err("a read-only open changed the file".to_owned());
        }
        let image = self.open(&storage, false)?;
        self.compare(&image, before).map_err(|what| format!("recovered: {what}"))?;
        let writes = self.afterwards();
        for (offset, bytes) in &writes {
            image.pwrite(bytes, *offset, Flags::NONE).map_err(told("writing afterwards"))?;
        }
        image.flush().map_err(told("flushing afterwards"))?;
        let mut after = before.to_vec();
        after.extend(self.written(&writes));
        self.compare(&image, &after).map_err(|what| format!("afterwards: {what}"))?;
        self.check_raw(&storage.disk(), &after).map_err(|what| format!("flushed: {what}"))?;
        image.close().map_err(told("closing"))?;
        self.check_raw(&storage.disk(), &after).map_err(|what| format!("closed: {what}"))?;
        let image = self.open(&storage, true)?;
        self.compare(&image, &after).map_err(|what| format!("reopened: {what}"))
    }

    fn open(&self, storage: &Arc<DiskStorage>, read_only: bool) -> Result<Opened, String> {
        let settings = ImageSettings { read_only, background: false, ..ImageSettings::default() };
        let storage: Arc<DiskStorage> = Arc::clone(storage);
        let image = Image::from_storage(storage, self.workload.source(), settings);
        image.map(|image| Opened(Some(image))).map_err(told("opening"))
    }

    /// Writes into clusters that the workload left alone: whole ones, then single sectors.
    fn afterwards(&self) -> Vec<(u64, Vec<u8>)> {
        let cluster = self.workload.cluster;
        let mut writes = Vec::new();
        for start in &self.workload.spare {
            writes.push((*start, pattern(AFTERWARDS, *start, LIFE)));
            for index in 0..(LIFE / cluster).max(1) {
                let sector = 1 + index % (cluster / SECTOR - 1);
                let offset = start + LIFE.max(cluster) + index * cluster + sector * SECTOR;
                writes.push((offset, pattern(AFTERWARDS, offset, SECTOR)));
            }
        }
        writes
    }

    /// The content of the clusters that `writes` touch; nobody touched them before.
    fn written(&self, writes: &[(u64, Vec<u8>)]) -> BTreeMap<u64, Vec<u8>> {
        let size = self.workload.cluster;
        let mut clusters = BTreeMap::new();
        for (offset, bytes) in writes {
            for (offset, sector) in (*offset..).step_by(at(SECTOR)).zip(bytes.chunks(at(SECTOR))) {
                let index = offset / size;
                let initial = || self.workload.initial(index * size, size);
                let within = at(offset % size);
                let cluster = clusters.entry(index).or_insert_with(initial);
                cluster[within..within + sector.len()].copy_from_slice(sector);
            }
        }
        clusters
    }

    /// What `image` reads is `content`.
    fn compare(&self, image: &Image, content: &[(u64, Vec<u8>)]) -> Result<(), String> {
        let size = self.workload.cluster;
        for (index, expected) in content {
            let offset = index * size;
            let length = size.min(image.size().saturating_sub(offset));
            let mut found = vec![0; at(length)];
            image.pread(&mut found, offset).map_err(told("reading"))?;
            same(*index, &found, &expected[..at(length)])?;
        }
        Ok(())
    }

    /// `disk` is sound, and its tables say `content`.
    fn check_raw(&self, disk: &Disk, content: &[(u64, Vec<u8>)]) -> Result<(), String> {
        let raw = Raw::read(disk)?;
        self.check_shape(&raw)?;
        let more = content.iter().map(|(index, _)| *index).collect();
        let found = self.content_of(&raw, &more);
        for ((index, found), (_, expected)) in found.iter().zip(sorted(content)) {
            same(*index, found, &expected)?;
        }
        Ok(())
    }
}

/// An image that is not closed by its drop after it panicked: that could panic again.
struct Opened(Option<Image>);

impl Opened {
    fn close(mut self) -> qed_core::Result<()> {
        self.0.take().map_or(Ok(()), Image::close)
    }
}

impl Deref for Opened {
    type Target = Image;
    fn deref(&self) -> &Image {
        self.0.as_ref().expect("an open image")
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::mem::forget(self.0.take());
        }
    }
}

fn sorted(content: &[(u64, Vec<u8>)]) -> Vec<(u64, Vec<u8>)> {
    let mut content = content.to_vec();
    content.sort();
    content
}

fn check(view: &View, content: &[(u64, Vec<u8>)]) -> Result<(), String> {
    content.iter().try_for_each(|(index, bytes)| {
        let first = index * bytes.len() as u64 / SECTOR;
        view.check(first, bytes)
    })
}

fn same(cluster: u64, found: &[u8], expected: &[u8]) -> Result<(), String> {
    match found.iter().zip(expected).position(|(found, expected)| found != expected) {
        None => Ok(()),
        Some(byte) => {
            let sector = byte - byte % at(SECTOR);
            let named = |bytes: &[u8]| super::guest::identify(&bytes[sector..sector + at(SECTOR)]);
            let (found, expected) = (named(found), named(expected));
            Err(format!("guest cluster {cluster} byte {byte}: {found} instead of {expected}"))
        }
    }
}

fn told(doing: &str) -> impl Fn(qed_core::Error) -> String {
    move |error| format!("{doing}: {error}")
}
