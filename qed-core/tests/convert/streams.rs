//! Goal: disks pass through pipes unchanged, raw or as images. Method: real pipes between threads.

use crate::dice::Dice;
use crate::disks::{
    KIB, MIB, content, copy, create_options, names, open, pattern, random_disk, random_options,
};
use crate::qemu;
use qed_core::{
    CheckReport, ConvertOptions, ConvertSource, ConvertTarget, ErrorKind, Flags, Format,
    OpenOptions, Result, check, convert,
};
use std::fs::File;
use std::io::{Read, Write, pipe};
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::thread;

/// Runs `work` with the writing end of a pipe; what came out at the other end.
fn through(work: impl FnOnce(File) -> Result<u64>) -> Vec<u8> {
    let (mut reader, writer) = pipe().unwrap();
    thread::scope(|scope| {
        let read = scope.spawn(move || {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            bytes
        });
        work(File::from(OwnedFd::from(writer))).unwrap();
        read.join().unwrap()
    })
}

/// Runs `work` with the reading end of a pipe that `bytes` come out of, in small pieces.
fn fed<T>(bytes: &[u8], work: impl FnOnce(File) -> T) -> T {
    let (reader, mut writer) = pipe().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            // Who reads may stop early.
            let _ = bytes.chunks(50_000).try_for_each(|part| writer.write_all(part));
        });
        work(File::from(OwnedFd::from(reader)))
    })
}

fn sound(path: &std::path::Path) -> CheckReport {
    let report = check(path, &OpenOptions::default()).unwrap();
    assert!(report.is_clean() && report.leaks == 0, "{report:?}");
    report
}

#[test]
fn images_written_to_a_pipe_are_plain_and_sound() {
    for seed in 0..12 {
        let mut dice = Dice::new(seed);
        let directory = tempfile::tempdir().unwrap();
        let (source, target) = (directory.path().join("source"), directory.path().join("target"));
        let from = dice.pick(&[Format::Raw, Format::Qed, Format::Qcow2]);
        random_disk(&source, from, dice.pick(&[512, 3 * MIB + 512, 80 * MIB]), &mut dice);
        let mut image = create_options(Format::Qed);
        image.cluster_size = Some(dice.pick(&[4 * KIB, 64 * KIB, 2 * MIB]));
        image.table_size = Some(dice.pick(&[2, 4]));
        let (options, disk) = (random_options(&mut dice), open(&source, from, true));
        println!("seed {seed}: {from:?}, {options:?}, {image:?}");
        let bytes = through(|writer| {
            let target = ConvertTarget::Stream(writer, image);
            copy(ConvertSource::Disks(vec![&disk]), target, &options)
        });
        std::fs::write(&target, bytes).unwrap();
        let report = sound(&target);
        assert!(report.fragmented_clusters <= 1 + report.allocated_clusters / 1024, "{report:?}");
        let info = open(&target, Format::Qed, true).info().unwrap().qed.unwrap();
        assert_eq!((info.features, info.compat_features, info.autoclear_features), (0, 0, 0));
        if qemu::has_tools(&["qemu-img"]) {
            let (a, b) = (qemu::text(&source), qemu::text(&target));
            qemu::succeed("qemu-img", &["compare", "-f", from.name(), "-F", "qed", a, b]);
            assert_eq!(qemu::check(&target).corruptions, 0);
        }
    }
}

#[test]
fn raw_streams_go_out_and_come_back() {
    for seed in 0..14 {
        let mut dice = Dice::new(seed);
        let directory = tempfile::tempdir().unwrap();
        let (source, target) = (directory.path().join("source"), directory.path().join("target"));
        random_disk(&source, Format::Qed, dice.pick(&[512, 5 * MIB, 33 * MIB]), &mut dice);
        let (options, disk) = (random_options(&mut dice), open(&source, Format::Qed, true));
        let bytes = through(|writer| {
            let target = ConvertTarget::Stream(writer, create_options(Format::Raw));
            copy(ConvertSource::Disks(vec![&disk]), target, &options)
        });
        assert!(bytes == content(&disk), "seed {seed}");
        let (to, mut back) = (dice.pick(&[Format::Raw, Format::Qed, Format::Qcow2]), options);
        back.length = dice.one_in(2).then_some(disk.size());
        fed(&bytes, |reader| {
            let new = ConvertTarget::New(&target, create_options(to));
            copy(ConvertSource::Stream(reader), new, &back).unwrap();
        });
        let returned = open(&target, to, true);
        assert!(returned.size() == disk.size() && content(&returned) == bytes, "seed {seed}");
        if to == Format::Qed {
            sound(&target);
        }
    }
}

