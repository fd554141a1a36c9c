//! The owner waits: for the kernel, which is handed what has been prepared by the same call, for
//! the pool, or for itself, where nobody else has something to do.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::Uring;
use crate::error::{Error, Result};
use crate::queue::Engine;
use crate::queue::event::wait_readable;
use crate::queue::inbox::left;
use crate::queue::pool::do_only;
use crate::queue::request::Completion;
use crate::sync::thread;

impl Uring {
    /// Hands entries to the kernel and waits for `want` completions, at most as long as `timeout`
    /// says; a signal ends the wait early.
    pub(super) fn enter(&mut self, want: usize, timeout: Option<Duration>) {
        for _ in 0..MOST_TRIES {
            let Err(error) = self.entries.enter(want, timeout) else { return };
            match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR) => return,
                // No memory at the moment, or too many completions that nobody has taken out.
                Some(libc::EAGAIN | libc::EBUSY) => {
                    self.shared.divert();
                    thread::yield_now();
                }
                _ => break,
            }
        }
        // What the kernel has not taken it never will: calls do it.
        self.broken = true;
        let left = self.entries.unsubmitted();
        let taken = self.pushed.len().saturating_sub(left);
        self.shared.give_up(&self.pushed[taken..]);
        self.pushed.clear();
    }

    /// Gives the pool what is held.
    pub(super) fn hand_out(&mut self) {
        if !self.held.is_empty() {
            self.shared.table.lock().outside += self.held.len();
            self.shared.pool.push(self.held.drain(..));
        }
    }

    /// Does what the owner would only wait for, to be called before it waits without a deadline:
    /// the one job that is pending, which is answered then, or a part of the one forced write.
    pub(super) fn work(&mut self) -> Option<Completion> {
        if self.held.is_empty() {
            self.publish_early();
            return None;
        }
        let is_alone = self.shared.table.lock().is_empty();
        if is_alone { do_only(&mut self.held, &self.shared.disk) } else { None }
    }

    /// Writes the entries of a forced write while the ring moves its data, where the owner would
    /// only wait for that. The watch leaves the write alone meanwhile: its flush comes afterwards.
    fn publish_early(&mut self) {
        let Some(tag) = self.early.take() else { return };
        self.submit();
        let early = {
            let mut table = self.shared.table.lock();
            let early = table.take_early(tag);
            table.owner_waits = early.is_some();
            early
        };
        if let Some(early) = early {
            // What fails has latched the disk, and the flush says so.
            let _ = self.shared.disk.publish_early(early);
        }
    }

    /// Waits until about `need` more completions can be fetched, or the deadline has passed. Hands
    /// the kernel what has been prepared, by the same call where that does it.
    pub(super) fn wait(&mut self, need: usize, deadline: Option<Instant>) -> Result<()> {
        self.hand_out();
        let (in_ring, outside) = {
            let mut table = self.shared.table.lock();
            table.owner_waits = true;
            (table.flights.count(), table.outside)
        };
        let mut waited = Ok(());
        if outside == 0 && !self.broken {
            self.enter(need.min(in_ring), left(deadline));
        } else {
            self.submit();
            // The event was made when the engine was.
            let event = self.shared.inbox.event()?;
            let either = [self.entries.as_fd(), event.as_fd()];
            waited = wait_readable(&either, left(deadline)).map(drop);
        }
        self.shared.table.lock().owner_waits = false;
        waited.map_err(|error| Error::io("waiting for completions", error))
    }
}

/// How often the kernel is asked again when it has no room at the moment.
const MOST_TRIES: usize = 1000;
