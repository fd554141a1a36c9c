//! What a successful sync may claim when another one failed.
//!
//! Linux reports a failed write-back once to each open file description: of two syncs that run at
//! once the one gets the error and the other success, and the pages are clean from then on, so that
//! a later sync succeeds as well. What was lost may be what the successful one had to cover.
//!
//! Invariant Y1: no sync returns success after one that could have taken its error has failed. So a
//! sync that succeeded waits for those that were still running, and a failure is remembered: every
//! later sync of this storage fails. (Only reopening the file, which reads what is really there,
//! gets rid of it.)

use crate::sync::{Condvar, Mutex, Rank};
use std::io;

/// The running syncs of one file, and whether one has failed.
#[derive(Debug)]
pub(super) struct Syncs {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// The numbers of those that run: a handful.
    running: Vec<u64>,
    /// What the first failure said.
    failed: Option<String>,
}

impl Syncs {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(Rank::Storage, State::default()), ended: Condvar::new() }
    }

    /// Runs `sync`. With `own_errors`, the kernel reports what went wrong with this very call to
    /// this very call (direct I/O), and it need not wait for others.
    pub(super) fn run(
        &self,
        own_errors: bool,
        sync: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let number = self.begin()?;
        let done = sync();
        self.end(number, done.as_ref().err());
        done?;
        let mut state = self.state.lock();
        let later = state.next;
        while !own_errors && state.running.iter().any(|running| *running < later) {
            self.ended.wait(&mut state);
        }
        state.check()
    }

    /// Notes that sync `number` has ended, and whether it failed.
    pub(super) fn end(&self, number: u64, failed: Option<&io::Error>) {
        let mut state = self.state.lock();
        state.running.retain(|running| *running != number);
        if let Some(error) = failed {
            state.failed.get_or_insert_with(|| error.to_string());
        }
        self.ended.notify_all();
    }

    /// Syncs begun so far.
    #[cfg(test)]
    pub(super) fn count(&self) -> u64 {
        self.state.lock().next
    }

    /// The number of a sync that begins now.
    ///
    /// # Errors
    /// One has failed before.
    pub(super) fn begin(&self) -> io::Result<u64> {
        let mut state = self.state.lock();
        state.check()?;
        let number = state.next;
        state.next += 1;
        state.running.push(number);
        Ok(number)
    }
}

impl State {
    fn check(&self) -> io::Result<()> {
        match &self.failed {
            None => Ok(()),
            Some(text) => {
                Err(io::Error::other(format!("an earlier sync of this file failed: {text}")))
            }
        }
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    fn broken() -> io::Result<()> {
        Err(io::Error::from_raw_os_error(libc::EIO))
    }

    #[test]
    fn failure_is_remembered() {
        let syncs = Syncs::new();
        syncs.run(false, || Ok(())).unwrap();
        assert_eq!(syncs.run(false, broken).unwrap_err().raw_os_error(), Some(libc::EIO));
        let error = syncs.run(true, || panic!("must not run")).unwrap_err();
        assert!(error.to_string().starts_with("an earlier sync of this file failed: "), "{error}");
    }

    /// One sync fails while it is overtaken by another that succeeds: that one must not say so.
    #[test]
    fn success_waits_for_a_sync_that_may_have_taken_its_error() {
        let syncs = Syncs::new();
        let (begun, wait_begun) = channel();
        let (fail, wait_fail) = channel();
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| {
                syncs.run(false, move || {
                    begun.send(()).unwrap();
                    wait_fail.recv().unwrap();
                    broken()
                })
            });
            wait_begun.recv().unwrap();
            // With errors of its own, the second one need not wait: it returns while the first
            // runs.
            syncs.run(true, || Ok(())).unwrap();
            let quick = scope.spawn(|| {
                syncs.run(false, || {
                    fail.send(()).unwrap();
                    Ok(())
                })
            });
            assert!(quick.join().unwrap().is_err());
            assert!(slow.join().unwrap().is_err());
        });
    }
}
