//! Hands out a plan's steps to the threads of a run, and keeps the plan's order.
//!
//! Steps begin in the order of the plan. The thread whose step must wait for others stands at the
//! head of the line; everybody else waits behind it for their turn. So the end of a request wakes
//! at most the one thread that it concerns. A plan without an order has no line and no lock.

use super::plan::{Order, Plan, Request};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex, Rank};

pub(super) struct Gate<'a> {
    plan: &'a Plan,
    order: Order,
    /// The next step to hand out; with an order, only changed under the line's lock.
    next: AtomicU64,
    stopped: AtomicBool,
    line: Mutex<Line>,
    /// Somebody's turn to stand at the head has come.
    turn: Condvar,
    /// What the head waits for has ended.
    clear: Condvar,
}

#[derive(Default)]
struct Line {
    /// Whether a thread stands at the head.
    headed: bool,
    /// The step that the head cannot begin yet.
    held: Option<Request>,
    running: Vec<(u64, Request)>,
}

/// A step that has begun; it ends when this is dropped.
pub(super) struct Ticket<'a> {
    gate: &'a Gate<'a>,
    pub(super) step: u64,
    pub(super) request: Request,
}

impl<'a> Gate<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        Self {
            plan,
            order: plan.order(),
            next: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            line: Mutex::new(Rank::Work, Line::default()),
            turn: Condvar::new(),
            clear: Condvar::new(),
        }
    }

    /// The next step, as soon as the order lets it begin; none when there is no more.
    pub(super) fn enter(&'a self) -> Option<Ticket<'a>> {
        if self.order == Order::Free {
            return self.take();
        }
        let mut line = self.line.lock();
        while line.headed {
            self.turn.wait(&mut line);
        }
        line.headed = true;
        let next = self.plan.step(self.next.load(Ordering::Relaxed));
        while let Some(request) = next.filter(|next| self.must_wait(next, &line)) {
            line.held = Some(request);
            self.clear.wait(&mut line);
        }
        line.held = None;
        line.headed = false;
        let ticket = self.take();
        if let Some(ticket) = &ticket {
            line.running.push((ticket.step, ticket.request));
        }
        self.turn.notify_one();
        ticket
    }

    fn take(&'a self) -> Option<Ticket<'a>> {
        if self.stopped.load(Ordering::Relaxed) {
            return None;
        }
        let step = self.next.fetch_add(1, Ordering::Relaxed);
        self.plan.step(step).map(|request| Ticket { gate: self, step, request })
    }

    fn must_wait(&self, next: &Request, line: &Line) -> bool {
        let apart = |(_, running): &(u64, Request)| self.order.keeps_apart(next, running);
        !self.stopped.load(Ordering::Relaxed) && line.running.iter().any(apart)
    }

    /// Hands out nothing more.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Under the lock, so that the head is either before its look at `stopped` or waiting.
        let _line = self.line.lock();
        self.clear.notify_all();
    }

    /// Steps handed out.
    pub(super) fn begun(&self) -> u64 {
        self.next.load(Ordering::Relaxed).min(self.plan.steps())
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let gate = self.gate;
        if gate.order == Order::Free {
            return;
        }
        let mut line = gate.line.lock();
        if let Some(at) = line.running.iter().position(|(step, _)| *step == self.step) {
            line.running.swap_remove(at);
        }
        if line.held.is_some_and(|held| !gate.must_wait(&held, &line)) {
            gate.clear.notify_one();
        }
    }
}