#[test]
fn a_stream_of_unknown_length_makes_an_image_that_goes_on_working() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("target");
    let bytes = pattern(3, 5 * MIB + 700);
    fed(&bytes, |reader| {
        let new = ConvertTarget::New(&target, create_options(Format::Qed));
        copy(ConvertSource::Stream(reader), new, &ConvertOptions::default()).unwrap();
    });
    let disk = open(&target, Format::Qed, false);
    assert_eq!(disk.size(), 5 * MIB + 1024);
    assert!(content(&disk).starts_with(&bytes));
    disk.pwrite(&pattern(4, MIB), 2 * MIB, Flags::FUA).unwrap();
    disk.close().unwrap();
    sound(&target);
    if qemu::has_tools(&["qemu-img"]) {
        assert_eq!(qemu::check(&target).corruptions, 0);
    }
}

#[test]
fn a_dense_stream_becomes_an_image_in_a_stream() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("target");
    let bytes = pattern(3, 3 * MIB + 512);
    let mut options = ConvertOptions::default();
    options.length = Some(bytes.len() as u64);
    let image = fed(&bytes, |reader| {
        through(|writer| {
            let target = ConvertTarget::Stream(writer, create_options(Format::Qed));
            copy(ConvertSource::Stream(reader), target, &options)
        })
    });
    std::fs::write(&target, image).unwrap();
    assert_eq!(sound(&target).allocated_clusters, 49);
    assert!(content(&open(&target, Format::Qed, true)) == bytes);
}

#[test]
fn a_stream_that_ends_early_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("target");
    let mut options = ConvertOptions::default();
    options.length = Some(2 * MIB);
    for format in [Format::Raw, Format::Qed] {
        let error = fed(&pattern(1, MIB), |reader| {
            let new = ConvertTarget::New(&target, create_options(format));
            copy(ConvertSource::Stream(reader), new, &options).unwrap_err()
        });
        assert!(error.to_string().contains("1048576 of 2097152"), "{error}");
        assert_eq!(names(directory.path()), [""; 0]);
    }
}

#[test]
fn a_reader_that_is_gone_is_an_error_and_no_signal() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    random_disk(&source, Format::Qed, 8 * MIB, &mut Dice::new(1));
    let disk = open(&source, Format::Qed, true);
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let writer = File::from(OwnedFd::from(writer));
    let target = ConvertTarget::Stream(writer, create_options(Format::Raw));
    let disks = ConvertSource::Disks(vec![&disk]);
    let error = copy(disks, target, &ConvertOptions::default()).unwrap_err();
    assert_eq!(error.errno(), libc::EPIPE);
}

#[test]
fn a_full_device_is_no_space() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    random_disk(&source, Format::Raw, 8 * MIB, &mut Dice::new(1));
    let disk = open(&source, Format::Raw, true);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let target = ConvertTarget::Stream(full, create_options(Format::Qed));
    let disks = ConvertSource::Disks(vec![&disk]);
    let error = copy(disks, target, &ConvertOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
}

#[test]
fn silent_partners_do_not_keep_a_copy_from_being_cancelled() {
    // Goal: neither a writer that says nothing nor a reader that takes nothing is waited for.
    // Method: both ends of each pipe stay open and still.
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    random_disk(&source, Format::Raw, 8 * MIB, &mut Dice::new(1));
    let disk = open(&source, Format::Raw, true);
    let (reader, writer) = pipe().unwrap();
    let cancel = &mut |_, _| ControlFlow::Break(());
    let options = ConvertOptions::default();

    let out = File::from(OwnedFd::from(writer.try_clone().unwrap()));
    let target = ConvertTarget::Stream(out, create_options(Format::Raw));
    let stopped = convert(ConvertSource::Disks(vec![&disk]), target, &options, cancel);
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);

    let (still, _open) = pipe().unwrap();
    let into = directory.path().join("target");
    let input = ConvertSource::Stream(File::from(OwnedFd::from(still)));
    let target = ConvertTarget::New(&into, create_options(Format::Qed));
    let stopped = convert(input, target, &options, cancel);
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(names(directory.path()), ["source"]);
    drop((reader, writer));
}
