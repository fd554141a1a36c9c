//! From a storage to metadata that can be used.

use std::sync::{Arc, Weak};

use crate::error::{Error, Result};
use crate::format::{AUTOCLEAR_FREE_MAP, AUTOCLEAR_TABLES_VOUCHED};
use crate::meta::backing::Backing;
use crate::meta::commit::background::Background;
use crate::meta::commit::clock::Clock;
use crate::meta::commit::unstable::Unstable;
use crate::meta::plan::claims::Claims;
use crate::meta::plan::grace::Grace;
use crate::meta::plan::moving::Moving;
use crate::meta::rules::Rule;
use crate::meta::session::Session;
use crate::meta::space::Space;
use crate::meta::tables::cache::Cache;
use crate::meta::tables::header::HeaderBlock;
use crate::meta::tables::l1::L1;
use crate::meta::tables::slice::HeldTable;
use crate::meta::{Meta, MetaSettings};
use crate::source::Source;
use crate::storage::{Latch, Storage};
use crate::sync::atomic::AtomicU64;

impl Meta {
    /// Opens the image in `storage`, whose header `block` is, over `backing`: reads tables only
    /// where NEED_CHECK asks for it. A writable open honours NEED_CHECK (F5) and clears autoclear
    /// bits it does not know (F1); a read-only one changes nothing.
    ///
    /// # Errors
    /// A failed read; at a writable open also damage behind NEED_CHECK, a failed write or sync.
    pub(crate) fn open(
        storage: Arc<dyn Storage>,
        block: HeaderBlock,
        backing: Option<Arc<dyn Source>>,
        settings: MetaSettings,
    ) -> Result<Arc<Self>> {
        let latch = (!settings.rules.breaks(Rule::Latch))
            .then(|| Arc::new(Latch::new(Arc::clone(&storage))));
        let storage = latch.clone().map_or(storage, |latch| latch as Arc<dyn Storage>);
        let header = block.get();
        let length = storage.len().map_err(|error| Error::io("asking the file's length", error))?;
        let geometry = header.geometry;
        let l1 = L1::new(Arc::clone(&storage), &header, geometry.usable_length(length));
        let bits = AUTOCLEAR_FREE_MAP | AUTOCLEAR_TABLES_VOUCHED;
        let has_map = header.autoclear_features & bits == bits && !header.needs_check();
        let clock = Clock::new(Arc::clone(&storage));
        let space = Space::new(Arc::clone(&storage), geometry, settings.rules, length, &clock);
        let meta = Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            backing: Backing::new(backing),
            geometry,
            image_size: AtomicU64::new(header.image_size),
            length_at_open: length,
            header: block,
            grace: Grace::new(),
            l1,
            cache: Cache::new(settings.l2_cache_size),
            claims: Claims::new(),
            moving: Moving::default(),
            held: HeldTable::default(),
            unstable: Unstable::new(),
            space,
            session: Session::new(has_map),
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
