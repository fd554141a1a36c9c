//! A raw file as a disk: its bytes are the guest's.
//!
//! As long as its file was when it was opened or resized, in any number of bytes. A failed sync
//! latches it as it latches an image: no later flush claims that what was lost is stable.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::DiskInfo;
use super::straight::RawBegun;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{DetectZeroes, DiscardMode, Flags, Forced, ImageSettings, ResizeOptions};
use crate::source::{Extent, ExtentKind, Format, PlainFile, Source, all_zero, check_range};
use crate::storage::{Bypass, Forcing, Latch, Storage, WriteFlags, set_aside, write_zeroes};
use crate::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// A raw disk.
#[derive(Debug)]
pub(crate) struct RawDisk {
    storage: Latch,
    size: AtomicU64,
    settings: ImageSettings,
    path: Option<PathBuf>,
}

impl RawDisk {
    /// The disk in `storage`, whose errors name `path`.
    ///
    /// # Errors
    /// The length cannot be told.
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        settings: ImageSettings,
        path: Option<&Path>,
    ) -> Result<Self> {
        let storage = Latch::new(storage);
        let path = path.map(Path::to_path_buf);
        let disk = Self { storage, size: AtomicU64::new(0), settings, path };
        disk.size.store(disk.file_length()?, SeqCst);
        Ok(disk)
    }

    pub(crate) fn size(&self) -> u64 {
        self.size.load(SeqCst)
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.settings.read_only
    }

    pub(crate) fn preadv(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> Result<()> {
        self.check_range(offset, buffers.iter().map(|buffer| buffer.len()))?;
        let read = self.storage.read(buffers, offset);
        read.map_err(|error| self.failed("reading data", offset, error))
    }

    /// The way to the disk's file.
    pub(crate) fn bypass(&self) -> Option<Bypass<'_>> {
        self.storage.bypass()
    }

    /// Begins a read whose data somebody else moves.
    pub(crate) fn begin_read(&self, offset: u64, length: u64) -> Option<RawBegun> {
        self.check_length(offset, length).ok()?;
        Some(RawBegun { offset, length, forced: Forced::No })
    }

    /// Begins a write whose data somebody else moves; None where the blocking call is needed.
    pub(crate) fn begin_write(&self, offset: u64, length: u64, flags: Flags) -> Option<RawBegun> {
        flags.check(Flags::FUA, "a write").ok()?;
        self.check_length(offset, length).ok()?;
        if self.settings.read_only || self.settings.detect_zeroes != DetectZeroes::Off {
            return None;
        }
        let forced = match self.is_forced(flags) {
            false => Forced::No,
            true if self.bypass()?.forcing() == Forcing::ByFlag => Forced::ByFlag,
            true => return None,
        };
        Some(RawBegun { offset, length, forced })
    }

    pub(crate) fn pwritev(&self, buffers: &[IoSlice<'_>], offset: u64, flags: Flags) -> Result<()> {
        flags.check(Flags::FUA, "a write").map_err(|error| self.named(error))?;
        let length = self.check_range(offset, buffers.iter().map(|buffer| buffer.len()))?;
        let detect = self.settings.detect_zeroes;
        if detect != DetectZeroes::Off && buffers.iter().all(|buffer| all_zero(buffer)) {
            let unmap = if detect == DetectZeroes::Unmap { Flags::MAY_UNMAP } else { Flags::NONE };
            return self.write_zeroes(offset, length, flags | unmap);
        }
        self.check_writable()?;
        let flags = WriteFlags { fua: self.is_forced(flags), metadata: false };
        let written = self.storage.write(buffers, offset, flags);
        written.map_err(|error| self.failed("writing data", offset, error))
    }

    pub(crate) fn write_zeroes(&self, offset: u64, length: u64, flags: Flags) -> Result<()> {
        let allowed = Flags::FUA | Flags::MAY_UNMAP | Flags::NO_FALLBACK;
        flags.check(allowed, "a write of zeroes").map_err(|error| self.named(error))?;
        self.check_length(offset, length)?;
        self.check_writable()?;
        let zeroed = self.zero(offset, length, flags);
        zeroed.map_err(|error| self.failed("zeroing data", offset, error))?;
        if self.is_forced(flags) { self.flush() } else { Ok(()) }
    }

    pub(crate) fn discard(&self, offset: u64, length: u64) -> Result<()> {
        self.check_length(offset, length)?;
        self.check_writable()?;
        if self.settings.discard == DiscardMode::Ignore || length == 0 {
            return Ok(());
        }
        match self.storage.punch(offset, length) {
            // A file system that cannot give space back keeps it.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
            done => done.map_err(|error| self.failed("discarding data", offset, error)),
        }
    }

    pub(crate) fn flush(&self) -> Result<()> {
        if self.settings.read_only {
            return Ok(());
        }
        let synced = self.storage.sync();
        synced.map_err(|error| self.named(Error::io("syncing the file", error)))
    }

    /// As [`Image::resize`](crate::Image::resize), in any number of bytes. No other call runs.
    pub(crate) fn resize(&self, size: u64, options: ResizeOptions) -> Result<()> {
        self.check_writable()?;
        let (from, kind) = (self.size(), options.preallocation);
        let checked = options.check(from, size).and_then(|()| kind.check_raw());
        checked.map_err(|error| self.named(error))?;
        let set_length = |length| {
            let set = self.storage.set_len(length);
            set.map_err(|error| self.failed("setting the file's length", length, error))
        };
        set_length(size)?;
        if kind.has_data()
            && let Err(error) = set_aside(&self.storage, from, size - from, kind)
        {
            // The first error is the one that counts.
            let _ = set_length(from);
            return Err(self.named(error));
        }
        self.size.store(size, SeqCst);
        self.flush()
    }

    pub(crate) fn close(self) -> Result<()> {
        self.flush()
    }

    /// The run that begins at `offset`.
    ///
    /// # Errors
    /// The range passes the end of the disk; what the operating system reports.
    pub(crate) fn own_extent(&self, offset: u64, length: u64) -> Result<Extent> {
        self.check_length(offset, length)?;
        let stored = self.storage.stored_extent(offset, length);
        let stored =
            stored.map_err(|error| self.failed("asking where data lies", offset, error))?;
        let file_offset = Some(offset);
        let kind = if stored.hole {
            ExtentKind::Zero { file_offset }
        } else {
            ExtentKind::Data { file_offset }
        };
        Ok(Extent { offset, length: stored.length, kind, depth: 0 })
    }

    /// What the disk is, as it stands now.
    ///
    /// # Errors
    /// What the operating system reports.
    pub(crate) fn info(&self) -> Result<DiskInfo> {
        let usage = self.storage.disk_usage();
        let usage = usage.map_err(|error| self.named(Error::io("asking about the file", error)))?;
        Ok(DiskInfo {
            format: Format::Raw,
            virtual_size: self.size(),
            cluster_size: None,
            needs_check: false,
            backing: None,
            file_length: self.file_length()?,
            disk_usage: usage,
            read_only: self.settings.read_only,
            qed: None,
            qcow2: None,
        })
    }

    fn file_length(&self) -> Result<u64> {
        let length = self.storage.len();
        length.map_err(|error| self.named(Error::io("asking the file's length", error)))
    }

    fn zero(&self, offset: u64, length: u64, flags: Flags) -> io::Result<()> {
        let unsupported = |done: &io::Result<()>| {
            done.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Unsupported)
        };
        let unmap = flags.contains(Flags::MAY_UNMAP)
            && self.settings.discard == DiscardMode::Unmap
            && self.storage.limits().can_punch;
        let mut done = match unmap {
            true => self.storage.punch(offset, length),
            false => Err(io::ErrorKind::Unsupported.into()),
        };
        if unsupported(&done) {
            done = self.storage.zero_range(offset, length);
        }
        if unsupported(&done) && !flags.contains(Flags::NO_FALLBACK) {
            done = write_zeroes(&self.storage, offset, length, WriteFlags::default());
        }
        done
    }

    fn is_forced(&self, flags: Flags) -> bool {
        flags.contains(Flags::FUA) || self.settings.cache.writes_through()
    }

    fn check_writable(&self) -> Result<()> {
        if self.settings.read_only {
            let error = Error::new(ErrorKind::ReadOnly, "the image was opened read-only");
            return Err(self.named(error));
        }
        Ok(())
    }

    fn check_range(&self, offset: u64, lengths: impl Iterator<Item = usize>) -> Result<u64> {
        let length = lengths.map(|length| length as u64).sum();
        self.check_length(offset, length)?;
        Ok(length)
    }

    fn check_length(&self, offset: u64, length: u64) -> Result<()> {
        check_range(self.size(), offset, length).map_err(|error| self.named(error))
    }

    fn failed(&self, doing: &str, offset: u64, error: io::Error) -> Error {
        self.named(Error::io(doing, error).at(offset))
    }

    fn named(&self, error: Error) -> Error {
        match &self.path {
            Some(path) => error.in_file(path),
            None => error,
        }
    }
}

