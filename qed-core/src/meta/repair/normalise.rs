//! A sound image that another program would misread or harm, rewritten to a form it takes (F8).
//! The guest reads the same before, after, and at every crash in between.

use std::io::IoSliceMut;
use std::ops::Range;
use std::slice;

use super::{Announce, Desk, length_of, separate};
use crate::error::{Error, ErrorKind, Result};
use crate::format::HEADER_BYTES;
use crate::meta::rules::{Rule, Rules};
use crate::meta::scan::GoOn;
use crate::meta::scan::pieces::Pieces;
use crate::meta::space::freemap;
use crate::meta::tables::header::{HeaderBlock, write_metadata};
use crate::storage::Storage;

/// What is rewritten.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rewrite {
    /// Zero clusters become unallocated where nothing lies below, else clusters of zeroes.
    pub zero_clusters: bool,
    /// Entries past the image's size go.
    pub past_size: bool,
    /// The backing file's new name, perhaps only in a new place.
    pub name: Option<Vec<u8>>,
    /// The rules that hold.
    pub rules: Rules,
}

/// What entries an image has that not every program knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Zero clusters of the guest's disk.
    pub zero_clusters: u64,
    /// Entries that are not 0 past its end.
    pub past_size: u64,
}

/// Counts entries; the image is sound.
///
/// # Errors
/// A failed read, `go_on`'s.
pub(crate) fn census(storage: &dyn Storage, go_on: &mut GoOn<'_>) -> Result<Census> {
    let mut desk = Desk {
        header: HeaderBlock::read(storage)?,
        length: length_of(storage)?,
        storage,
        rules: Rules::default(),
        begun: true,
        announce: &mut |_| Ok(()),
        go_on,
    };
    let mut found = Census::default();
    desk.each_entry(|_, cluster, end, _, word| {
        found.past_size += u64::from(cluster >= end);
        found.zero_clusters += u64::from(cluster < end && word == 1);
        Ok(())
    })?;
    Ok(found)
}

/// Rewrites the sound image in `storage`.
///
/// # Errors
/// [`ErrorKind::Unsupported`] where the name has no room; a failed read, write or sync.
pub(crate) fn rewrite(
    storage: &dyn Storage,
    what: &Rewrite,
    announce: &mut Announce<'_>,
    go_on: &mut GoOn<'_>,
) -> Result<()> {
    let header = HeaderBlock::read(storage)?;
    let (length, rules) = (length_of(storage)?, what.rules);
    let mut desk = Desk { storage, header, length, rules, begun: false, announce, go_on };
    // The name first: nothing else may be written while it is a stray one.
    if let Some(name) = &what.name {
        desk.rename(name)?;
    }
    desk.begin(0)?;
    if what.past_size {
        desk.clear_past_size()?;
    }
    if what.zero_clusters {
        desk.replace_zero_clusters()?;
    }
    desk.sync()
}

impl Desk<'_, '_> {
    /// Calls `visit` with every L2 entry that is not 0: its guest cluster, the first one past the
    /// image's size, its place in the file, its word.
    fn each_entry(
        &mut self,
        mut visit: impl FnMut(&mut Self, u64, u64, u64, u64) -> Result<()>,
    ) -> Result<()> {
        let (bounds, storage) = (self.bounds(), self.storage);
        let geometry = bounds.geometry;
        let end = geometry.clusters_for(self.header.get().image_size);
        self.each_table(&bounds, |desk, l1_index, table| {
            let mut pieces = Pieces::new(storage);
            pieces.start(table, geometry.table_bytes());
            (desk.go_on)(0, 0)?;
            while let Some(piece) = pieces.next() {
                let piece = piece?;
                for (index, word) in (piece.first..).zip(piece.words) {
                    let word = u64::from_le_bytes(*word);
                    if word != 0 {
                        let cluster = geometry.cluster_at(l1_index, index).get();
                        visit(desk, cluster, end, table.get() + 8 * index, word)?;
                    }
                }
            }
            Ok(())
        })
    }

    fn clear_past_size(&mut self) -> Result<()> {
        let mut places = Vec::new();
        self.each_entry(|desk, cluster, end, place, _| {
            if cluster >= end {
                places.push((place, 0));
            }
            if places.len() < separate::BATCH { Ok(()) } else { desk.put_all(&mut places) }
        })?;
        self.put_all(&mut places)
    }

