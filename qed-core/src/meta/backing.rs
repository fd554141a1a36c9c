//! What lies under unallocated clusters, which a stream may change while requests run.
//!
//! A source that was replaced stays where it is until the image is closed: a request that still
//! reads through it finds the same bytes. Where a source reads as zeroes is remembered as plans ask
//! for it, so that most need not ask.
//!
//! A stream down to a lower layer goes on reading through those above it, also when the header
//! names the lower one: what they hide, the next session sees. So they are no reason to leave a
//! cluster unallocated that is to read as zeroes.

use std::sync::Arc;

use crate::error::Result;
use crate::meta::Meta;
use crate::source::{Extent, Known, PlainFile, Source};
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
    plain: Option<PlainFile>,
    known: Known,
    to_come: Option<ToCome>,
    next: OnceLock<Box<Backing>>,
}

impl Backing {
    pub(crate) fn new(source: Option<Arc<dyn Source>>) -> Self {
        let plain = source.as_deref().and_then(Source::plain_file);
        Self { source, plain, known: Known::default(), to_come: None, next: OnceLock::new() }
    }

    /// What there is now.
    fn last(&self) -> &Self {
        let mut last = self;
        while let Some(next) = last.next.get() {
            last = next;
        }
        last
    }

    /// The source, with its bytes.
    pub(crate) fn source(&self) -> Option<&dyn Source> {
        self.source.as_deref()
    }

    /// The plain file that the source is. The source lives as long as the image is open.
    pub(crate) fn plain_file(&self) -> Option<PlainFile> {
        self.plain
    }

    /// Where the run that holds `offset`, inside the source, ends at least, and whether it reads as
    /// zeroes, also when what is to come has come; None where the source would have to be asked.
    pub(crate) fn run_now(&self, offset: u64) -> Option<(u64, bool)> {
        self.known.run_at(offset)
    }

    /// The same; the source is asked where it has to be.
    ///
    /// # Errors
    /// The source could not tell.
    pub(crate) fn run(&self, source: &dyn Source, offset: u64) -> Result<(u64, bool)> {
        if let Some(run) = self.known.run_at(offset) {
            return Ok(run);
        }
        let extent = source.extent(offset, source.size() - offset)?;
        let run = (offset + extent.length, extent.reads_zero() && !self.hides(&extent));
        self.known.learn(offset, run.0, run.1);
        Ok(run)
    }

    /// Whether a run may hide what a layer below it has, which is to be seen.
    fn hides(&self, extent: &Extent) -> bool {
        let above = |to_come: ToCome| extent.depth < to_come.depth && extent.offset < to_come.size;
        self.to_come.is_some_and(above)
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
        self.below().source()
    }

    /// The same, with what is known of it.
    pub(crate) fn below(&self) -> &Backing {
        self.backing.last()
    }

    /// The same, to be kept.
    pub(crate) fn backing_to_keep(&self) -> Option<Arc<dyn Source>> {
        self.below().source.clone()
    }

    /// From here on `source` lies below. It reads as what lay there before, wherever that can be
    /// seen. `to_come` says what is to take its place.
    pub(crate) fn replace_backing(&self, source: Option<Arc<dyn Source>>, to_come: Option<ToCome>) {
        self.backing.replace(source, to_come);
    }

    /// What is to take the place of what lies below.
    pub(crate) fn backing_to_come(&self) -> Option<ToCome> {
        self.below().to_come
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
