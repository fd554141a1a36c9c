//! One state before its judges, with what they find out about it in common.
//!
//! Where a window's settled content has been judged as a whole, a state of the window is judged by
//! what differs from it: within a window more becomes legal, never less.

use super::subject::Subject;
use super::tables::{Entry, Tables};
use crate::crash::guest::{Initial, Wrong};
use crate::crash::medium::{Medium, PAGE, SECTOR};
use crate::crash::recording::GuestDisk;
use crate::source::Format;
use std::cell::OnceCell;
use std::collections::BTreeSet;

/// A state that is judged.
#[derive(Debug)]
pub struct Case<'a> {
    /// What it is a state of.
    pub subject: &'a Subject,
    /// The content of the file.
    pub medium: &'a Medium,
    /// The crash point.
    pub t: usize,
    baseline: Option<&'a Baseline>,
    disk: OnceCell<Result<GuestDisk, String>>,
    wrong: OnceCell<[Option<String>; 2]>,
}

/// A window's settled content, of which every sector has been found legal.
#[derive(Debug)]
pub struct Baseline {
    disk: GuestDisk,
    /// The clusters of the file that hold data, and whose.
    owners: Vec<(u64, u64)>,
}

impl Baseline {
    /// `medium`, if all of it is legal at `t`.
    #[must_use]
    pub fn new(subject: &Subject, medium: &Medium, t: usize) -> Option<Self> {
        let case = Case::new(subject, medium, t, None);
        if case.wrong(Wrong::Lost).is_some() || case.wrong(Wrong::Foreign).is_some() {
            return None;
        }
        let disk = case.disk.into_inner()?.ok()?;
        let owners = disk.tables.as_ref().map(Tables::owners).unwrap_or_default();
        Some(Self { disk, owners })
    }
}

impl<'a> Case<'a> {
    /// `medium` after a crash at `t`.
    #[must_use]
    pub fn new(
        subject: &'a Subject,
        medium: &'a Medium,
        t: usize,
        baseline: Option<&'a Baseline>,
    ) -> Self {
        Self { subject, medium, t, baseline, disk: OnceCell::new(), wrong: OnceCell::new() }
    }

    /// The disk that the tables describe as they stand.
    ///
    /// # Errors
    /// What is wrong with the structure.
    pub fn disk(&self) -> Result<&GuestDisk, String> {
        let read = || match self.subject.recording.format {
            Format::Raw => Ok(GuestDisk::raw(self.medium.clone())),
            _ => GuestDisk::qed(self.medium.clone(), self.subject.below()),
        };
        self.disk.get_or_init(read).as_ref().map_err(Clone::clone)
    }

    /// The first sector that is wrong in this way, in words. Of a state whose structure is broken
    /// that is said instead.
    #[must_use]
    pub fn wrong(&self, how: Wrong) -> Option<&str> {
        let found = self.wrong.get_or_init(|| self.find_wrong());
        found[usize::from(how == Wrong::Foreign)].as_deref()
    }

    /// Sectors to be read as the guest reads them: all that were touched or are mapped, or were.
    /// With a baseline, those that may differ from it.
    fn sectors(&self, disk: &GuestDisk) -> BTreeSet<u64> {
        let of_cluster = |cluster: u64| {
            let sectors = self.subject.cluster / SECTOR;
            cluster * sectors..(cluster + 1) * sectors
        };
        let Some(tables) = &disk.tables else { return self.subject.model.touched().collect() };
        let mut sectors = BTreeSet::new();
        if let Some(Baseline { disk: before, owners }) = self.baseline
            && let Some(old) = &before.tables
            && old.shape.size == tables.shape.size
        {
            for cluster in tables.differing(old) {
                sectors.extend(of_cluster(cluster));
            }
            for page in self.medium.unshared(&before.medium) {
                if let Some(page) = old.guest_page(page, owners) {
                    sectors.extend(page * (PAGE / SECTOR)..(page + 1) * (PAGE / SECTOR));
                }
            }
            return sectors;
        }
        let initially = self.subject.initial.tables.iter().flat_map(|tables| &tables.entries);
        for (cluster, entry) in tables.entries.iter().chain(initially) {
            // What is zeroes and was, untouched, is known to be right by its entry.
            let known = *entry == Entry::Zero && tables.entry(*cluster) == Some(Entry::Zero);
            let skips = known && !self.subject.model.touches(of_cluster(*cluster));
            if !skips || self.subject.initial.tables.is_none() {
                sectors.extend(of_cluster(*cluster));
            }
        }
        for cluster in self.subject.touched_clusters() {
            sectors.extend(of_cluster(cluster));
        }
        sectors
    }

    fn find_wrong(&self) -> [Option<String>; 2] {
        let disk = match self.disk() {
            Ok(disk) => disk,
            Err(what) => return [Some(what.clone()), Some(what)],
        };
        let mut found = [None, None];
        let size = disk.shape().map(|shape| shape.size);
        let legal = self.subject.model.sizes(self.t);
        if let Some(size) = size.filter(|size| !legal.contains(size)) {
            found[0] = Some(format!("the disk has {size} bytes; legal: {legal:?}"));
        }
        let end = size.map_or(u64::MAX, |size| size / SECTOR);
        for sector in &self.sectors(disk) {
            let Subject { model, initial, .. } = self.subject;
            let digest = disk.digest(*sector);
            if *sector >= end {
                // What a larger disk would show there (C16).
                if ![0, disk.below().digest(*sector)].contains(&digest) {
                    found[1] = Some(format!("foreign bytes past the disk's end, sector {sector}"));
                }
                continue;
            }
            let Some(how) = model.judge(*sector, digest, self.t, initial) else {
                continue;
            };
            let slot = &mut found[usize::from(how == Wrong::Foreign)];
            if slot.is_none() {
                let mut bytes = [0; 512];
                disk.read(*sector, &mut bytes);
                *slot = Some(model.tell(*sector, &bytes, self.t, initial));
            }
        }
        found
    }
}
