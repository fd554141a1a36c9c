//! What lies under unallocated clusters, which a stream may change while requests run.
//!
//! A source that was replaced stays where it is until the image is closed: a request that still
//! reads through it finds the same bytes.
//!
//! A stream down to a lower layer goes on reading through those above it, also when the header
//! names the lower one: what they hide, the next session sees. So they are no reason to leave a
//! cluster unallocated that is to read as zeroes.

use std::sync::Arc;

use crate::error::Result;
use crate::meta::Meta;
use crate::meta::plan::base::Base;
use crate::source::Source;
use crate::sync::OnceLock;

/// The layer that is to be, or is already, named as the backing file of the next session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ToCome {
    /// How many layers below the backing source it is.
    pub(crate) depth: u32,
    /// Its bytes as a disk.
    pub(crate) size: u64,
}

/// The backing source, and those that came after it.
#[derive(Debug)]
pub(crate) struct Backing {
    source: Option<Arc<dyn Source>>,
    to_come: Option<ToCome>,
    next: OnceLock<Box<Backing>>,
}

impl Backing {
    pub(crate) fn new(source: Option<Arc<dyn Source>>) -> Self {
        Self { source, to_come: None, next: OnceLock::new() }
    }

    /// As it is now.
    fn last(&self) -> &Self {
        let mut last = self;
        while let Some(next) = last.next.get() {
            last = next;
        }
        last
    }

    fn replace(&self, source: Option<Arc<dyn Source>>, to_come: Option<ToCome>) {
        let mut last = self;
        let mut new = Box::new(Self { to_come, ..Self::new(source) });
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
        self.backing.last().source.as_deref()
    }

    /// The same, as a plan asks it for zeroes.
    pub(crate) fn base(&self) -> Base<'_> {
        let last = self.backing.last();
        Base::new(last.source.as_deref(), last.to_come)
    }

    /// The same, to be kept.
    pub(crate) fn backing_to_keep(&self) -> Option<Arc<dyn Source>> {
        self.backing.last().source.clone()
    }

    /// From here on `source` lies below. It reads as what lay there before, wherever that can be
    /// seen. `to_come` says what is to take its place.
    pub(crate) fn replace_backing(&self, source: Option<Arc<dyn Source>>, to_come: Option<ToCome>) {
        self.backing.replace(source, to_come);
    }

    /// What is to take the place of what lies below.
    pub(crate) fn backing_to_come(&self) -> Option<ToCome> {
        self.backing.last().to_come
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
