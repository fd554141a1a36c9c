//! The end of a request in the ring: its completions are taken out, it is published or dropped,
//! and answered.

use super::flight::{Done, Flight, Outcome};
use super::{Shared, Table};
use crate::error::Result;
use crate::image::EarlyEntries;
use crate::queue::pool::Job;
use crate::queue::request::{Completion, Operation};

/// What has become of a request whose data has been moved, or not.
pub(super) enum Ended {
    Answered(Completion),
    /// The job answers it.
    Owes(Job),
}

impl Table {
    /// Whether no request is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.outside == 0 && self.flights.count() == 0
    }

    /// The entries that the request of `tag` may publish early, where it is the only one under way.
    pub(super) fn take_early(&mut self, tag: u64) -> Option<EarlyEntries> {
        if self.outside > 0 || self.flights.count() != 1 {
            return None;
        }
        self.flights.flight_mut(tag)?.begun.take_early()
    }

    /// Takes completions out of the ring until `most` requests are done, and adds those to
    /// `finished`; to `filled`, the slots of those that can be written now.
    pub(super) fn harvest(
        &mut self,
        most: usize,
        finished: &mut Vec<Flight>,
        filled: &mut Vec<u32>,
    ) {
        if most == 0 {
            return;
        }
        let enough = finished.len().saturating_add(most);
        let Self { flights, results, .. } = self;
        results.harvest(|tag, result| {
            match flights.done(tag, result) {
                Done::Waits => {}
                Done::Filled(index) => filled.push(index),
                Done::Ended(index) => finished.extend(flights.take(index)),
            }
            finished.len() < enough
        });
    }
}

impl Shared {
    /// Whether completions wait in the ring.
    pub(super) fn has_completions(&self) -> bool {
        !self.table.lock().results.is_empty()
    }

    /// Ends a request whose last piece is done.
    pub(super) fn finish(&self, flight: Flight) -> Ended {
        let Flight { mut request, mut begun, outcome, .. } = flight;
        let disk = &*self.disk;
        let failed = match &outcome {
            Outcome::Failed(error) => Some(error),
            Outcome::Moved | Outcome::Again => None,
        };
        let landed = disk.landed(&mut begun, failed);
        let (offset, is_write) = match request.operation {
            Operation::Write { offset } => (offset, true),
            Operation::Read { offset } => (offset, false),
            _ => (0, false),
        };
        let doing = if is_write { "writing data" } else { "reading data" };
        let moved: Result<()> = match outcome {
            Outcome::Failed(error) => Err(disk.failed(doing, offset, error)),
            Outcome::Moved => landed.map_err(|error| disk.failed(doing, offset, error)),
            Outcome::Again if is_write => disk.move_write(&begun, &request.buffers.slices()),
            Outcome::Again => disk.move_read(&begun, &mut request.buffers.slices_mut()),
        };
        match disk.end(begun, moved.is_ok(), offset, request.buffers.len()) {
            Some(debt) => Ended::Owes(Job::Pay(request, debt)),
            None => Ended::Answered(request.end(moved)),
        }
    }

    /// Ends requests that were counted as answered by way of the inbox, and puts the answers there.
    pub(super) fn deliver(&self, finished: &mut Vec<Flight>) {
        for flight in finished.drain(..) {
            match self.finish(flight) {
                Ended::Answered(completion) => self.inbox.put(completion),
                Ended::Owes(job) => self.pool.push([job]),
            }
        }
    }

    /// Moves what is done from the ring to the inbox.
    pub(super) fn divert(&self) {
        let (mut finished, mut filled) = (Vec::new(), Vec::new());
        {
            let mut table = self.table.lock();
            table.harvest(usize::MAX, &mut finished, &mut filled);
            // Entries are the owner's to put in.
            finished.extend(filled.into_iter().filter_map(|index| table.flights.abandon(index)));
            table.outside += finished.len();
        }
        self.deliver(&mut finished);
    }

    /// Has calls do what the kernel will not: the entries with these tags.
    pub(super) fn give_up(&self, tags: &[u64]) {
        let mut finished = Vec::new();
        {
            let mut table = self.table.lock();
            for tag in tags {
                if let Done::Ended(index) = table.flights.done(*tag, -libc::ECANCELED) {
                    finished.extend(table.flights.take(index));
                }
            }
            table.outside += finished.len();
        }
        self.deliver(&mut finished);
    }
}
