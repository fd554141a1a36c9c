//! Faults on demand: calls that fail, stop half way, wait for a test, or run something of its own.
//!
//! A decorator with rules. A [`Trigger`] says which calls a rule is for; the rule fails them,
//! shortens them, holds them until they are released (for races, without a sleep) or runs a
//! callback. Rules see the calls in the order in which they come and apply in the order in which
//! they were made. No lock is held while a call is held, runs a callback or reaches the storage
//! below, so a callback may use that storage: to copy a crash's state, for example.

mod held;
mod text;
mod trigger;

use super::span::{to_usize, total, total_mut};
use super::{Limits, Storage, StoredExtent, WriteFlags};
use crate::sync::{Mutex, Rank};
use held::Hold;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::sync::Arc;

pub use held::Held;
pub use trigger::{Call, CallKind, Trigger};

/// A storage whose calls go wrong on demand.
#[derive(Debug)]
pub struct Fault {
    inner: Arc<dyn Storage>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    /// Calls of each kind so far, by [`CallKind`]'s number.
    counts: [u64; CallKind::ALL.len()],
}

#[derive(Debug)]
struct Rule {
    trigger: Trigger,
    /// Calls that matched so far.
    matched: u64,
    action: Action,
}

/// What a rule does. Errors are errno values.
#[derive(Clone)]
enum Action {
    Fail(i32),
    Shorten(u64, i32),
    Hold(Arc<Hold>),
    Run(Arc<dyn Fn(&Call) + Send + Sync>),
}

impl Fault {
    /// `inner`, with no rule yet.
    #[must_use]
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self { inner, state: Mutex::new(Rank::Storage, State::default()) }
    }

    /// Fails the calls of `trigger` with `errno`: before they do anything, or, for a trigger that
    /// applies [`afterwards`](Trigger::afterwards), once they have done all of it.
    pub fn fail(&self, trigger: Trigger, errno: i32) {
        self.add(trigger, Action::Fail(errno));
    }

    /// Lets the calls of `trigger` do their first `bytes` bytes and then fails them with `errno`.
    /// A sync or a `set_len` has no bytes: it does nothing and fails.
    pub fn shorten(&self, trigger: Trigger, bytes: u64, errno: i32) {
        self.add(trigger, Action::Shorten(bytes, errno));
    }

    /// Holds the calls of `trigger` until they are released through the handle, or until that is
    /// dropped.
    pub fn hold(&self, trigger: Trigger) -> Held {
        let hold = Arc::new(Hold::new());
        self.add(trigger, Action::Hold(Arc::clone(&hold)));
        Held::new(hold)
    }

    /// Runs `callback` in the calls of `trigger`, on their thread.
    pub fn run(&self, trigger: Trigger, callback: impl Fn(&Call) + Send + Sync + 'static) {
        self.add(trigger, Action::Run(Arc::new(callback)));
    }

    /// Forgets all rules. Calls that are held stay so.
    pub fn clear(&self) {
        self.state.lock().rules.clear();
    }

    /// Calls of a kind so far, those that failed included.
    #[must_use]
    pub fn count(&self, kind: CallKind) -> u64 {
        self.state.lock().counts[kind.number()]
    }

    fn add(&self, trigger: Trigger, action: Action) {
        self.state.lock().rules.push(Rule { trigger, matched: 0, action });
    }

    /// What applies to `call`: actions before and after it.
    fn note(&self, call: &Call) -> [Vec<Action>; 2] {
        let mut state = self.state.lock();
        state.counts[call.kind.number()] += 1;
        let mut actions = [Vec::new(), Vec::new()];
        for rule in state.rules.iter_mut().filter(|rule| rule.trigger.matches(call)) {
            rule.matched += 1;
            if rule.trigger.fires_at(rule.matched) {
                actions[usize::from(rule.trigger.is_afterwards())].push(rule.action.clone());
            }
        }
        actions
    }

    /// Makes a call: `body(limit)` does it, or only its first `limit` bytes.
    fn call(
        &self,
        call: Call,
        mut body: impl FnMut(Option<u64>) -> io::Result<()>,
    ) -> io::Result<()> {
        let [before, after] = self.note(&call);
        for action in before {
            match action {
                Action::Fail(errno) => return Err(io::Error::from_raw_os_error(errno)),
                Action::Shorten(bytes, errno) => {
                    body(Some(bytes))?;
                    return Err(io::Error::from_raw_os_error(errno));
                }
                Action::Hold(hold) => hold.stay(),
                Action::Run(callback) => callback(&call),
            }
        }
        body(None)?;
        for action in after {
            match action {
                Action::Fail(errno) | Action::Shorten(_, errno) => {
                    return Err(io::Error::from_raw_os_error(errno));
                }
                Action::Hold(hold) => hold.stay(),
                Action::Run(callback) => callback(&call),
            }
        }
        Ok(())
    }

    /// A call on a range, which can be shortened.
    fn range_call(
        &self,
        kind: CallKind,
        offset: u64,
        length: u64,
        change: impl Fn(u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let call = Call { kind, offset, length, flags: WriteFlags::default() };
        self.call(call, |limit| change(limit.map_or(length, |limit| limit.min(length))))
    }
}

