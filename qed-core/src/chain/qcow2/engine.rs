//! The tables, as imago keeps them: what a guest offset maps to, and how that changes.
//!
//! imago never opens a file here: it gets one storage, "none" for the backing and data files, and a
//! gate that denies the rest. It asserts what it believes of its tables, so every call into it is
//! caught: a panic becomes an error, and the engine is not used for changes after one.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use imago::qcow2::Qcow2;
use imago::{
    DenyImplicitOpenGate, FormatAccess, FormatDriverBuilder, PreparedDataMapping, ShallowMapping,
};

use super::adapter::Adapter;
use super::file::ImageFile;
use crate::sync::atomic::{AtomicBool, Ordering};

/// imago's driver for one image. Dropping it writes nothing that was not flushed.
pub(super) struct Engine {
    access: Option<FormatAccess<Adapter>>,
    broken: AtomicBool,
}

/// What a run of the disk is in this layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    /// Bytes of the file.
    Data {
        offset: u64,
        /// Nobody else refers to them: a snapshot may.
        own: bool,
    },
    Compressed,
    Zero,
    /// Nothing is here: the layer below has it.
    Absent,
}

/// Space for data, not yet visible where it is new. Holds the tables it will change.
pub(super) struct Prepared<'a>(PreparedDataMapping<'a, Adapter>);

impl Prepared<'_> {
    pub(super) fn offset(&self) -> u64 {
        self.0.offset()
    }

    pub(super) fn length(&self) -> u64 {
        self.0.length()
    }

    /// The guest cannot see it yet: it must be filled whole.
    pub(super) fn is_new(&self) -> bool {
        !self.0.is_nonblocking()
    }
}

impl Engine {
    /// # Errors
    /// Tables that imago refuses; what the storage reports.
    pub(super) fn open(file: &Arc<ImageFile>, writable: bool) -> io::Result<Self> {
        let builder = Qcow2::<Adapter>::builder(Adapter::new(Arc::clone(file)))
            .backing(None)
            .data_file(None)
            .write(writable);
        let opened = caught(|| builder.open(DenyImplicitOpenGate::default()))?;
        Ok(Self { access: Some(FormatAccess::new(opened)), broken: AtomicBool::new(false) })
    }

    /// What is at `offset`, and for how many of `length` bytes. The range lies on the disk.
    ///
    /// # Errors
    /// Broken tables; what the storage reports.
    pub(super) fn lookup(&self, offset: u64, length: u64) -> io::Result<(Run, u64)> {
        let (run, found) = self.call(|access| {
            let (mapping, found) = access.get_shallow_mapping(offset, length)?;
            Ok((run_of(&mapping)?, found))
        })?;
        match found.min(length) {
            0 => Err(damaged("a qcow2 lookup went nowhere")),
            found => Ok((run, found)),
        }
    }

    /// Reads what only imago can: compressed clusters, or a run whatever it is.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.call(|access| access.read(buffer, offset))
    }

    /// Finds space for `length` bytes at `offset`, or for some of them, all of which will be
    /// written.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup), and no space.
    pub(super) fn prepare(&self, offset: u64, length: u64) -> io::Result<Prepared<'_>> {
        self.check()?;
        let prepared = self.call(|access| access.prepare_data_mapping(offset, length, true))?;
        Ok(Prepared(prepared))
    }

    /// Makes prepared space visible, once its data is written.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    pub(super) fn commit(&self, prepared: Prepared<'_>) -> io::Result<()> {
        self.call(|access| access.commit_data_mapping(prepared.0))
    }

    /// Makes whole clusters at `offset` read as zeroes, keeping their space unless `free`; how many
    /// bytes were done.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    pub(super) fn zero(&mut self, offset: u64, length: u64, free: bool) -> io::Result<u64> {
        self.check()?;
        let access = self.access.as_mut().ok_or_else(gone)?;
        let (start, done) = self.broken.watch(|| {
            let driver = access.inner_mut();
            if free {
                driver.discard_to_zero(offset, length)
            } else {
                driver.ensure_zero_mapping(offset, length)
            }
        })?;
        if start != offset || done == 0 {
            return Err(damaged("qcow2 clusters could not be zeroed"));
        }
        Ok(done)
    }

    /// Writes every changed table.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    pub(super) fn flush(&self) -> io::Result<()> {
        self.check()?;
        self.call(FormatAccess::flush)
    }

    /// Whether a call has panicked.
    fn check(&self) -> io::Result<()> {
        if self.broken.load(Ordering::Acquire) {
            return Err(damaged("an earlier failure left the qcow2 tables in doubt"));
        }
        Ok(())
    }

    fn call<'a, T>(
        &'a self,
        call: impl FnOnce(&'a FormatAccess<Adapter>) -> io::Result<T>,
    ) -> io::Result<T> {
        let access = self.access.as_ref().ok_or_else(gone)?;
        self.broken.watch(|| call(access))
    }
}

trait Watch {
    /// Runs `call`, and is set where that panics.
    fn watch<T>(&self, call: impl FnOnce() -> io::Result<T>) -> io::Result<T>;
}

impl Watch for AtomicBool {
    fn watch<T>(&self, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let mut returned = false;
        let result = caught(|| {
            let result = call();
            returned = true;
            result
        });
        if !returned {
            self.store(true, Ordering::Release);
        }
        result
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let access = self.access.take();
        // It flushes what it still has to write, and nobody hears what failed.
        let _ = catch_unwind(AssertUnwindSafe(move || drop(access)));
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("broken", &self.broken).finish_non_exhaustive()
    }
}

fn run_of(mapping: &ShallowMapping<'_, Adapter>) -> io::Result<Run> {
    match mapping {
        ShallowMapping::Raw { offset, writable, .. } => {
            Ok(Run::Data { offset: *offset, own: *writable })
        }
        ShallowMapping::Zero { explicit: true, .. } => Ok(Run::Zero),
        ShallowMapping::Zero { explicit: false, .. } => Ok(Run::Absent),
        ShallowMapping::Special { .. } => Ok(Run::Compressed),
        _ => Err(damaged("a qcow2 lookup passed the end of the disk")),
    }
}

fn caught<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    // What the call leaves behind is dropped, or refused from here on.
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_| Err(damaged("the qcow2 tables contradict each other")))
}

fn gone() -> io::Error {
    damaged("the qcow2 tables are closed")
}

fn damaged(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a panic in the engine is an error to the caller, and is remembered.
    #[test]
    fn panics_become_errors_and_are_remembered() {
        let broken = AtomicBool::new(false);
        assert_eq!(broken.watch(|| Ok(1)).unwrap(), 1);
        let failed: io::Result<()> = broken.watch(|| Err(io::ErrorKind::NotFound.into()));
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!broken.load(Ordering::Acquire));
        let panicked: io::Result<()> = broken.watch(|| panic!("tables disagree"));
        assert_eq!(panicked.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(broken.load(Ordering::Acquire));
    }
}
