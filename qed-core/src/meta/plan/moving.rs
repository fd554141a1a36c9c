//! Who moves clusters, and how writes in place are kept out of them meanwhile.
//!
//! A write into mapped clusters claims nothing. So a mover first shows which guest clusters it is
//! about to move; whoever begins to write there from then on goes by claims. Then it waits until
//! every request has left that began before it could see that, and only then takes the claims:
//!
//! ```text
//! mover:   show range --> wait for an epoch to pass --> claim --> copy --> publish --> hide
//! writer:  enter epoch --> look at the range --> in place, or by claims --> leave epoch
//! ```
//!
//! 1. A writer that did not see the range entered before it was shown, so the mover waits for it.
//! 2. A mover holds no claim while it waits: requests wait for claims inside their epoch.
//! 3. There is one mover at a time.

use std::time::Duration;

use crate::addr::GuestCluster;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::rules::Rule;
use crate::meta::{Meta, Trust};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use crate::sync::nap;

/// How long who waits for others does so before it looks again.
const PAUSE: Duration = Duration::from_micros(200);

/// Waits a little for what others hold up.
pub(crate) fn pause() {
    nap(PAUSE);
}

/// The guest clusters that are being moved.
#[derive(Debug, Default)]
pub(crate) struct Moving {
    first: AtomicU64,
    /// 0 where nothing is.
    end: AtomicU64,
    taken: AtomicBool,
}

impl Moving {
    /// Whether any of the clusters up to `last` may be moving: then they are changed by claims.
    pub(crate) fn covers(&self, first: GuestCluster, last: GuestCluster) -> bool {
        let end = self.end.load(SeqCst);
        end > first.get() && self.first.load(SeqCst) <= last.get()
    }
}

/// The right to move clusters. The zone is closed when it is dropped.
#[derive(Debug)]
pub(crate) struct Mover<'a> {
    pub(crate) meta: &'a Meta,
}

impl Drop for Mover<'_> {
    fn drop(&mut self) {
        self.meta.space.close_zone();
        self.meta.moving.taken.store(false, SeqCst);
    }
}

/// Keeps writes in place out of a range; they go by claims until this is dropped.
#[derive(Debug)]
pub(crate) struct Shown<'a>(&'a Moving);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.0.end.store(0, SeqCst);
    }
}

impl Meta {
    /// Becomes the one mover, and learns what is free.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where somebody moves already; [`ErrorKind::Damaged`], whatever the
    /// caller has consented to; a session that may not change tables; what the scan reports.
    pub(crate) fn mover(&self) -> Result<Mover<'_>> {
        if self.settings.trust == Trust::Damaged {
            let text = "clusters of a damaged image are not moved: it needs a repair first";
            return Err(Error::new(ErrorKind::Damaged, text));
        }
        if self.moving.taken.swap(true, SeqCst) {
            let text = "clusters of this image are being moved already";
            return Err(Error::new(ErrorKind::Busy, text));
        }
        let mover = Mover { meta: self };
        self.begin_changes()?;
        if !self.space.is_scanned() {
            self.scan_in_background()?;
        }
        Ok(mover)
    }
}

impl<'a> Mover<'a> {
    /// Shows that the clusters up to `last` are about to move, and returns when nobody writes there
    /// without a claim.
    pub(crate) fn keep_writers_out(&self, first: GuestCluster, last: GuestCluster) -> Shown<'a> {
        let moving = &self.meta.moving;
        moving.first.store(first.get(), SeqCst);
        moving.end.store(last.get().saturating_add(1), SeqCst);
        let shown = Shown(moving);
        if !self.meta.settings.rules.breaks(Rule::MoveAwaitsWriters) {
            let before = self.meta.grace.unlinked_now();
            while !self.meta.grace.has_passed(before) {
                self.pause();
            }
        }
        shown
    }

    /// Waits a little for what requests in flight hold up.
    pub(crate) fn pause(&self) {
        pause();
    }
}