impl Storage for Fault {
    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    fn writes_directly(&self) -> bool {
        self.inner.writes_directly()
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        let (length, flags) = (total_mut(buffers), WriteFlags::default());
        self.call(Call { kind: CallKind::Read, offset, length, flags }, |limit| match limit {
            None => self.inner.read(buffers, offset),
            Some(limit) => {
                let mut parts =
                    cut(buffers.iter_mut().map(|buffer| &mut **buffer), limit, |b, n| {
                        IoSliceMut::new(&mut b[..n])
                    });
                self.inner.read(&mut parts, offset)
            }
        })
    }

    fn write(&self, buffers: &[IoSlice<'_>], offset: u64, flags: WriteFlags) -> io::Result<()> {
        let length = total(buffers);
        self.call(Call { kind: CallKind::Write, offset, length, flags }, |limit| match limit {
            None => self.inner.write(buffers, offset, flags),
            Some(limit) => {
                let parts = cut(buffers.iter().map(|buffer| &**buffer), limit, |bytes, count| {
                    IoSlice::new(&bytes[..count])
                });
                self.inner.write(&parts, offset, flags)
            }
        })
    }

    fn zero_range(&self, offset: u64, length: u64) -> io::Result<()> {
        let change = |length| self.inner.zero_range(offset, length);
        self.range_call(CallKind::ZeroRange, offset, length, change)
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        let change = |length| self.inner.punch(offset, length);
        self.range_call(CallKind::Punch, offset, length, change)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let flags = WriteFlags::default();
        let call = Call { kind: CallKind::SetLen, offset: length, length: 0, flags };
        self.call(call, |limit| if limit.is_none() { self.inner.set_len(length) } else { Ok(()) })
    }

    fn sync(&self) -> io::Result<()> {
        let flags = WriteFlags::default();
        let call = Call { kind: CallKind::Sync, offset: 0, length: 0, flags };
        self.call(call, |limit| if limit.is_none() { self.inner.sync() } else { Ok(()) })
    }

    fn stored_extent(&self, offset: u64, length: u64) -> io::Result<StoredExtent> {
        self.inner.stored_extent(offset, length)
    }

    fn disk_usage(&self) -> io::Result<u64> {
        self.inner.disk_usage()
    }
}

/// The first `limit` bytes of scattered buffers; `part(buffer, count)` cuts one of them.
fn cut<B: AsRef<[u8]>, P>(
    buffers: impl Iterator<Item = B>,
    limit: u64,
    part: impl Fn(B, usize) -> P,
) -> Vec<P> {
    let mut left = to_usize(limit);
    buffers
        .map(|buffer| {
            let count = left.min(buffer.as_ref().len());
            left -= count;
            part(buffer, count)
        })
        .collect()
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fail(errno) => write!(f, "fail with {errno}"),
            Self::Shorten(bytes, errno) => write!(f, "stop after {bytes} bytes with {errno}"),
            Self::Hold(_) => f.write_str("hold"),
            Self::Run(_) => f.write_str("run a callback"),
        }
    }
}

#[cfg(test)]
mod tests;
