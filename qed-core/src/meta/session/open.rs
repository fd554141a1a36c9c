//! From a storage to metadata that can be used.

use std::io::IoSliceMut;
use std::ops::Range;
use std::sync::{Arc, Weak};

use crate::error::{Error, Result};
use crate::format::{AUTOCLEAR_FREE_MAP, AUTOCLEAR_TABLES_VOUCHED, Header};
use crate::meta::commit::background::Background;
use crate::meta::commit::clock::Clock;
use crate::meta::commit::unstable::Unstable;
use crate::meta::plan::claims::Claims;
use crate::meta::plan::grace::Grace;
use crate::meta::rules::Rule;
use crate::meta::session::Session;
use crate::meta::space::Space;
use crate::meta::space::freemap::{self, Tie};
use crate::meta::space::ranges::RangeSet;
use crate::meta::tables::cache::Cache;
use crate::meta::tables::header::HeaderBlock;
use crate::meta::tables::l1::L1;
use crate::meta::{Meta, MetaSettings};
use crate::source::Source;
use crate::storage::{Latch, Storage};
use crate::sync::atomic::AtomicU64;

impl Meta {
    /// Opens the image in `storage` over `backing`. A writable open honours NEED_CHECK (F5) and
    /// clears autoclear bits it does not know (F1); a read-only one changes nothing.
    ///
    /// # Errors
    /// A broken clause of the format, a failed read; at a writable open also damage behind
    /// NEED_CHECK, a failed write or sync.
    pub(crate) fn open(
        storage: Arc<dyn Storage>,
        backing: Option<Arc<dyn Source>>,
        settings: MetaSettings,
    ) -> Result<Arc<Self>> {
        let latch = (!settings.rules.breaks(Rule::Latch))
            .then(|| Arc::new(Latch::new(Arc::clone(&storage))));
        let storage = latch.clone().map_or(storage, |latch| latch as Arc<dyn Storage>);
        let block = HeaderBlock::read(&*storage)?;
        let header = block.get();
        let length = storage.len().map_err(|error| Error::io("asking the file's length", error))?;
        let geometry = header.geometry;
        let l1 = L1::read(&*storage, &header, geometry.usable_length(length))?;
        let free_map = read_free_map(&*storage, &header, &l1, length, &settings)?;
        let clock = Clock::new(Arc::clone(&storage));
        let space = Space::new(Arc::clone(&storage), geometry, settings.rules, length, &clock);
        let meta = Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            backing,
            geometry,
            image_size: AtomicU64::new(header.image_size),
            length_at_open: length,
            header: block,
            grace: Grace::new(),
            l1,
            cache: Cache::new(settings.l2_cache_size),
            claims: Claims::new(),
            unstable: Unstable::new(),
            space,
            session: Session::new(free_map),
            background: Background::new(),
            clock,
            settings,
            storage,
            latch,
        });
        if !meta.settings.read_only {
            meta.prepare_writable()?;
        }
        Ok(meta)
    }
}

/// The free map, where its bit is set and everything it records agrees (C13). One that leaves free
/// clusters out is worth less than a scan; one that calls a table free lies.
fn read_free_map(
    storage: &dyn Storage,
    header: &Header,
    l1: &L1,
    length: u64,
    settings: &MetaSettings,
) -> Result<Option<RangeSet>> {
    let wanted = AUTOCLEAR_FREE_MAP | AUTOCLEAR_TABLES_VOUCHED;
    if settings.read_only || header.autoclear_features & wanted != wanted || header.needs_check() {
        return Ok(None);
    }
    let Some(area) = freemap::area(header) else { return Ok(None) };
    let bytes = read_area(storage, &area)?;
    let mut tie =
        Tie { file_length: length, l1_checksum: freemap::l1_checksum(l1.words(header.image_size)) };
    if settings.rules.breaks(Rule::DistrustForeignFreeMap) {
        tie = freemap::recorded_tie(&bytes).unwrap_or(tie);
    }
    let saved = freemap::decode(&bytes, header, tie).filter(|saved| saved.complete);
    Ok(saved.map(|saved| saved.free).filter(|free| !l1.tables_overlap(free)))
}

/// The extension area's bytes.
///
/// # Errors
/// The read failed.
pub(crate) fn read_area(storage: &dyn Storage, area: &Range<u64>) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(area.end - area.start).unwrap_or(0)];
    storage
        .read(&mut [IoSliceMut::new(&mut bytes)], area.start)
        .map_err(|error| Error::io("reading the free map", error).at(area.start))?;
    Ok(bytes)
}
