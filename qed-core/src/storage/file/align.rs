//! What a file demands of direct I/O, and what its disk writes whole: found by asking, never
//! assumed.
//!
//! Asked in this order: statx, the block device itself, trial reads; where nobody answers, 4096
//! bytes, which every disk accepts.

use super::Kind;
use crate::storage::aligned::AlignedBuffer;
use crate::storage::sys;
use std::fs::{self, File};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::MetadataExt;

/// What addresses, offsets and lengths of direct I/O are multiples of: powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alignment {
    /// Of the caller's memory.
    pub(super) memory: u64,
    /// Of offsets and lengths: the block of a read-modify-write.
    pub(super) unit: u64,
}

impl Alignment {
    /// Asks a file that is open with O_DIRECT.
    pub(super) fn find(file: &File, kind: Kind) -> io::Result<Self> {
        if let Some((memory, unit)) = sys::direct_alignment(file) {
            return Self::accept(memory, unit).ok_or_else(no_direct);
        }
        if kind == Kind::Block {
            let block = sys::logical_block_size(file)?;
            return Ok(Self::accept(block, block).unwrap_or(Self::CAUTIOUS));
        }
        Self::probe(file)
    }

    /// The answer of a kernel, unless it makes no sense; 0 stands for "no direct I/O".
    fn accept(memory: u64, unit: u64) -> Option<Self> {
        let sensible = unit.is_power_of_two() && memory.is_power_of_two();
        sensible.then_some(Self { memory, unit })
    }

    /// Finds the least alignment by reading. The end of the file stops a read before anything is
    /// checked, so only a read that returns bytes tells something.
    fn probe(file: &File) -> io::Result<Self> {
        if file.metadata()?.len() < 2 * Self::CAUTIOUS.unit {
            return Ok(Self::CAUTIOUS);
        }
        // A multiple of each unit that is tried, but of nothing larger.
        let mut memory = AlignedBuffer::with_alignment(16384, 8192);
        for unit in [512_u16, 1024, 2048, 4096] {
            let from = usize::from(unit);
            let part = &mut memory[from..2 * from];
            match sys::preadv(file, &mut [IoSliceMut::new(part)], u64::from(unit)) {
                Ok(0) => return Ok(Self::CAUTIOUS),
                Ok(_) => return Ok(Self { memory: unit.into(), unit: unit.into() }),
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
                Err(error) => return Err(error),
            }
        }
        Err(no_direct())
    }

    const CAUTIOUS: Self = Self { memory: 4096, unit: 4096 };
}

/// Bytes that the file's disk writes whole: its logical block, 512 or 4096.
pub(super) fn atomic_unit(file: &File, kind: Kind, alignment: Option<Alignment>) -> u64 {
    let told = alignment
        .map(|alignment| alignment.unit)
        .or_else(|| sys::direct_alignment(file).map(|(_, unit)| unit))
        .or_else(|| match kind {
            Kind::Block => sys::logical_block_size(file).ok(),
            Kind::Regular => block_of_file_system(file),
        });
    if told.is_some_and(|block| block > 512) { 4096 } else { 512 }
}

/// The logical block size of the device under a regular file, where it lies on just one.
fn block_of_file_system(file: &File) -> Option<u64> {
    let device = file.metadata().ok()?.dev();
    let (major, minor) = (libc::major(device), libc::minor(device));
    let disk = format!("/sys/dev/block/{major}:{minor}/queue/logical_block_size");
    let partition = format!("/sys/dev/block/{major}:{minor}/../queue/logical_block_size");
    let text = fs::read_to_string(disk).or_else(|_| fs::read_to_string(partition)).ok()?;
    text.trim().parse().ok()
}

/// The file has no direct I/O.
pub(super) fn no_direct() -> io::Error {
    let text = "O_DIRECT is not supported by this file or its file system; use a cache mode that \
                goes through the page cache (writeback, writethrough)";
    io::Error::new(io::ErrorKind::Unsupported, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::OpenOptionsExt;

    #[test]
    fn answers_that_make_no_sense_are_not_believed() {
        assert_eq!(Alignment::accept(4, 512), Some(Alignment { memory: 4, unit: 512 }));
        assert_eq!(Alignment::accept(0, 0), None);
        assert_eq!(Alignment::accept(512, 1000), None);
    }

    /// What trial reads find is never less than what statx says, where both can tell.
    #[test]
    fn trial_reads_find_an_alignment_that_works() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("probe");
        fs::write(&path, [7; 65536]).unwrap();
        let opened = File::options().read(true).custom_flags(libc::O_DIRECT).open(&path);
        let file = match opened {
            Ok(file) => file,
            Err(error) => return println!("skipped: no O_DIRECT here: {error}"),
        };
        let found = Alignment::probe(&file).unwrap();
        assert!((512..=4096).contains(&found.unit), "{found:?}");
        if let Some((memory, unit)) = sys::direct_alignment(&file) {
            assert!(found.memory >= memory && found.unit >= unit, "{found:?}");
        }
    }

    #[test]
    fn short_files_are_treated_with_caution() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(Alignment::probe(&file).unwrap(), Alignment::CAUTIOUS);
    }

    #[test]
    fn atomic_unit_follows_the_block() {
        let file = tempfile::tempfile().unwrap();
        for (unit, atomic) in [(1, 512), (512, 512), (1024, 4096), (4096, 4096), (65536, 4096)] {
            let alignment = Some(Alignment { memory: 4, unit });
            assert_eq!(atomic_unit(&file, Kind::Regular, alignment), atomic);
        }
        assert!([512, 4096].contains(&atomic_unit(&file, Kind::Regular, None)));
    }
}
