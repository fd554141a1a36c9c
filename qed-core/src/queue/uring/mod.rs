//! io_uring: the ring's owner plans and submits, the kernel moves data, and no thread is passed.
//!
//! What needs no waiting and no I/O to be planned goes to the ring; all else goes to the queue's
//! [`Pool`] and comes back through its [`Inbox`]. A request is ended (published, its claims and
//! its place among the epochs given up) by whoever takes its completion out of the ring: the owner
//! in [`reap`](Engine::reap), or the [`watch`] where the owner stays away. One of the two at a
//! time holds the lock of [`Table`], under which entries go in and completions come out.

mod finish;
mod flight;
mod ring;
mod waiting;
mod watch;

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use super::event::Event;
use super::inbox::{Inbox, left};
use super::options::{Aio, QueueOptions};
use super::pool::{Job, Pool};
use super::request::{Completion, Operation, Request};
use super::{Engine, RawPart};
use crate::chain::{Begun, Disk, FileKey};
use crate::error::{Error, Result};
use crate::image::Flags;
use crate::sync::{Condvar, Mutex, Rank, thread};
use finish::Ended;
use flight::{Flight, Flights};
use io_uring::squeue;
use ring::{Entries, Results, ring};

#[derive(Debug)]
pub(super) struct Uring {
    entries: Entries,
    shared: Arc<Shared>,
    watcher: Option<thread::JoinHandle<()>>,
    /// What is registered with the ring.
    file: FileKey,
    /// Tags of entries that the kernel may not have taken yet, oldest first.
    pushed: Vec<u64>,
    /// Jobs that have not begun.
    held: Vec<Job>,
    /// The tag of a forced write whose entries may be published while its data moves.
    early: Option<u64>,
    /// The kernel takes no entries any more: the pool does everything.
    broken: bool,
    event_is_registered: bool,
    scratch: Scratch,
}

/// Lists that are made and emptied in every call.
#[derive(Debug, Default)]
struct Scratch {
    parts: Vec<RawPart>,
    ready: Vec<Flight>,
    entries: Vec<squeue::Entry>,
    finished: Vec<Flight>,
    /// Slots whose copies have been read.
    filled: Vec<u32>,
}

/// What the owner and the watch share.
#[derive(Debug)]
struct Shared {
    disk: Arc<Disk>,
    inbox: Arc<Inbox>,
    pool: Pool,
    table: Mutex<Table>,
    /// The watch has something to do.
    called: Condvar,
}

#[derive(Debug)]
struct Table {
    results: Results,
    flights: Flights,
    /// Requests that are answered by way of the inbox.
    outside: usize,
    /// The owner waits for completions, and takes them out itself.
    owner_waits: bool,
    /// How often the owner has taken completions out.
    looks: u64,
    /// The watch waits to be called.
    watch_sleeps: bool,
    ended: bool,
}

/// Why the system gives no ring; None where it does.
pub(super) fn refusal() -> Option<String> {
    ring(1).err().map(|error| error.to_string())
}

impl Uring {
    /// The engine for `disk`.
    ///
    /// # Errors
    /// The system refuses io_uring, or the disk's requests cannot go past its storage.
    pub(super) fn new(disk: Arc<Disk>, options: &QueueOptions) -> io::Result<Self> {
        let (entries, results) = ring(options.depth)?;
        let mut registered = Ok(());
        let file = disk.straight_file(|file| {
            registered = entries.register_file(file);
            Ok(())
        });
        registered?;
        let none = "no plain file stands directly behind the disk";
        let file = file.ok_or_else(|| io::Error::other(none))?;
        let inbox = Arc::new(Inbox::new());
        inbox.event().map_err(io::Error::other)?;
        let pool = Pool::new(Arc::clone(&disk), Arc::clone(&inbox), options.workers);
        let table = Table {
            results,
            flights: Flights::new(options.depth),
            outside: 0,
            owner_waits: false,
            looks: 0,
            watch_sleeps: false,
            ended: false,
        };
        let table = Mutex::new(Rank::Queue, table);
        let shared = Arc::new(Shared { disk, inbox, pool, table, called: Condvar::new() });
        let watcher = Some(watch::start(&shared)?);
        Ok(Self {
            entries,
            shared,
            watcher,
            file,
            pushed: Vec::new(),
            held: Vec::new(),
            early: None,
            broken: false,
            event_is_registered: false,
            scratch: Scratch::default(),
        })
    }

    /// Begins a request whose data the ring can move, and which may copy so many bytes from below;
    /// None where it cannot.
    fn begin(&mut self, request: &mut Request, room: u64) -> Option<Begun> {
        let length = request.buffers.len();
        let parts = &mut self.scratch.parts;
        parts.clear();
        request.buffers.raw_parts(parts);
        if self.broken || !(1..=LONGEST).contains(&length) || parts.len() > MOST_PARTS {
            return None;
        }
        let disk = &*self.shared.disk;
        if !disk.has_file(&self.file) {
            // The disk runs on another file now. No request is in the ring: each would hold its
            // passage through the disk as it was.
            self.file = disk.straight_file(|file| self.entries.replace_file(file))?;
        }
        let memory = &mut parts.iter().map(|part| (part.start.addr(), part.length));
        let (file, flags) = (&self.file, request.flags);
        match request.operation {
            Operation::Read { offset } if flags == Flags::NONE => {
                disk.begin_read(file, offset, length, memory)
            }
            Operation::Write { offset } => {
                disk.begin_write(file, offset, length, flags, memory, room)
            }
            _ => None,
        }
    }

