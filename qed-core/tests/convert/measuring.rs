//! What is measured is what a copy takes.

use crate::disks::{KIB, MIB, content, copy, create_options, open, pattern};
use crate::qemu::{has_tools, succeed, text};
use qed_core::{
    ConvertOptions, ConvertSource, ConvertTarget, Disk, Flags, Format, MeasureOptions, create,
    measure, measure_size,
};
use std::fs;
use std::path::Path;

const SIZES: [(Option<u64>, Option<u64>); 4] =
    [(None, None), (Some(4 * KIB), Some(1)), (Some(MIB), Some(2)), (Some(16 * KIB), Some(16))];

/// A chain of two disks whose data fills clusters of 64 KiB; the lower one is longer.
fn chain(directory: &Path) -> Disk {
    let mut options = create_options(Format::Qed);
    options.size = Some(40 * MIB);
    create(directory.join("base.qed"), &options).unwrap();
    options.size = Some(33 * MIB + 512);
    options.backing = Some("base.qed".into());
    options.backing_format = Some(Format::Qed);
    create(directory.join("over.qed"), &options).unwrap();
    let writes: [(&str, &[u64]); 2] =
        [("base.qed", &[0, 64, 2048, 9 * KIB, 39 * KIB]), ("over.qed", &[64, 3072, 32 * KIB])];
    for (name, places) in writes {
        let disk = open(&directory.join(name), Format::Qed, false);
        for kib in places {
            disk.pwrite(&pattern(*kib, 64 * KIB), kib * KIB, Flags::NONE).unwrap();
        }
        disk.write_zeroes(2 * MIB, 64 * KIB, Flags::NONE).unwrap();
        disk.close().unwrap();
    }
    open(&directory.join("over.qed"), Format::Qed, true)
}

fn shaped(format: Format, sizes: (Option<u64>, Option<u64>)) -> MeasureOptions {
    let mut options = MeasureOptions::default();
    options.format = format;
    (options.cluster_size, options.table_size) = sizes;
    options
}

#[test]
fn a_copy_is_as_long_as_was_measured() {
    // Goal: `required` is the length of the copy's file, `fully_allocated` that of a full one.
    // Method: a chain with data, zeroes and holes, and a disk without a zero, copied to images of
    // several geometries and to a raw file.
    let directory = tempfile::tempdir().unwrap();
    let source = chain(directory.path());
    let full_path = directory.path().join("full.raw");
    fs::write(&full_path, pattern(1, source.size())).unwrap();
    let full = open(&full_path, Format::Raw, true);
    let raw = (Format::Raw, (None, None));
    for (format, sizes) in SIZES.map(|sizes| (Format::Qed, sizes)).into_iter().chain([raw]) {
        let options = shaped(format, sizes);
        let length_of = |disk: &Disk| {
            let target = directory.path().join("copy");
            let mut create = create_options(format);
            (create.cluster_size, create.table_size, create.overwrite) = (sizes.0, sizes.1, true);
            let new = ConvertTarget::New(&target, create);
            copy(ConvertSource::Disks(vec![disk]), new, &ConvertOptions::default()).unwrap();
            let copied = open(&target, format, true);
            assert!(content(&copied) == content(disk));
            copied.close().unwrap();
            fs::metadata(&target).unwrap().len()
        };
        let measured = measure(&source, &options).unwrap();
        assert_eq!(measured.required, length_of(&source), "{options:?}");
        assert_eq!(measured.fully_allocated, length_of(&full), "{options:?}");
        let of_full = measure(&full, &options).unwrap();
        assert_eq!(of_full.required, measured.fully_allocated);
        let of_size = measure_size(source.size(), &options).unwrap();
        assert_eq!(of_size.fully_allocated, measured.fully_allocated);
        let empty = directory.path().join("empty");
        let mut create_empty = create_options(format);
        (create_empty.cluster_size, create_empty.table_size) = sizes;
        (create_empty.size, create_empty.overwrite) = (Some(source.size()), true);
        create(&empty, &create_empty).unwrap();
        assert_eq!(of_size.required, fs::metadata(&empty).unwrap().len());
    }
}

#[test]
fn qcow2_is_measured_as_qemu_measures_it() {
    // Goal: equal to `qemu-img measure -O qcow2`. Method: a chain, and sizes from nothing to more
    // than a table of reference counts holds, in several cluster sizes.
    if !has_tools(&["qemu-img"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let source = chain(directory.path());
    let path = directory.path().join("over.qed");
    let said = |shape: &str, of: &[&str]| {
        let mut words = vec!["measure", "-O", "qcow2", "-o", shape];
        words.extend(of);
        succeed("qemu-img", &words)
    };
    let told = |measured: qed_core::Measured| {
        let (required, full) = (measured.required, measured.fully_allocated);
        format!("required size: {required}\nfully allocated size: {full}\n")
    };
    for cluster_size in [4 * KIB, 64 * KIB, 2 * MIB] {
        let options = shaped(Format::Qcow2, (Some(cluster_size), None));
        let shape = format!("cluster_size={cluster_size}");
        let ours = measure(&source, &options).unwrap();
        assert_eq!(told(ours), said(&shape, &[text(&path)]));
        for size in [0, 1, 513, MIB + 1, 1024 * MIB, 5_000_000_000_001] {
            let ours = measure_size(size, &options).unwrap();
            assert_eq!(told(ours), said(&shape, &["--size", &size.to_string()]), "{size}");
        }
    }
}

#[test]
fn what_could_not_be_created_is_not_measured() {
    let refused = |options: &MeasureOptions, size| measure_size(size, options).unwrap_err().kind();
    let invalid = qed_core::ErrorKind::InvalidArgument;
    let odd = (Some(5000), None);
    for (format, sizes, size) in [
        (Format::Qed, odd, MIB),
        (Format::Qcow2, odd, MIB),
        (Format::Raw, (Some(4 * KIB), None), MIB),
        (Format::Qcow2, (None, Some(4)), MIB),
        (Format::Qed, (Some(4 * KIB), Some(1)), 1 << 50),
        (Format::Qcow2, (None, None), u64::MAX),
        (Format::Raw, (None, None), u64::MAX),
    ] {
        assert_eq!(refused(&shaped(format, sizes), size), invalid, "{format} {sizes:?} {size}");
    }
}
