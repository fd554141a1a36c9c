//! The image's own thread: work that no request should wait for.
//!
//! It extends the file ahead of need (C2), writes entries back that have been unstable for long or
//! are many, punches freed clusters (C10), and scans once for free space (C15). It starts at the
//! session's first change and ends at close. Without it the calls that need the work do it
//! themselves. Nothing it fails at is lost: a failed sync or metadata write latches the storage,
//! and the next flush reports that.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::meta::Meta;
use crate::sync::{Condvar, Mutex, Rank, thread, without_signals};

/// Entries are written back when they have been unstable this long.
const OLDEST: Duration = Duration::from_secs(5);
/// How often the thread looks after what is old.
const TICK: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Background {
    orders: Mutex<Orders>,
    ordered: Condvar,
}

#[derive(Debug, Default)]
struct Orders {
    thread: Option<thread::JoinHandle<()>>,
    kicked: bool,
    stop: bool,
}

impl Background {
    pub(crate) fn new() -> Self {
        let orders = Mutex::new(Rank::Background, Orders::default());
        Self { orders, ordered: Condvar::new() }
    }

    /// Wakes the thread.
    pub(crate) fn kick(&self) {
        let mut orders = self.orders.lock();
        if orders.thread.is_some() && !orders.kicked {
            orders.kicked = true;
            self.ordered.notify_one();
        }
    }

    /// Ends the thread and waits for it.
    pub(crate) fn stop(&self) {
        let thread = {
            let mut orders = self.orders.lock();
            orders.stop = true;
            self.ordered.notify_one();
            orders.thread.take()
        };
        if let Some(thread) = thread {
            // A panic in there has been reported by the panic hook; close goes on without it.
            let _ = thread.join();
        }
    }

    /// Fails when the thread is to end.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`].
    pub(crate) fn go_on(&self) -> Result<()> {
        if self.orders.lock().stop {
            return Err(Error::new(ErrorKind::Cancelled, "the image is being closed"));
        }
        Ok(())
    }

    /// Waits for an order or for the next look; false when the thread is to end.
    fn wait(&self) -> bool {
        let mut orders = self.orders.lock();
        if !orders.kicked && !orders.stop {
            self.ordered.wait_for(&mut orders, TICK);
        }
        orders.kicked = false;
        !orders.stop
    }
}

impl Meta {
    /// Starts the thread, where the settings ask for one and the system has one to give.
    pub(crate) fn start_background(&self) {
        let Some(meta) = self.this.upgrade().filter(|meta| meta.settings.background) else {
            return;
        };
        let builder = thread::Builder::new().name("qed-background".into());
        let started = without_signals(|| builder.spawn(move || meta.run_background()));
        self.background.orders.lock().thread = started.ok();
    }

    /// Flushes inline or has the thread do it, when unstable entries take much of the cache's
    /// budget: `bytes` of memory.
    pub(crate) fn bound_unstable(&self, bytes: usize) {
        let most = self.most_unstable();
        if bytes > most {
            // What fails here has latched the storage; the next flush says so.
            let _ = self.flush();
        } else if bytes > most / 2 {
            self.background.kick();
        }
    }

    /// Half of the cache's budget.
    fn most_unstable(&self) -> usize {
        self.cache.budget() / 2
    }

    fn run_background(&self) {
        if !self.space.is_scanned() {
            // Without the scan's free space the file grows at its end: slower to shrink, never
            // wrong.
            let _ = self.scan_in_background();
        }
        while self.background.wait() {
            let _ = self.work_in_background();
        }
    }

    fn work_in_background(&self) -> Result<()> {
        self.space.extend_ahead(&self.clock)?;
        let old = self.unstable.oldest().is_some_and(|age| age > OLDEST);
        if old || self.unstable.bytes() > self.most_unstable() / 2 {
            self.flush()?;
        }
        self.space.punch_freed(&self.clock, &self.grace);
        Ok(())
    }
}