    /// Gives entries to the ring, and to the kernel where the ring is full.
    fn push(&mut self) {
        let mut entries = std::mem::take(&mut self.scratch.entries);
        for entry in entries.drain(..) {
            // SAFETY: what the entry names belongs to a flight, which keeps it, and keeps everybody
            // else from it, until its last result has been taken out.
            while !self.broken && !unsafe { self.entries.push(&entry) } {
                self.enter(0, None);
            }
            match self.broken {
                true => self.shared.give_up(&[entry.get_user_data()]),
                false => self.pushed.push(entry.get_user_data()),
            }
        }
        self.scratch.entries = entries;
    }

    /// Takes at most `most` completions from the inbox and the ring.
    fn collect(&mut self, completions: &mut Vec<Completion>, most: usize) {
        // The inbox first: emptied, it clears the event, which the ring may share.
        let taken = self.shared.inbox.take(completions, most);
        let Scratch { entries, finished, filled, .. } = &mut self.scratch;
        {
            let mut table = self.shared.table.lock();
            table.outside -= taken;
            table.looks += 1;
            table.harvest(most - taken, finished, filled);
            for index in filled.drain(..) {
                table.flights.resume(index, &mut |entry| entries.push(entry));
            }
        }
        for flight in finished.drain(..) {
            match self.shared.finish(flight) {
                Ended::Answered(completion) => completions.push(completion),
                Ended::Owes(job) => self.held.push(job),
            }
        }
        self.push();
    }
}

impl Engine for Uring {
    fn aio(&self) -> Aio {
        Aio::IoUring
    }

    fn start(&mut self, requests: &mut Vec<Request>) {
        let mut room = self.shared.table.lock().flights.room();
        for mut request in requests.drain(..) {
            match self.begin(&mut request, room) {
                Some(begun) => {
                    room -= begun.copied().map_or(0, |copied| copied.whole);
                    self.scratch.ready.push(Flight::new(request, begun));
                }
                None => self.held.push(Job::Call(request)),
            }
        }
        let left = self.entries.unsubmitted();
        self.pushed.drain(..self.pushed.len().saturating_sub(left));
        let Scratch { ready, entries, finished, .. } = &mut self.scratch;
        let has_early = matches!(&ready[..], [only] if only.begun.has_early());
        {
            let mut table = self.shared.table.lock();
            for flight in ready.drain(..) {
                finished.extend(table.flights.place(flight, &mut |entry| entries.push(entry)));
            }
            table.outside += finished.len();
            if table.watch_sleeps && table.flights.count() > 0 {
                self.shared.called.notify_one();
            }
        }
        self.early = entries.last().filter(|_| has_early).map(squeue::Entry::get_user_data);
        self.shared.deliver(finished);
        self.push();
    }

    fn submit(&mut self) {
        self.hand_out();
        if !self.broken && self.entries.has_work() {
            self.enter(0, None);
        }
    }

    fn reap(
        &mut self,
        completions: &mut Vec<Completion>,
        min: usize,
        max: usize,
        deadline: Option<Instant>,
    ) -> Result<usize> {
        let before = completions.len();
        let mut expired = false;
        if min == 0 {
            self.submit();
        }
        loop {
            let count = completions.len() - before;
            self.collect(completions, max - count);
            let count = completions.len() - before;
            if count >= min || expired {
                break;
            }
            if deadline.is_none()
                && let Some(done) = self.work()
            {
                completions.push(done);
                continue;
            }
            self.wait(min - count, deadline)?;
            expired = left(deadline).is_some_and(|left| left.is_zero());
        }
        // What was prepared, where enough was there without a wait.
        self.submit();
        if self.event_is_registered && self.shared.has_completions() {
            self.shared.inbox.event()?.signal();
        }
        Ok(completions.len() - before)
    }

    fn event(&mut self) -> Result<&Event> {
        let event = self.shared.inbox.event()?;
        if !self.event_is_registered {
            let registered = self.entries.register_event(event.as_fd());
            registered.map_err(|error| Error::io("registering an eventfd", error))?;
            self.shared.inbox.share_event();
            self.event_is_registered = true;
            if self.shared.has_completions() {
                event.signal();
            }
        }
        Ok(event)
    }
}

impl Drop for Uring {
    /// What was submitted is ended first.
    fn drop(&mut self) {
        let mut forgotten = Vec::new();
        loop {
            self.collect(&mut forgotten, usize::MAX);
            forgotten.clear();
            if self.shared.table.lock().flights.count() == 0 {
                break;
            }
            // However the wait ends, the next look tells.
            let _ = self.wait(1, None);
        }
        self.hand_out();
        self.shared.table.lock().ended = true;
        self.shared.called.notify_one();
        if let Some(watcher) = self.watcher.take() {
            // A panic in there has been reported by the panic hook.
            let _ = watcher.join();
        }
        // Now, not when the kernel has torn the ring down: the file may be locked.
        self.entries.unregister_file();
    }
}

/// The longest request that goes to the ring: an entry's result has 31 bits.
const LONGEST: u64 = 1 << 30;
/// The most parts of a request that goes to the ring: a system call takes 1024.
const MOST_PARTS: usize = 512;

#[cfg(all(test, not(feature = "shuttle")))]
mod tests;
