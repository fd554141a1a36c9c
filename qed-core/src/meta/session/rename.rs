//! Another backing file: its name is written where nobody looks, then the header's sector switches
//! to it (C18).
//!
//! A short name stands right behind the header, in the same sector, and travels with it. A longer
//! one goes to header space that the old name does not touch. Where there is none, the L1 table,
//! which as a rule stands right behind the header clusters, moves to the end of the file, and the
//! header takes its place.

use std::io::IoSliceMut;
use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};
use crate::format::{
    BackingName, FEATURE_BACKING_FILE, FEATURE_RAW_BACKING, Header, MAX_BACKING_NAME,
};
use crate::meta::Meta;
use crate::meta::rules::Rule;
use crate::meta::space::freemap;
use crate::meta::tables::header::write_metadata;

/// Bytes of a table that are moved at once.
const PIECE: u64 = 1 << 20;

impl Meta {
    /// Makes the image name another backing file, raw by declaration or not, or none. Stable when
    /// this returns; the image then only serves to be closed.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a name that no header holds; as
    /// [`begin_changes`](Self::begin_changes); a failed read, write or sync.
    pub(crate) fn rebase_header(&self, name: Option<(&[u8], bool)>) -> Result<()> {
        if let Some((name, _)) = name {
            check_name(name)?;
        }
        // The saved map stands behind the name: it is given up first.
        self.begin_changes()?;
        self.background.stop();
        self.flush()?;
        let old = self.header.get().backing_name();
        self.switch_name(name)?;
        old.map_or(Ok(()), |old| self.wipe_name(old))
    }

    fn switch_name(&self, name: Option<(&[u8], bool)>) -> Result<()> {
        let (name, raw) = match name {
            Some((name, raw)) if name.len() as u64 > self.header.room_for_backing() => (name, raw),
            short => {
                self.header.set_backing(&*self.storage, short)?;
                return self.clock.sync_now();
            }
        };
        let size = u32::try_from(name.len()).unwrap_or(u32::MAX);
        let named = |offset: u32| {
            move |header: &mut Header| {
                header.features &= !FEATURE_RAW_BACKING;
                header.features |= FEATURE_BACKING_FILE;
                header.features |= if raw { FEATURE_RAW_BACKING } else { 0 };
                header.backing_words = (offset, size);
            }
        };
        let place = match self.place_for(name)? {
            Some(place) => place,
            None => {
                self.widen_header()?;
                self.place_for(name)?.ok_or_else(|| no_room(name))?
            }
        };
        let unit = usize::try_from(self.storage.limits().atomic_unit).unwrap_or(512);
        let mut bytes = name.to_vec();
        bytes.resize(name.len().next_multiple_of(unit), 0);
        self.header.write_area(&*self.storage, &bytes, place.into())?;
        self.sync_before_switch()?;
        self.header.update(&*self.storage, named(place))?;
        self.clock.sync_now()
    }

    /// Clears what nobody names any more, but for the header's own sector.
    fn wipe_name(&self, old: BackingName) -> Result<()> {
        let header = self.header.get();
        let unit = self.storage.limits().atomic_unit;
        let span = |name: BackingName| {
            let end = u64::from(name.offset) + u64::from(name.size);
            u64::from(name.offset).next_multiple_of(unit).max(unit)..end.next_multiple_of(unit)
        };
        let (old, new) = (span(old), header.backing_name().map_or(0..0, span));
        let is_new = old.start < new.end && new.start < old.end;
        if old.is_empty() || is_new || old.end > header.header_bytes() {
            return Ok(());
        }
        let zeroes = vec![0; usize::try_from(old.end - old.start).unwrap_or(0)];
        write_metadata(&*self.storage, &zeroes, old.start)?;
        self.clock.sync_now()
    }

    fn sync_before_switch(&self) -> Result<()> {
        if self.settings.rules.breaks(Rule::SwitchAfterSync) {
            return Ok(());
        }
        self.clock.sync_now()
    }

