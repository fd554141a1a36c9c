//! Repair of what other writers' crashes leave: dangling entries are set to 0 (C12, F5).
//!
//! A repair is stable before the file grows: extension alone would turn a dangling entry into a
//! second reference to whatever is allocated there next.

use std::io::IoSliceMut;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::format::{
    AUTOCLEAR_FREE_MAP, AUTOCLEAR_KNOWN, AUTOCLEAR_TABLES_VOUCHED, FEATURE_NEED_CHECK,
};
use crate::meta::Meta;
use crate::meta::plan::lookup::entry_of;
use crate::meta::rules::Rule;
use crate::meta::scan::EntryPlace;
use crate::meta::tables::header::write_metadata;
use crate::meta::tables::slice::{Change, SLICE_BYTES, SLICE_ENTRIES, Slice};

impl Meta {
    /// At a writable open: unknown autoclear bits go, durably, and so does what NEED_CHECK
    /// announces.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] where NEED_CHECK stands for more than dangling entries.
    pub(crate) fn prepare_writable(&self) -> Result<()> {
        let header = self.header.get();
        let unknown = header.autoclear_features & !AUTOCLEAR_KNOWN;
        if header.needs_check() {
            self.find_tables_once()?;
            self.clock.sync_now()?;
            if self.settings.rules.breaks(Rule::SwitchAfterSync) {
                self.declare_checked()?;
            }
            let (unused, sound) = self.scan_and_repair()?;
            if sound {
                self.space.adopt(unused)?;
                self.declare_checked()?;
            }
            return self.clock.sync_now();
        }
        if unknown != 0 {
            self.header.update(&*self.storage, |header| {
                header.autoclear_features &= AUTOCLEAR_KNOWN;
            })?;
            return self.clock.sync_now();
        }
        Ok(())
    }

    /// Nothing dangles: the switch follows what it stands for (C18).
    fn declare_checked(&self) -> Result<()> {
        self.header.update(&*self.storage, |header| {
            header.features &= !FEATURE_NEED_CHECK;
            header.autoclear_features &= AUTOCLEAR_KNOWN & !AUTOCLEAR_FREE_MAP;
            header.autoclear_features |= AUTOCLEAR_TABLES_VOUCHED;
        })
    }

    /// Sets dangling entries to 0. Stable when this returns.
    ///
    /// # Errors
    /// A failed read, write or sync.
    pub(crate) fn repair(&self, places: &[EntryPlace]) -> Result<()> {
        for place in places {
            match self.place_in_memory(*place)? {
                Some((slice, entry)) => {
                    let change = Change { entry, word: 0, wait: None, retires: false };
                    self.publish(&slice, &[change]);
                }
                None => self.repair_on_disk(*place)?,
            }
        }
        if places.is_empty() || self.settings.rules.breaks(Rule::RepairBeforeGrowth) {
            return Ok(());
        }
        self.flush()
    }

    /// The cached slice of an entry, where the image's size reaches it.
    fn place_in_memory(&self, place: EntryPlace) -> Result<Option<(Arc<Slice>, usize)>> {
        match place {
            EntryPlace::L1(index) if self.reaches(index) => {
                let place = self.l1.place(index)?;
                Ok(place.map(|(slice, entry)| (Arc::clone(slice), entry)))
            }
            EntryPlace::L2(cluster) if self.reaches(self.geometry.l1_index(cluster)) => {
                Ok(self.slice(cluster)?.map(|slice| (slice, entry_of(cluster))))
            }
            EntryPlace::L1(_) | EntryPlace::L2(_) => Ok(None),
        }
    }

    /// Whether the image's size uses the slice of the L1 table that entry `index` stands in.
    fn reaches(&self, index: u64) -> bool {
        let used = self.geometry.l1_entries_for(self.image_size());
        index < used.next_multiple_of(SLICE_ENTRIES as u64)
    }

    /// Entries past the image's size (F3.6) are in no cache.
    fn repair_on_disk(&self, place: EntryPlace) -> Result<()> {
        let l1 = self.header.get().l1_table_offset.get();
        let offset = match place {
            EntryPlace::L1(index) => l1 + 8 * index,
            EntryPlace::L2(cluster) => {
                let at = l1 + 8 * self.geometry.l1_index(cluster);
                let (block, within) = self.read_block(at)?;
                word_at(&block, within) + 8 * self.geometry.l2_index(cluster)
            }
        };
        let (mut block, within) = self.read_block(offset)?;
        block[within..within + 8].fill(0);
        write_metadata(&*self.storage, &block, offset - within as u64)?;
        self.clock.note_data();
        Ok(())
    }

    /// The atomic unit that holds `offset`, and the place of `offset` in it.
    fn read_block(&self, offset: u64) -> Result<(Vec<u8>, usize)> {
        let unit = self.storage.limits().atomic_unit;
        let within = usize::try_from(offset % unit).unwrap_or(0);
        let mut block = vec![0; usize::try_from(unit).unwrap_or(SLICE_BYTES)];
        self.storage
            .read(&mut [IoSliceMut::new(&mut block)], offset - within as u64)
            .map_err(|error| Error::io("reading a table", error).at(offset))?;
        Ok((block, within))
    }
}

fn word_at(block: &[u8], within: usize) -> u64 {
    block[within..].first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
