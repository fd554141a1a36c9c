//! Recording a disk while it is used: its guest's calls above, its file's operations below.
//!
//! A [`Session`] is the [`Observer`] of one opened disk. The disk works without a thread of its
//! own, so that one thread making the same calls leaves the same log.

use super::guest::{Call, MOST_BYTES};
use super::random::to_usize;
use super::recording::Recording;
use crate::chain::{Disk, GuestCall, Observer, OpenOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{DiscardMode, Flags, ImageSettings};
use crate::source::Format;
use crate::storage::{Preallocation, Recorder, Storage, Tape};
use crate::sync::atomic::{AtomicU64, Ordering::SeqCst};
use crate::sync::{Mutex, Rank};
use std::io::IoSlice;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// A disk's run, while it is recorded.
#[derive(Debug)]
pub struct Session {
    /// None before the disk is open. Not the recorder: that holds the file, and its lock.
    tape: OnceLock<Arc<Tape>>,
    calls: Mutex<Vec<Call>>,
    /// Guest bytes of the disk, once it is open.
    size: AtomicU64,
    settings: ImageSettings,
    format: Format,
}

impl Session {
    /// Opens the disk at `path` and records what happens to it.
    ///
    /// # Errors
    /// As [`Disk::open`]; a disk that is opened read-only, or watched by somebody else.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<(Arc<Self>, Disk)> {
        if options.image.read_only || options.observer.is_some() {
            return Err(Error::invalid("only a disk that is written to is recorded, and by one"));
        }
        let settings = ImageSettings { background: false, ..options.image.clone() };
        let session = Arc::new(Self {
            tape: OnceLock::new(),
            calls: Mutex::new(Rank::Storage, Vec::new()),
            size: AtomicU64::new(0),
            settings: settings.clone(),
            format: options.format,
        });
        let observer: Arc<dyn Observer> = session.clone();
        let mut options = OpenOptions { observer: Some(observer), ..options.clone() };
        options.image = settings;
        let disk = Disk::open(path, &options)?;
        let size = disk.size();
        if size > MOST_BYTES {
            let text = format!("a disk of {size} bytes is larger than what is explored");
            return Err(Error::new(ErrorKind::Unsupported, text).in_file(path));
        }
        session.size.store(size, SeqCst);
        Ok((session, disk))
    }

    /// Writes a remark into the log: what the user's program holds to be true from here on.
    ///
    /// # Errors
    /// Nothing is recorded yet.
    pub fn mark(&self, text: &str) -> Result<()> {
        self.tape()?.mark(text);
        Ok(())
    }

    /// Everything so far. What stands below the image is the caller's to add.
    ///
    /// # Errors
    /// Nothing is recorded yet.
    pub fn recording(&self) -> Result<Recording> {
        // The log first: its calls are then among those that are known.
        let log = self.tape()?.log();
        let calls = self.calls.lock().clone();
        let mut recording = Recording::new(log, calls);
        recording.settings = self.settings.clone();
        recording.format = self.format;
        Ok(recording)
    }

    fn tape(&self) -> Result<&Tape> {
        let tape = self.tape.get().map(AsRef::as_ref);
        tape.ok_or_else(|| Error::new(ErrorKind::Internal, "a session before its disk is open"))
    }

    fn size(&self) -> u64 {
        self.size.load(SeqCst)
    }

    /// Whether the disk has all of a range.
    fn has(&self, offset: u64, length: u64) -> bool {
        let end = offset.checked_add(length);
        end.is_some_and(|end| end <= self.size())
    }

    /// Whether a change with these flags is stable when it returns.
    fn is_forced(&self, flags: Flags) -> bool {
        flags.contains(Flags::FUA) || self.settings.cache.writes_through()
    }

    /// The call as the explorer knows it.
    fn call(&self, call: GuestCall<'_>) -> Call {
        // What is refused, or ignored, promises nothing: it is a discard of no bytes.
        let nothing = Call::Discard { offset: 0, length: 0 };
        match call {
            GuestCall::Write { offset, buffers, .. } if !self.has(offset, length(buffers)) => {
                nothing
            }
            GuestCall::Zeroes { offset, length, .. } | GuestCall::Discard { offset, length }
                if !self.has(offset, length) =>
            {
                nothing
            }
            GuestCall::Discard { .. } if self.settings.discard == DiscardMode::Ignore => nothing,
            GuestCall::Write { offset, buffers, flags } => {
                let bytes: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.to_vec()).collect();
                Call::write_bytes(offset, &bytes, self.is_forced(flags))
            }
            GuestCall::Zeroes { offset, length, flags } => {
                let unmap = flags.contains(Flags::MAY_UNMAP);
                Call::Zeroes { offset, length, forced: self.is_forced(flags), unmap }
            }
            GuestCall::Discard { offset, length } => Call::Discard { offset, length },
            // What space the new part has shows nowhere on the disk.
            GuestCall::Resize { size } => {
                let preallocation = Preallocation::Off;
                Call::Resize { from: self.size(), to: size, preallocation }
            }
            GuestCall::Flush => Call::Flush,
        }
    }
}

impl Observer for Session {
    fn storage(&self, file: Arc<dyn Storage>) -> Result<Arc<dyn Storage>> {
        let recorder = Recorder::new(file);
        let recorder = recorder.map_err(|error| Error::io("recording", error))?;
        let known = self.tape.set(recorder.tape());
        known.map_err(|_| Error::new(ErrorKind::Internal, "a session records one disk"))?;
        Ok(Arc::new(recorder))
    }

    fn begin(&self, call: GuestCall<'_>) -> u64 {
        let call = self.call(call);
        let number = {
            let mut calls = self.calls.lock();
            calls.push(call);
            calls.len() as u64 - 1
        };
        if let Some(tape) = self.tape.get() {
            tape.begin(number);
        }
        number
    }

    fn end(&self, number: u64, done: bool) {
        let call = self.calls.lock().get(to_usize(number)).cloned();
        debug_assert!(call.is_some(), "a call that never began");
        if let Some(Call::Resize { to, .. }) = call.filter(|_| done) {
            self.size.store(to, SeqCst);
        }
        if let Some(tape) = self.tape.get() {
            tape.end(number, done);
        }
    }
}

fn length(buffers: &[IoSlice<'_>]) -> u64 {
    buffers.iter().map(|buffer| buffer.len() as u64).sum()
}
