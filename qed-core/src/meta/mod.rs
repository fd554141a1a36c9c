//! The metadata plane: tables, their cache, allocation, free space, and publishing to the disk.
//!
//! Every engine lock and every metadata write is in this folder. A request asks for a plan
//! ([`lookup`], [`write_plan`], [`zero_plan`]), moves its data with no lock held, and publishes;
//! [`flush`] brings what was published to the disk by the rules of `docs/crash-consistency.md`.
//! Nothing here knows of the guest's buffers.

mod background;
mod base;
mod cache;
mod claims;
mod clock;
mod close;
mod crc;
mod flush;
mod freemap;
mod grace;
mod header;
mod l1;
pub(crate) mod lookup;
#[cfg(all(test, feature = "shuttle"))]
mod models;
mod open;
mod pieces;
mod publish;
mod ranges;
mod reclaim;
mod refs;
mod repair;
mod rules;
pub(crate) mod scan;
mod session;
mod settings;
mod slice;
mod space;
mod unstable;
mod version;
pub(crate) mod write_plan;
pub(crate) mod zero_plan;

use std::sync::{Arc, Weak};

use crate::error::{Error, Result};
use crate::format::{Geometry, Header};
use crate::source::Source;
use crate::storage::{Latch, Storage};

use background::Background;
use cache::Cache;
use claims::Claims;
use clock::Clock;
use grace::Grace;
use header::HeaderBlock;
use l1::L1;
pub use rules::{Rule, Rules};
use session::Session;
pub(crate) use settings::MetaSettings;
pub use settings::Trust;
use space::{Run, Space};
use unstable::Unstable;

/// The metadata of one open image.
#[derive(Debug)]
pub(crate) struct Meta {
    /// For the background thread.
    this: Weak<Self>,
    pub(crate) storage: Arc<dyn Storage>,
    /// The same storage; only tests that break C17 go without.
    latch: Option<Arc<Latch>>,
    backing: Option<Arc<dyn Source>>,
    pub(crate) geometry: Geometry,
    pub(crate) image_size: u64,
    length_at_open: u64,
    settings: MetaSettings,
    header: HeaderBlock,
    clock: Clock,
    grace: Grace,
    l1: L1,
    cache: Cache,
    claims: Claims,
    unstable: Unstable,
    space: Space,
    session: Session,
    background: Background,
}

impl Meta {
    /// The header as it is now.
    pub(crate) fn header(&self) -> Header {
        self.header.get()
    }

    /// What lies under unallocated clusters.
    pub(crate) fn backing(&self) -> Option<&dyn Source> {
        self.backing.as_deref()
    }

    /// Bytes of the image file.
    ///
    /// # Errors
    /// What the operating system reports.
    pub(crate) fn file_length(&self) -> Result<u64> {
        self.storage.len().map_err(|error| Error::io("asking the file's length", error))
    }

    /// Notes that data was written in place outside a write plan.
    pub(crate) fn note_data(&self) {
        self.clock.note_data();
    }

    /// Whether all free space below the end found at open is known.
    #[cfg(feature = "rule-switches")]
    pub(crate) fn has_scanned(&self) -> bool {
        self.space.is_scanned()
    }

    fn allocate(&self, wanted: u64) -> Result<Run> {
        let run = self.space.allocate(wanted, &self.clock, &self.grace)?;
        if self.space.is_short() {
            self.background.kick();
        }
        Ok(run)
    }
}
