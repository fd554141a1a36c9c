//! What a run did and how long it took.

use super::histogram::Histogram;
use super::plan::{Kind, Request};
use crate::queue::Aio;
use std::time::Duration;

/// What a run did. Flushes are counted apart: they are not what was asked for by number.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// The engine that carried the requests out.
    pub aio: Aio,
    /// From the first request's begin to the last one's end.
    pub elapsed: Duration,
    /// Requests that read.
    pub reads: u64,
    /// Requests that wrote.
    pub writes: u64,
    /// Requests that wrote zeroes.
    pub zero_writes: u64,
    /// Requests that gave space back.
    pub discards: u64,
    /// Bytes read and written; zeroes and discards move none.
    pub bytes: u64,
    /// How long the requests took, each by itself; flushes are not among them.
    pub requests: Histogram,
    /// How long the flushes took.
    pub flushes: Histogram,
}

impl Report {
    /// Counts a request that took `latency`.
    pub(super) fn record(&mut self, request: &Request, latency: Duration) {
        match request.kind {
            Kind::Read => self.reads += 1,
            Kind::Write { .. } => self.writes += 1,
            Kind::WriteZeroes => self.zero_writes += 1,
            Kind::Discard => self.discards += 1,
            Kind::Flush => {}
        }
        if matches!(request.kind, Kind::Read | Kind::Write { .. }) {
            self.bytes = self.bytes.saturating_add(request.length);
        }
        match request.kind {
            Kind::Flush => self.flushes.record(latency),
            _ => self.requests.record(latency),
        }
    }

    /// Counts what another one of the same run has counted.
    pub(super) fn add(&mut self, other: &Self) {
        self.reads += other.reads;
        self.writes += other.writes;
        self.zero_writes += other.zero_writes;
        self.discards += other.discards;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.requests.add(&other.requests);
        self.flushes.add(&other.flushes);
    }
}
