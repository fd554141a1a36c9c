//! Goal: every direction, every option: the copy reads as the source. Method: random disks, judged
//! by QEMU's tools.

use crate::dice::Dice;
use crate::disks::{
    KIB, MIB, content, copy, create_options, names, open, pattern, random_disk, random_options,
};
use crate::qemu;
use qed_core::{ConvertSource, ConvertTarget, Flags, Format, check, create};
use std::path::Path;

const FORMATS: [Format; 3] = [Format::Raw, Format::Qed, Format::Qcow2];

/// QEMU finds the two disks identical, and an image sound and without leaks.
fn judge(source: (&Path, Format), target: (&Path, Format)) {
    let [a, b] = [source, target].map(|(path, format)| (qemu::text(path), format.name()));
    qemu::succeed("qemu-img", &["compare", "-f", a.1, "-F", b.1, a.0, b.0]);
    if target.1 == Format::Qed {
        assert_eq!(qemu::check(target.0).corruptions, 0);
    }
    if target.1 == Format::Qcow2 {
        qemu::succeed("qemu-img", &["check", "-f", "qcow2", b.0]);
    }
    if target.1 == Format::Qed {
        let report = check(target.0, &qed_core::OpenOptions::default()).unwrap();
        assert!(report.is_clean() && report.leaks == 0, "{report:?}");
    }
}

#[test]
fn copies_read_as_their_sources_in_every_direction() {
    if !qemu::has_tools(&["qemu-img"]) {
        return;
    }
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let directory = tempfile::tempdir().unwrap();
        let (source, target) = (directory.path().join("source"), directory.path().join("target"));
        let (from, to) = (dice.pick(&FORMATS), dice.pick(&FORMATS));
        let size = dice.pick(&[512, 8 * MIB, 3 * MIB + 1000, 64 * MIB]);
        random_disk(&source, from, size, &mut dice);
        let options = random_options(&mut dice);
        println!("seed {seed}: {from:?} to {to:?}, {options:?}");

        let mut new = create_options(to);
        if to != Format::Raw {
            new.cluster_size = Some(dice.pick(&[4 * KIB, 64 * KIB, 2 * MIB]));
        }
        let disk = open(&source, from, true);
        let disks = || ConvertSource::Disks(vec![&disk]);
        copy(disks(), ConvertTarget::New(&target, new), &options).unwrap();
        assert_eq!(names(directory.path()), ["source", "target"]);
        judge((&source, from), (&target, to));

        // And once more, over what is there.
        let there = open(&target, to, false);
        let noise = pattern(99, there.size().min(2 * MIB));
        there.pwrite(&noise, there.size() - noise.len() as u64, Flags::NONE).unwrap();
        copy(disks(), ConvertTarget::Disk(&there), &options).unwrap();
        let (copied, wanted) = (content(&there), content(&disk));
        assert!(copied.starts_with(&wanted), "seed {seed}");
        there.close().unwrap();
    }
}

#[test]
fn an_overlay_holds_every_byte_of_the_source() {
    // Goal: what the backing file holds shows through nowhere. Method: a backing file of noise,
    // large and small clusters.
    let sizes = [(1, 4 * KIB), (2, 64 * KIB), (3, 2 * MIB)];
    for ((seed, cluster_size), to) in
        sizes.into_iter().flat_map(|size| [(size, Format::Qed), (size, Format::Qcow2)])
    {
        let mut dice = Dice::new(seed);
        let directory = tempfile::tempdir().unwrap();
        let (source, target) = (directory.path().join("source"), directory.path().join("target"));
        std::fs::write(directory.path().join("base"), pattern(5, 9 * MIB)).unwrap();
        random_disk(&source, Format::Raw, 8 * MIB, &mut dice);
        let mut new = create_options(to);
        (new.backing, new.backing_format) = (Some("base".into()), Some(Format::Raw));
        new.cluster_size = Some(cluster_size);
        let disk = open(&source, Format::Raw, true);
        let options = random_options(&mut dice);
        let disks = ConvertSource::Disks(vec![&disk]);
        copy(disks, ConvertTarget::New(&target, new), &options).unwrap();
        assert!(content(&open(&target, to, true)) == content(&disk), "seed {seed} {to:?}");
    }
}

#[test]
fn a_disk_of_no_bytes_is_copied() {
    for (from, to) in FORMATS.into_iter().zip(FORMATS.into_iter().cycle().skip(1)) {
        let directory = tempfile::tempdir().unwrap();
        let (source, target) = (directory.path().join("source"), directory.path().join("target"));
        let mut empty = create_options(from);
        empty.size = Some(0);
        create(&source, &empty).unwrap();
        let disk = open(&source, from, true);
        let new = ConvertTarget::New(&target, create_options(to));
        copy(ConvertSource::Disks(vec![&disk]), new, &Default::default()).unwrap();
        assert_eq!(open(&target, to, true).size(), 0);
    }
}

#[test]
fn zeroes_and_holes_take_no_space() {
    // Goal: only data costs space. Method: a terabyte of nothing with one byte of data in it, and a
    // disk full of written zeroes.
    let directory = tempfile::tempdir().unwrap();
    let (source, target) = (directory.path().join("source"), directory.path().join("target"));
    let mut large = create_options(Format::Qed);
    large.size = Some(1 << 40);
    create(&source, &large).unwrap();
    let disk = open(&source, Format::Qed, false);
    disk.pwrite(&[1], 700 << 30, Flags::NONE).unwrap();
    disk.pwrite(&vec![0; 8 << 20], 300 << 30, Flags::NONE).unwrap();
    let new = ConvertTarget::New(&target, create_options(Format::Qed));
    copy(ConvertSource::Disks(vec![&disk]), new, &Default::default()).unwrap();
    let report = check(&target, &qed_core::OpenOptions::default()).unwrap();
    assert_eq!(report.allocated_clusters, 1);
}
