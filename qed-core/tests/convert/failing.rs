//! Goal: a copy that fails or is cancelled says why and leaves nothing of its own. Method: sources
//! and storages that fail in the middle, a progress function that breaks off.

use crate::dice::Dice;
use crate::disks::{MIB, content, copy, create_options, names, open, pattern, random_disk};
use qed_core::storage::{CallKind, Fault, MemoryStorage, Trigger};
use qed_core::{
    ConvertOptions, ConvertSource, ConvertTarget, CreateSpec, Error, ErrorKind, Extent, ExtentKind,
    Flags, Format, Image, ImageSettings, Result, Source, Target, convert, format_storage,
};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A disk of data in which one place cannot be read.
#[derive(Debug)]
struct Broken {
    size: u64,
    bad: std::ops::Range<u64>,
}

impl Source for Broken {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let end = offset + buffer.len() as u64;
        if offset < self.bad.end && self.bad.start < end {
            let error = io::Error::from_raw_os_error(libc::EIO);
            return Err(Error::io("reading data", error).at(self.bad.start));
        }
        buffer.fill(7);
        Ok(())
    }

    fn extent(&self, offset: u64, length: u64) -> Result<Extent> {
        let kind = ExtentKind::Data { file_offset: None };
        Ok(Extent { offset, length, kind, depth: 0 })
    }
}

/// An image in a storage of the test's, as a target.
#[derive(Debug)]
struct Fragile(Image);

impl Target for Fragile {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn granule(&self) -> u64 {
        65536
    }

    fn write(&self, buffer: &[u8], offset: u64) -> Result<()> {
        self.0.pwrite(buffer, offset, Flags::NONE)
    }

    fn write_zeroes(&self, offset: u64, length: u64) -> Result<()> {
        self.0.write_zeroes(offset, length, Flags::MAY_UNMAP)
    }

    fn flush(&self) -> Result<()> {
        self.0.flush()
    }
}

#[test]
fn a_source_that_fails_in_the_middle_leaves_nothing() {
    let source = Broken { size: 64 * MIB, bad: 30 * MIB..30 * MIB + 512 };
    for format in [Format::Raw, Format::Qed] {
        for in_order in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let target = directory.path().join("target");
            let mut options = ConvertOptions::default();
            options.in_order = in_order;
            let disks = ConvertSource::Disks(vec![&source]);
            let new = ConvertTarget::New(&target, create_options(format));
            let error = copy(disks, new, &options).unwrap_err();
            assert_eq!((error.errno(), error.offset()), (libc::EIO, Some(30 * MIB)));
            assert_eq!(names(directory.path()), [""; 0]);
        }
    }
}

#[test]
fn salvage_turns_what_cannot_be_read_into_zeroes() {
    let source = Broken { size: 4 * MIB, bad: MIB + 5000..MIB + 5001 };
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("target");
    let mut options = ConvertOptions::default();
    options.salvage = true;
    let disks = ConvertSource::Disks(vec![&source]);
    let new = ConvertTarget::New(&target, create_options(Format::Raw));
    assert_eq!(copy(disks, new, &options).unwrap(), 4096);
    let bytes = content(&open(&target, Format::Raw, true));
    let lost: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at] == 0).collect();
    let first = usize::try_from(MIB).unwrap() + 4096;
    assert_eq!(lost, (first..first + 4096).collect::<Vec<_>>());
}

#[test]
fn a_target_that_fails_stops_the_copy_with_its_own_error() {
    // Goal: the first error is the one that is told, whatever follows from it. Method: a storage
    // that fails one write of data, or the last sync.
    let source = Broken { size: 32 * MIB, bad: 0..0 };
    for (kind, nth, errno, expected) in [
        (CallKind::Write, 5, libc::ENOSPC, ErrorKind::NoSpace),
        (CallKind::Write, 9, libc::EIO, ErrorKind::Io),
        (CallKind::Sync, 1, libc::EIO, ErrorKind::Io),
    ] {
        let memory = MemoryStorage::from_bytes(&[]);
        let geometry = qed_core::format::Geometry::new(65536, 4).unwrap();
        format_storage(&memory, &CreateSpec::new(geometry, 32 * MIB).unwrap()).unwrap();
        let storage = Arc::new(Fault::new(Arc::new(memory)));
        let settings = ImageSettings { background: false, ..ImageSettings::default() };
        let image = Image::from_storage(storage.clone(), None, settings).unwrap();
        storage.fail(Trigger::on(kind).nth(nth), errno);
        let (target, disks) = (Fragile(image), ConvertSource::Disks(vec![&source]));
        let error =
            copy(disks, ConvertTarget::Disk(&target), &ConvertOptions::default()).unwrap_err();
        assert_eq!(error.kind(), expected, "{error}");
    }
}

#[test]
fn a_cancelled_copy_leaves_nothing_and_keeps_what_was_there() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("target");
    std::fs::write(&target, "precious").unwrap();
    let source = Broken { size: 256 * MIB, bad: 0..0 };
    let calls = AtomicU64::new(0);
    let mut new = create_options(Format::Qed);
    new.overwrite = true;
    let stopped = convert(
        ConvertSource::Disks(vec![&source]),
        ConvertTarget::New(&target, new),
        &ConvertOptions::default(),
        &mut |_, total| {
            assert_eq!(total, 256 * MIB);
            let last = calls.fetch_add(1, Ordering::Relaxed) == 1;
            if last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    );
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    assert_eq!(names(directory.path()), ["target"]);
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");
}

#[test]
fn a_target_that_is_too_small_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("target");
    std::fs::write(&path, pattern(1, MIB)).unwrap();
    let source = Broken { size: 2 * MIB, bad: 0..0 };
    let target = open(&path, Format::Raw, false);
    let disks = ConvertSource::Disks(vec![&source]);
    let error = copy(disks, ConvertTarget::Disk(&target), &ConvertOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(content(&target) == pattern(1, MIB));
}

#[test]
fn progress_grows_to_the_total_on_the_calling_thread() {
    let directory = tempfile::tempdir().unwrap();
    let (source, target) = (directory.path().join("source"), directory.path().join("target"));
    random_disk(&source, Format::Qed, 40 * MIB, &mut Dice::new(7));
    let disk = open(&source, Format::Qed, true);
    let (mut last, caller) = (0, std::thread::current().id());
    convert(
        ConvertSource::Disks(vec![&disk]),
        ConvertTarget::New(&target, create_options(Format::Raw)),
        &ConvertOptions::default(),
        &mut |done, total| {
            assert!(last <= done && done <= total && total == 40 * MIB);
            assert_eq!(std::thread::current().id(), caller);
            last = done;
            ControlFlow::Continue(())
        },
    )
    .unwrap();
    assert_eq!(last, 40 * MIB);
}
