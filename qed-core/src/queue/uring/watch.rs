//! The watch: a thread that ends requests whose owner stays away, so that nobody waits for it.
//!
//! A request in the ring holds claims, blocks of the file, its place among the epochs, its passage
//! through the disk. Whoever waits for one of these must not wait for a thread that has better
//! things to do than to look after its queue. So while requests are in the ring, the watch looks
//! every few milliseconds whether the owner has looked since; where it has not, and does not wait
//! either, the watch takes the completions out and puts the answers into the inbox.
//!
//! With a busy owner the watch finds nothing to do; with an empty ring it sleeps until called.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use crate::sync::{thread, without_signals};

/// Starts the watch, which ends when the table says so.
///
/// # Errors
/// The system has no thread to give.
pub(super) fn start(shared: &Arc<Shared>) -> io::Result<thread::JoinHandle<()>> {
    let shared = Arc::clone(shared);
    let builder = thread::Builder::new().name("qed-queue".into());
    without_signals(|| builder.spawn(move || shared.watch()))
}

impl Shared {
    fn watch(&self) {
        let mut quiet = 0;
        let mut seen = 0;
        loop {
            let stays_away = {
                let mut table = self.table.lock();
                let is_empty = table.flights.count() == 0;
                quiet = if is_empty { quiet + 1 } else { 0 };
                if table.ended {
                    return;
                }
                if quiet > QUIET_LOOKS {
                    table.watch_sleeps = true;
                    self.called.wait(&mut table);
                    table.watch_sleeps = false;
                    quiet = 0;
                } else {
                    self.called.wait_for(&mut table, BETWEEN_LOOKS);
                }
                let stays_away = table.looks == seen && !table.owner_waits;
                seen = table.looks;
                stays_away
            };
            if stays_away {
                self.divert();
            }
        }
    }
}

/// How long the owner may stay away.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
/// After so many looks at an empty ring the watch sleeps.
const QUIET_LOOKS: u32 = 20;
