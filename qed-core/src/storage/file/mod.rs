//! A storage over a file or a block device: through the page cache, or past it with O_DIRECT.
//!
//! Requests of any alignment are served in both ways; with O_DIRECT the aligned ones go straight to
//! the disk and cost nothing more. What the file demands is found by asking it. Positions are
//! explicit, but where data lies is found with lseek, which moves the position that a descriptor
//! shares with its duplicates: whoever keeps one must not rely on it.

mod align;
mod bypass;
mod direct;
mod gate;
mod syncs;
mod transfer;

pub use bypass::Bypass;
pub(crate) use bypass::{Forcing, WritePass};

use super::span::{end_of, total, total_mut};
use super::{ImageLock, Limits, Storage, StoredExtent, WriteFlags, sys};
use crate::sync::atomic::{AtomicBool, Ordering};
use align::{Alignment, atomic_unit, no_direct};
use direct::Direct;
use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use syncs::Syncs;

/// How a [`FileStorage`] uses its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileMode {
    /// Past the page cache. O_DIRECT is set on a descriptor that lacks it (and so on its
    /// duplicates); one that has it keeps it in any case.
    pub direct: bool,
    /// Changes are allowed; the descriptor is open for writing.
    pub writable: bool,
    /// Syncs do nothing and no write is forced (cache=unsafe).
    pub ignore_sync: bool,
}

/// A regular file or a block device.
pub struct FileStorage {
    file: File,
    kind: Kind,
    mode: FileMode,
    limits: Limits,
    direct: Option<Direct>,
    syncs: Syncs,
    /// The kernel takes RWF_DSYNC, as far as is known.
    forces_writes: AtomicBool,
    /// Held for as long as the file is used.
    lock: Option<ImageLock>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Regular,
    Block,
}

impl FileStorage {
    /// A storage over `file`, which is open for reading, and for writing where `mode` says so.
    ///
    /// # Errors
    /// `InvalidInput` for what is neither a regular file nor a block device, lacks an access mode
    /// or appends; `Unsupported` where O_DIRECT is wanted and the file has none; else what the
    /// operating system reports.
    pub fn new(file: File, mode: FileMode) -> io::Result<Self> {
        let kind = kind_of(&file)?;
        let flags = sys::flags(&file)?;
        check_access(flags, mode.writable)?;
        let set = flags & libc::O_DIRECT != 0;
        if mode.direct && !set {
            set_direct(&file, flags)?;
        }
        let alignment = if mode.direct || set { Some(Alignment::find(&file, kind)?) } else { None };
        Ok(Self::with_alignment(file, kind, mode, alignment))
    }

    fn with_alignment(
        file: File,
        kind: Kind,
        mode: FileMode,
        alignment: Option<Alignment>,
    ) -> Self {
        let regular = kind == Kind::Regular;
        let limits = Limits {
            atomic_unit: atomic_unit(&file, kind, alignment),
            zeroes_new_space: regular,
            can_punch: regular,
        };
        let direct = alignment.map(Direct::new);
        let (syncs, forces_writes) = (Syncs::new(), AtomicBool::new(true));
        Self { file, kind, mode, limits, direct, syncs, forces_writes, lock: None }
    }

    /// The same storage, which holds `lock` until it is dropped.
    #[must_use]
    pub fn with_lock(mut self, lock: ImageLock) -> Self {
        self.lock = Some(lock);
        self
    }

    /// Writes what the kernel can take as it is. With `stable`, it is stable then.
    fn put(&self, buffers: &[IoSlice<'_>], offset: u64, stable: bool) -> io::Result<()> {
        let unit = self.direct.as_ref().map_or(1, |direct| direct.alignment.unit);
        if !stable {
            return transfer::write_all(&self.file, buffers, offset, unit, false);
        }
        // A direct write leaves nothing in the page cache whose error another could take.
        self.syncs.run(self.direct.is_some(), || {
            if self.forces_writes.load(Ordering::Relaxed) {
                match transfer::write_all(&self.file, buffers, offset, unit, true) {
                    Err(error) if is_unsupported(&error) => {
                        self.forces_writes.store(false, Ordering::Relaxed);
                    }
                    done => return done,
                }
            }
            transfer::write_all(&self.file, buffers, offset, unit, false)?;
            self.file.sync_data()
        })
    }

    /// Changes how a range is stored.
    fn reshape(&self, mode: i32, offset: u64, length: u64) -> io::Result<()> {
        let end = end_of(offset, length)?;
        self.check_writable()?;
        if length == 0 {
            return Ok(());
        }
        let _inside = self.direct.as_ref().map(|direct| direct.gate.share(offset, end));
        sys::fallocate(&self.file, mode | libc::FALLOC_FL_KEEP_SIZE, offset, length).map_err(
            |error| {
                // A device refuses parts of its blocks so.
                let partial =
                    self.kind == Kind::Block && error.raw_os_error() == Some(libc::EINVAL);
                if partial || is_unsupported(&error) {
                    return io::Error::new(io::ErrorKind::Unsupported, error);
                }
                error
            },
        )
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.mode.writable {
            return Ok(());
        }
        Err(io::Error::from_raw_os_error(libc::EROFS))
    }
}

impl fmt::Debug for FileStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStorage")
            .field("file", &self.file)
            .field("mode", &self.mode)
            .field("limits", &self.limits)
            .field("alignment", &self.direct.as_ref().map(|direct| direct.alignment))
            .finish_non_exhaustive()
    }
}

