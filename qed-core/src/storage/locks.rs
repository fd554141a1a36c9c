//! Locks that a running QEMU understands (F7): who uses an image, and what others may do meanwhile.
//!
//! Single bytes of the file, locked shared for the open file description: byte 100+i says "I use
//! permission i", byte 200+i says "nobody else may". Nobody ever locks exclusively; whoever finds a
//! byte of another that contradicts its own gives all its bytes back and reports. Because each
//! takes its bytes before it looks, of two that come at once at least one sees the other.

use super::sys;
use crate::error::{Error, ErrorKind, Result};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// An image's lock, held until dropped.
///
/// It belongs to the open file description: a duplicate of the descriptor shares it, and a second
/// lock over a duplicate would neither conflict with the first nor outlive it.
#[derive(Debug)]
#[must_use]
pub struct ImageLock {
    /// A duplicate, so that the lock lives as long as this guard whatever becomes of the original.
    file: File,
    /// What of `held` has been taken.
    taken: Vec<u64>,
}

/// What an opener does, and what it lets others do: numbers of permissions.
struct Claim {
    uses: &'static [u64],
    denies: &'static [u64],
}

/// Permissions: 0 consistent read, 1 write, (2 write unchanged,) 3 resize.
const WRITER: Claim = Claim { uses: &[0, 1, 3], denies: &[1, 3] };
const READER: Claim = Claim { uses: &[0], denies: &[1, 3] };
const LOOK: Claim = Claim { uses: &[], denies: &[1, 3] };

const USES: u64 = 100;
const DENIES: u64 = 200;

impl ImageLock {
    /// For changing the image: nobody else may read or change it.
    ///
    /// # Errors
    /// `Locked`, naming the holder where it can be known; else what the operating system reports.
    pub fn writer(file: &File) -> Result<Self> {
        Self::take(file, &WRITER)
    }

    /// For reading the image, also as a backing file: others may read it, nobody may change it.
    ///
    /// # Errors
    /// As for [`writer`](Self::writer).
    pub fn reader(file: &File) -> Result<Self> {
        Self::take(file, &READER)
    }

    /// For looking at the image's structure: nobody may change it meanwhile.
    ///
    /// # Errors
    /// As for [`writer`](Self::writer).
    pub fn look(file: &File) -> Result<Self> {
        Self::take(file, &LOOK)
    }

    fn take(file: &File, claim: &Claim) -> Result<Self> {
        let failed = |error| Error::io("locking the image", error);
        let file = file.try_clone().map_err(failed)?;
        let mut lock = Self { file, taken: Vec::new() };
        let uses = claim.uses.iter().map(|permission| USES + permission);
        let denies = claim.denies.iter().map(|permission| DENIES + permission);
        for byte in uses.chain(denies) {
            match sys::lock_byte(&lock.file, libc::F_RDLCK, byte) {
                Ok(()) => lock.taken.push(byte),
                Err(error) if is_conflict(&error) => return Err(lock.conflict(byte)),
                Err(error) => return Err(failed(error)),
            }
        }
        let others_deny = claim.uses.iter().map(|permission| DENIES + permission);
        let others_use = claim.denies.iter().map(|permission| USES + permission);
        for byte in others_use.chain(others_deny) {
            if sys::byte_is_locked(&lock.file, byte).map_err(failed)? {
                return Err(lock.conflict(byte));
            }
        }
        Ok(lock)
    }

    /// Gives everything back and says who holds `byte`.
    fn conflict(mut self, byte: u64) -> Error {
        self.release();
        let holder = holder_of(&self.file, byte).unwrap_or_else(|| "another process".into());
        let does = match byte {
            ..DENIES => "is writing to the image",
            DENIES => "has the image open and forbids reading it",
            _ => "has the image open and forbids changing it",
        };
        let text = format!("{holder} {does}; lock=off goes ahead all the same");
        Error::new(ErrorKind::Locked, text)
    }

    fn release(&mut self) {
        for byte in self.taken.drain(..) {
            // A byte that cannot be given back goes with the description.
            let _ = sys::lock_byte(&self.file, libc::F_UNLCK, byte);
        }
    }
}

impl Drop for ImageLock {
    fn drop(&mut self) {
        self.release();
    }
}

fn is_conflict(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES))
}

/// "process 12 (qemu-io)", found among the descriptors of all processes that we may look at: these
/// locks carry no process number.
fn holder_of(file: &File, byte: u64) -> Option<String> {
    let identity = file.metadata().ok()?;
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let name = process.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let path = process.path();
        if !holds(&path, &identity, byte).unwrap_or(false) {
            continue;
        }
        if number == std::process::id() {
            return Some("this process".into());
        }
        let command = fs::read_to_string(path.join("comm")).unwrap_or_default();
        return Some(format!("process {number} ({})", command.trim_end()));
    }
    None
}

