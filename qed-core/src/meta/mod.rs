//! The metadata plane: tables, their cache, allocation, free space, and publishing to the disk.
//!
//! Every engine lock and every metadata write is in this folder. A request asks for a plan
//! ([`plan`]), moves its data with no lock held, and publishes; [`commit`] brings what was
//! published to the disk by the rules of `docs/crash-consistency.md` ([`rules`]). [`tables`] and
//! [`space`] are what plans are made of; [`session`] and [`scan`] establish what may be believed of
//! a file. Nothing here knows of the guest's buffers.

pub(crate) mod backing;
pub(crate) mod commit;
#[cfg(all(test, feature = "shuttle"))]
mod models;
pub(crate) mod plan;
pub(crate) mod repair;
pub(crate) mod resize;
mod rules;
pub(crate) mod scan;
mod session;
mod space;
mod tables;

use std::sync::{Arc, Weak};

use crate::error::{Error, Result};
use crate::format::{Geometry, Header};
use crate::storage::{Latch, Storage};
use crate::sync::atomic::AtomicU64;

use backing::Backing;
use commit::background::Background;
use commit::clock::Clock;
use commit::unstable::Unstable;
use plan::claims::Claims;
use plan::grace::Grace;
use plan::moving::Moving;
pub use rules::{Rule, Rules};
use session::Session;
pub(crate) use session::settings::MetaSettings;
pub use session::settings::Trust;
use space::{Run, Space};
use tables::cache::Cache;
pub(crate) use tables::header::HeaderBlock;
use tables::l1::L1;
use tables::slice::HeldTable;
pub(crate) use tables::words::write_words;

/// The metadata of one open image.
#[derive(Debug)]
pub(crate) struct Meta {
    /// For the background thread.
    this: Weak<Self>,
    pub(crate) storage: Arc<dyn Storage>,
    /// The same storage; only tests that break C17 go without.
    latch: Option<Arc<Latch>>,
    backing: Backing,
    pub(crate) geometry: Geometry,
    /// Guest bytes that requests may reach.
    image_size: AtomicU64,
    length_at_open: u64,
    settings: MetaSettings,
    header: HeaderBlock,
    clock: Clock,
    grace: Grace,
    l1: L1,
    cache: Cache,
    claims: Claims,
    moving: Moving,
    /// The table that is being moved.
    held: HeldTable,
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