impl Storage for FileStorage {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn writes_directly(&self) -> bool {
        self.direct.is_some()
    }

    fn len(&self) -> io::Result<u64> {
        match self.kind {
            Kind::Regular => Ok(self.file.metadata()?.len()),
            Kind::Block => (&self.file).seek(SeekFrom::End(0)),
        }
    }

    fn read(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        end_of(offset, total_mut(buffers))?;
        match &self.direct {
            None => transfer::read_all(&self.file, buffers, offset, 1),
            Some(direct) => self.read_direct(direct, buffers, offset),
        }
    }

    fn write(&self, buffers: &[IoSlice<'_>], offset: u64, flags: WriteFlags) -> io::Result<()> {
        let length = total(buffers);
        end_of(offset, length)?;
        self.check_writable()?;
        let stable = flags.fua && !self.mode.ignore_sync;
        match &self.direct {
            _ if length == 0 => Ok(()),
            None => self.put(buffers, offset, stable),
            Some(direct) => self.write_direct(direct, buffers, offset, length, stable),
        }
    }

    fn zero_range(&self, offset: u64, length: u64) -> io::Result<()> {
        self.reshape(libc::FALLOC_FL_ZERO_RANGE, offset, length)
    }

    fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        self.reshape(0, offset, length)
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        self.reshape(libc::FALLOC_FL_PUNCH_HOLE, offset, length)
    }

    /// A device keeps its size: lengths up to it are accepted and change nothing.
    fn set_len(&self, length: u64) -> io::Result<()> {
        end_of(length, 0)?;
        self.check_writable()?;
        if self.kind == Kind::Block {
            let size = self.len()?;
            if length <= size {
                return Ok(());
            }
            let text = format!("a block device of {size} bytes cannot grow to {length}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        let _inside = self.direct.as_ref().map(|direct| direct.gate.share(length, u64::MAX));
        self.file.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        if self.mode.ignore_sync {
            return Ok(());
        }
        self.syncs.run(false, || self.file.sync_data())
    }

    fn stored_extent(&self, offset: u64, length: u64) -> io::Result<StoredExtent> {
        end_of(offset, length)?;
        let data = match sys::seek(&self.file, offset, libc::SEEK_DATA) {
            Ok(data) => data,
            // No data from here to the end.
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => u64::MAX,
            Err(error) if cannot_tell(&error) => return Ok(StoredExtent { length, hole: false }),
            Err(error) => return Err(error),
        };
        if data > offset {
            return Ok(StoredExtent { length: length.min(data - offset), hole: true });
        }
        let hole = match sys::seek(&self.file, offset, libc::SEEK_HOLE) {
            Ok(hole) => hole,
            // Cut in the meantime.
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => u64::MAX,
            Err(error) => return Err(error),
        };
        // A hole punched in the meantime may begin right here.
        Ok(StoredExtent { length: length.min((hole - offset).max(1)), hole: false })
    }

    fn disk_usage(&self) -> io::Result<u64> {
        match self.kind {
            Kind::Regular => Ok(self.file.metadata()?.blocks() * 512),
            Kind::Block => self.len(),
        }
    }

    fn bypass(&self) -> Option<Bypass<'_>> {
        Some(Bypass::new(self))
    }
}

fn kind_of(file: &File) -> io::Result<Kind> {
    let found = file.metadata()?.file_type();
    if found.is_file() {
        Ok(Kind::Regular)
    } else if found.is_block_device() {
        Ok(Kind::Block)
    } else {
        Err(unusable("it is neither a regular file nor a block device"))
    }
}

/// Refuses descriptors that would do something else than what is asked of them.
fn check_access(flags: i32, writable: bool) -> io::Result<()> {
    let access = flags & libc::O_ACCMODE;
    if flags & libc::O_PATH != 0 || access == libc::O_WRONLY {
        return Err(unusable("it is not open for reading"));
    }
    if writable && access != libc::O_RDWR {
        return Err(unusable("it is not open for writing"));
    }
    if writable && flags & libc::O_APPEND != 0 {
        return Err(unusable("it is open for appending, which ignores offsets"));
    }
    Ok(())
}

fn unusable(why: &str) -> io::Error {
    let text = format!("the descriptor cannot be used: {why}");
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Sets O_DIRECT on a descriptor whose flags are `flags`.
fn set_direct(file: &File, flags: i32) -> io::Result<()> {
    // Some file systems accept the flag and refuse every request.
    if sys::direct_alignment(file).is_some_and(|(_, unit)| unit == 0) {
        return Err(no_direct());
    }
    sys::set_flags(file, flags | libc::O_DIRECT).map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => no_direct(),
        _ => error,
    })
}

/// The kernel or the file system lacks the call.
fn is_unsupported(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    matches!(code, Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::ENODEV))
}

/// The file system does not know where its holes are.
fn cannot_tell(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINVAL) || is_unsupported(error)
}

#[cfg(test)]
mod tests;