    /// Over nothing 0 reads as 1 does, so any of these may reach the disk first. Over a backing
    /// file each gets a cluster of zeroes, which is there before its entry is.
    fn replace_zero_clusters(&mut self) -> Result<()> {
        let backed = self.header.get().has_backing_file();
        let cluster_size = self.header.get().geometry.cluster_size();
        if backed && !self.storage.limits().zeroes_new_space {
            let text = "the file cannot grow: its zero clusters have no room";
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        let mut next = self.length.next_multiple_of(cluster_size);
        let mut places = Vec::new();
        self.each_entry(|desk, cluster, end, place, word| {
            if word != 1 || cluster >= end {
                return Ok(());
            }
            let new = if backed { next } else { 0 };
            next += if backed { cluster_size } else { 0 };
            places.push((place, new));
            if places.len() < separate::BATCH {
                Ok(())
            } else {
                desk.grow_and_put(next, &mut places)
            }
        })?;
        self.grow_and_put(next, &mut places)
    }

    fn grow_and_put(&mut self, end: u64, places: &mut Vec<(u64, u64)>) -> Result<()> {
        if !places.is_empty() && end > self.length {
            let grown = self.storage.set_len(end);
            grown.map_err(|error| Error::io("extending the image file", error).at(end))?;
            self.length = end;
            self.sync_unless(Rule::LengthIsData)?;
        }
        self.put_all(places)
    }

    fn put_all(&mut self, places: &mut Vec<(u64, u64)>) -> Result<()> {
        self.put_words(places)?;
        places.clear();
        Ok(())
    }

    /// The name stands in its new place, stable, before the header's one sector names it (C18).
    fn rename(&mut self, name: &[u8]) -> Result<()> {
        let place = self.place_for(name)?;
        let unit = self.storage.limits().atomic_unit;
        let start = place - place % unit;
        let end = (place + name.len() as u64).next_multiple_of(unit);
        let mut bytes = self.header_space(&(start..end))?;
        let within = usize::try_from(place - start).unwrap_or(0);
        bytes[within..within + name.len()].copy_from_slice(name);
        (self.announce)(slice::from_ref(&(start..end)))?;
        write_metadata(self.storage, &bytes, start)?;
        self.sync_unless(Rule::SwitchAfterSync)?;
        self.header = HeaderBlock::read(self.storage)?;
        let size = u32::try_from(name.len()).unwrap_or(u32::MAX);
        let offset = u32::try_from(place).unwrap_or(u32::MAX);
        self.begun = true;
        self.update_header(|header| {
            header.autoclear_features = 0;
            header.backing_words = (offset, size);
        })?;
        self.sync()
    }

    /// Bytes of the header clusters that nobody uses: behind the header itself, the old name and
    /// what stands there. A saved map of free space may go, its bit goes with the old name; and a
    /// crash may have left the new name, or part of it, where it stands.
    fn place_for(&self, name: &[u8]) -> Result<u64> {
        let header = self.header.get();
        let length = name.len() as u64;
        let old = header
            .backing_name()
            .map_or(0..0, |old| u64::from(old.offset)..u64::from(old.offset) + u64::from(old.size));
        let behind = old.end.max(HEADER_BYTES as u64).next_multiple_of(8);
        let mut map = freemap::area(&header).unwrap_or(0..0);
        if !freemap::may_replace(&self.header_space(&map)?) {
            map = 0..0;
        }
        for place in [HEADER_BYTES as u64, 512, behind] {
            let end = place + length;
            let apart = end <= old.start || place >= old.end;
            if !apart || end > header.header_bytes() {
                continue;
            }
            let bytes = self.header_space(&(place..end))?;
            let mut pairs = (place..).zip(bytes.iter().zip(name));
            if pairs.all(|(at, (byte, new))| *byte == 0 || byte == new || map.contains(&at)) {
                return Ok(place);
            }
        }
        let text = "the header clusters have no room for the backing name";
        Err(Error::new(ErrorKind::Unsupported, text))
    }

    fn header_space(&self, range: &Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
        let reading = |error| Error::io("reading the header", error).at(range.start);
        self.storage.read(&mut [IoSliceMut::new(&mut bytes)], range.start).map_err(reading)?;
        Ok(bytes)
    }
}