impl Source for RawDisk {
    fn size(&self) -> u64 {
        RawDisk::size(self)
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.preadv(&mut [IoSliceMut::new(buffer)], offset)
    }

    fn extent(&self, offset: u64, length: u64) -> Result<Extent> {
        self.own_extent(offset, length)
    }

    fn plain_file(&self) -> Option<PlainFile> {
        let bypass = self.bypass().filter(|_| self.settings.read_only)?;
        Some(PlainFile::new(bypass.descriptor().as_raw_fd(), bypass.unit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    fn disk(bytes: &[u8], settings: ImageSettings) -> RawDisk {
        RawDisk::new(Arc::new(MemoryStorage::from_bytes(bytes)), settings, None).unwrap()
    }

    #[test]
    fn holes_are_zeroes_and_the_length_may_be_odd() {
        let mut bytes = vec![0; 8192];
        bytes.extend([7; 301]);
        let disk = disk(&bytes, ImageSettings::default());
        assert_eq!(disk.size(), 8493);
        let hole = disk.extent(0, 8493).unwrap();
        assert_eq!((hole.length, hole.reads_zero()), (8192, true));
        let data = disk.extent(8192, 301).unwrap();
        assert_eq!(data.kind, ExtentKind::Data { file_offset: Some(8192) });
        let mut tail = [0; 2];
        disk.read(&mut tail, 8491).unwrap();
        assert_eq!(tail, [7, 7]);
    }

    #[test]
    fn changes_stay_inside_the_disk_and_need_permission() {
        let writable = disk(&[9; 5000], ImageSettings::default());
        writable.pwritev(&[IoSlice::new(b"ab")], 4998, Flags::FUA).unwrap();
        writable.write_zeroes(10, 20, Flags::NONE).unwrap();
        writable.discard(4096, 100).unwrap();
        let mut read = vec![0; 5000];
        writable.read(&mut read, 0).unwrap();
        let mut expected = vec![9; 5000];
        expected[10..30].fill(0);
        expected[4096..4196].fill(0);
        expected[4998..].copy_from_slice(b"ab");
        assert_eq!(read, expected);
        for past in [
            writable.pwritev(&[IoSlice::new(b"ab")], 4999, Flags::NONE),
            writable.write_zeroes(5000, 1, Flags::NONE),
            writable.discard(u64::MAX, 2),
        ] {
            assert_eq!(past.unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
        let settings = ImageSettings { read_only: true, ..ImageSettings::default() };
        let guarded = disk(&[9; 512], settings);
        let refused = guarded.pwritev(&[IoSlice::new(b"a")], 0, Flags::NONE);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ReadOnly);
    }
}