/// Whether one of the process's descriptions holds `byte` of this very file.
fn holds(process: &Path, identity: &Metadata, byte: u64) -> io::Result<bool> {
    for descriptor in fs::read_dir(process.join("fdinfo"))?.flatten() {
        let Ok(text) = fs::read_to_string(descriptor.path()) else { continue };
        if !text.lines().any(|line| locks_byte(line, identity.ino(), byte)) {
            continue;
        }
        // Inode numbers repeat from one file system to another.
        let target = fs::metadata(process.join("fd").join(descriptor.file_name()));
        if target.is_ok_and(|found| found.dev() == identity.dev()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a line of fdinfo is an open-file-description lock of this inode that holds `byte`:
/// `lock:  1: OFDLCK  ADVISORY  READ -1 fe:01:1234 100 101`.
fn locks_byte(line: &str, inode: u64, byte: u64) -> bool {
    let mut words = line.split_whitespace();
    if words.next() != Some("lock:") || !words.any(|word| word == "OFDLCK") {
        return false;
    }
    let Some(file) = words.find(|word| word.matches(':').count() == 2) else { return false };
    let locked_inode = file.rsplit(':').next().and_then(|text| text.parse::<u64>().ok());
    let first = words.next().and_then(|text| text.parse::<u64>().ok());
    let last = match words.next() {
        Some("EOF") => Some(u64::MAX),
        text => text.and_then(|text| text.parse().ok()),
    };
    let (Some(first), Some(last)) = (first, last) else { return false };
    locked_inode == Some(inode) && (first..=last).contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Take = fn(&File) -> Result<ImageLock>;
    const WRITER: Take = ImageLock::writer;
    const READER: Take = ImageLock::reader;
    const LOOK: Take = ImageLock::look;

    /// Two descriptions of one file conflict inside a process as well.
    fn two_descriptions(directory: &tempfile::TempDir) -> (File, File) {
        let path = directory.path().join("image");
        let open =
            || File::options().read(true).write(true).create(true).truncate(false).open(&path);
        (open().unwrap(), open().unwrap())
    }

    #[test]
    fn openers_live_together_or_exclude_each_other() {
        let directory = tempfile::tempdir().unwrap();
        for (first, second, together) in [
            (WRITER, WRITER, false),
            (WRITER, READER, false),
            (READER, WRITER, false),
            (READER, READER, true),
            (WRITER, LOOK, false),
            (LOOK, WRITER, false),
            (READER, LOOK, true),
            (LOOK, READER, true),
            (LOOK, LOOK, true),
        ] {
            let (one, two) = two_descriptions(&directory);
            let _held = first(&one).unwrap();
            match second(&two) {
                Ok(_) => assert!(together),
                Err(error) => {
                    assert!(!together, "{error}");
                    assert_eq!(error.kind(), ErrorKind::Locked);
                    let text = error.to_string();
                    assert!(text.starts_with("this process "), "{text}");
                    assert!(text.contains("lock=off"), "{text}");
                }
            }
        }
    }

    #[test]
    fn conflict_and_drop_give_every_byte_back() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = two_descriptions(&directory);
        let held = ImageLock::reader(&one).unwrap();
        ImageLock::writer(&two).unwrap_err();
        for byte in 100..204 {
            let held = [100, 201, 203].contains(&byte);
            assert_eq!(sys::byte_is_locked(&two, byte).unwrap(), held, "byte {byte} of the reader");
            assert!(!sys::byte_is_locked(&one, byte).unwrap(), "byte {byte} of the writer");
        }
        drop(held);
        drop(ImageLock::writer(&two).unwrap());
        drop(ImageLock::writer(&one).unwrap());
    }

    #[test]
    fn lock_outlives_the_descriptor_it_was_taken_with() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = two_descriptions(&directory);
        let held = ImageLock::writer(&one).unwrap();
        drop(one);
        ImageLock::reader(&two).unwrap_err();
        drop(held);
        drop(ImageLock::reader(&two).unwrap());
    }

    #[test]
    fn lines_of_fdinfo_are_read() {
        let line = "lock:\t1: OFDLCK  ADVISORY  READ -1 fe:00:1234 100 101";
        assert!(locks_byte(line, 1234, 101));
        assert!(!locks_byte(line, 1234, 102));
        assert!(!locks_byte(line, 123, 101));
        assert!(locks_byte("lock:\t2: OFDLCK  ADVISORY  READ -1 08:02:7 0 EOF", 7, 203));
        assert!(!locks_byte("lock:\t1: POSIX  ADVISORY  WRITE 5 fe:00:1234 100 101", 1234, 101));
        assert!(!locks_byte("pos:\t0", 1234, 101));
        assert!(!locks_byte("lock:\t1: OFDLCK", 1234, 101));
    }
}
