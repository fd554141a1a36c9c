//! Hands out a plan's steps to the streams of a run, and keeps the plan's order.
//!
//! Where the plan has no order, each stream takes every n-th step: streams share nothing that is
//! written. Otherwise steps begin in the order of the plan, from one line: a step that must wait
//! for others holds up what is behind it. No stream waits here while requests of its own are under
//! way: it fetches their completions, whose end may be what the line waits for.

use super::plan::{Order, Plan, Request};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex, Rank};

pub(super) struct Gate<'a> {
    plan: &'a Plan,
    order: Order,
    stopped: AtomicBool,
    /// Steps begun, of each stream.
    begun: Vec<Counter>,
    line: Mutex<Line>,
    /// The step at the head of the line may begin, or none will any more.
    clear: Condvar,
}

/// A number that one stream writes, in a cache line of its own.
#[derive(Default)]
#[repr(align(128))]
struct Counter(AtomicU64);

#[derive(Default)]
struct Line {
    next: u64,
    running: Vec<(u64, Request)>,
    /// Streams that wait for the head to become clear.
    waiting: usize,
}

/// What a stream does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This step has begun.
    Step(u64, Request),
    /// The next step waits for requests under way.
    Held,
    /// There is no more.
    End,
}

impl<'a> Gate<'a> {
    pub(super) fn new(plan: &'a Plan, streams: usize) -> Self {
        Self {
            plan,
            order: plan.order(),
            stopped: AtomicBool::new(false),
            begun: (0..streams).map(|_| Counter::default()).collect(),
            line: Mutex::new(Rank::Work, Line::default()),
            clear: Condvar::new(),
        }
    }

    /// The next step for the stream of that number.
    pub(super) fn next(&self, stream: usize) -> Next {
        if self.stopped.load(Ordering::Relaxed) {
            return Next::End;
        }
        let next = if self.order == Order::Free { self.own(stream) } else { self.in_line() };
        if let (Next::Step(..), Some(Counter(begun))) = (&next, self.begun.get(stream)) {
            // Nobody else writes it.
            begun.store(begun.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
        next
    }

    /// Where no order is kept: the stream's own next step.
    fn own(&self, stream: usize) -> Next {
        let Some(Counter(begun)) = self.begun.get(stream) else { return Next::End };
        let rounds = begun.load(Ordering::Relaxed).checked_mul(self.begun.len() as u64);
        let Some(step) = rounds.and_then(|before| before.checked_add(stream as u64)) else {
            return Next::End;
        };
        self.plan.step(step).map_or(Next::End, |request| Next::Step(step, request))
    }

    fn in_line(&self) -> Next {
        let mut line = self.line.lock();
        let step = line.next;
        let Some(request) = self.plan.step(step) else { return Next::End };
        if self.is_held(&line) {
            return Next::Held;
        }
        line.next += 1;
        line.running.push((step, request));
        Next::Step(step, request)
    }

    fn is_held(&self, line: &Line) -> bool {
        let Some(next) = self.plan.step(line.next) else { return false };
        line.running.iter().any(|(_, running)| self.order.keeps_apart(&next, running))
    }

    /// Waits until the head of the line may have become clear. Only for a stream with no request
    /// under way.
    pub(super) fn wait(&self) {
        let mut line = self.line.lock();
        line.waiting += 1;
        while !self.stopped.load(Ordering::Relaxed) && self.is_held(&line) {
            self.clear.wait(&mut line);
        }
        line.waiting -= 1;
    }

    /// Notes that a step has ended.
    pub(super) fn end(&self, step: u64) {
        if self.order == Order::Free {
            return;
        }
        let mut line = self.line.lock();
        if let Some(at) = line.running.iter().position(|(running, _)| *running == step) {
            line.running.swap_remove(at);
        }
        if line.waiting > 0 && !self.is_held(&line) {
            self.clear.notify_all();
        }
    }

    /// Hands out nothing more.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Under the lock, so that who waits is either before the look at `stopped` or waiting.
        let _line = self.line.lock();
        self.clear.notify_all();
    }

    /// Steps handed out.
    pub(super) fn begun(&self) -> u64 {
        self.begun.iter().map(|Counter(begun)| begun.load(Ordering::Relaxed)).sum()
    }
}
