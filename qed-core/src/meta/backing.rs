//! What lies under unallocated clusters, which a stream may change while requests run.
//!
//! A source that was replaced stays where it is until the image is closed: a request that still
//! reads through it finds the same bytes.

use std::sync::Arc;

use crate::error::Result;
use crate::meta::Meta;
use crate::source::Source;
use crate::sync::OnceLock;

/// The backing source, and those that came after it.
#[derive(Debug)]
pub(crate) struct Backing {
    source: Option<Arc<dyn Source>>,
    next: OnceLock<Box<Backing>>,
}

impl Backing {
    pub(crate) fn new(source: Option<Arc<dyn Source>>) -> Self {
        Self { source, next: OnceLock::new() }
    }

    /// The source as it is now.
    pub(crate) fn get(&self) -> Option<&Arc<dyn Source>> {
        let mut last = self;
        while let Some(next) = last.next.get() {
            last = next;
        }
        last.source.as_ref()
    }

    /// From here on `source` is what lies below.
    pub(crate) fn replace(&self, source: Option<Arc<dyn Source>>) {
        let mut last = self;
        let mut new = Box::new(Self::new(source));
        while let Err(back) = last.next.set(new) {
            new = back;
            if let Some(next) = last.next.get() {
                last = next;
            }
        }
    }
}

impl Meta {
    /// What lies under unallocated clusters.
    pub(crate) fn backing(&self) -> Option<&dyn Source> {
        self.backing.get().map(|source| &**source)
    }

    /// The same, to be kept.
    pub(crate) fn backing_to_keep(&self) -> Option<Arc<dyn Source>> {
        self.backing.get().cloned()
    }

    /// From here on `source` lies below. It reads as what lay there before, wherever that can be
    /// seen.
    pub(crate) fn replace_backing(&self, source: Option<Arc<dyn Source>>) {
        self.backing.replace(source);
    }

    /// Makes everything stable, then lets the header name `name` (and whether it is raw) as the
    /// backing file, or none: one sector, and stable (C18).
    ///
    /// # Errors
    /// A name that the header's sector has no room for; a write or sync that failed.
    pub(crate) fn rename_backing(&self, name: Option<(&[u8], bool)>) -> Result<()> {
        self.begin_changes()?;
        if !self.settings.rules.breaks(crate::meta::Rule::BackingAfterFlush) {
            self.flush()?;
        }
        self.header.set_backing(&*self.storage, name)?;
        self.clock.sync_now()
    }

    /// The longest backing name that [`rename_backing`](Self::rename_backing) can set, in bytes.
    pub(crate) fn room_for_backing(&self) -> u64 {
        self.header.room_for_backing()
    }
}