    /// Header space for a long name, which the old name does not touch: rather what is empty than
    /// what holds something, such as part of a name that a crash left (F1.2).
    fn place_for(&self, name: &[u8]) -> Result<Option<u32>> {
        let header = self.header.get();
        let unit = self.storage.limits().atomic_unit;
        let old = header.backing_name();
        let old = old.map_or(0..0, |old| u64::from(old.offset)..u64::from(old.offset + old.size));
        let behind_old = old.end.max(unit).next_multiple_of(unit);
        let mut found = None;
        for start in [unit, behind_old] {
            let range = start..start + (name.len() as u64).next_multiple_of(unit);
            let apart = range.end <= old.start / unit * unit || behind_old <= range.start;
            let apart = apart || old.is_empty();
            if apart && range.end <= header.header_bytes() {
                if self.is_unused(&header, &range)? {
                    return Ok(u32::try_from(start).ok());
                }
                found = found.or(u32::try_from(start).ok());
            }
        }
        Ok(found)
    }

    /// Whether a range of the header clusters holds nothing, or part of a map that is given up.
    fn is_unused(&self, header: &Header, range: &Range<u64>) -> Result<bool> {
        let mut known = freemap::area(header).unwrap_or(0..0);
        let area = self.read_header_space(&known)?;
        if !freemap::may_replace(&area) {
            known = 0..0;
        }
        let bytes = self.read_header_space(range)?;
        Ok((range.start..).zip(&bytes).all(|(at, byte)| *byte == 0 || known.contains(&at)))
    }

    fn read_header_space(&self, range: &Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
        self.storage
            .read(&mut [IoSliceMut::new(&mut bytes)], range.start)
            .map_err(|error| Error::io("reading the header clusters", error).at(range.start))?;
        Ok(bytes)
    }

    /// Moves the L1 table to new space and gives its old place to the header, by one sector.
    /// Nothing happens where something else stands behind the header.
    fn widen_header(&self) -> Result<()> {
        let header = self.header.get();
        let old = header.l1_table_offset.get();
        let clusters = self.geometry.table_clusters();
        let widened = u64::from(header.header_clusters) + clusters;
        let fits = widened.saturating_mul(self.geometry.cluster_size()) <= u64::from(u32::MAX);
        let Some(widened) = u32::try_from(widened).ok().filter(|_| fits) else { return Ok(()) };
        if old != header.header_bytes() {
            return Ok(());
        }
        let run = self.space.allocate_table(&self.clock)?;
        let new = self.geometry.file_offset(run.start);
        let mut done = 0;
        while done < self.geometry.table_bytes() {
            let piece = old + done..old + (done + PIECE).min(self.geometry.table_bytes());
            let bytes = self.read_header_space(&piece)?;
            write_metadata(&*self.storage, &bytes, new.get() + done)?;
            done += bytes.len() as u64;
        }
        self.sync_before_switch()?;
        self.header.update(&*self.storage, |header| {
            header.l1_table_offset = new;
            header.header_clusters = widened;
        })?;
        self.clock.sync_now()?;
        let mut at = old;
        while at < old + self.geometry.table_bytes() {
            let length = PIECE.min(old + self.geometry.table_bytes() - at);
            let zeroes = vec![0; usize::try_from(length).unwrap_or(0)];
            write_metadata(&*self.storage, &zeroes, at)?;
            at += length;
        }
        self.clock.sync_now()
    }
}

/// Fails for a name that no header holds (F1, F1.3).
fn check_name(name: &[u8]) -> Result<()> {
    if name.is_empty() || name.len() as u64 > u64::from(MAX_BACKING_NAME) {
        return Err(no_room(name));
    }
    if name.contains(&0) {
        return Err(Error::invalid("the backing file's name holds a NUL"));
    }
    Ok(())
}

fn no_room(name: &[u8]) -> Error {
    let length = name.len();
    let text = format!("the header has no room for a backing file name of {length} bytes");
    Error::new(ErrorKind::InvalidArgument, text)
}
