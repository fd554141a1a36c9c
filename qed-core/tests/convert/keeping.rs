//! Goal: over a backing file that is a layer of the source, a copy reads as the source and holds
//! only what the layers above hold. Method: chains made by hand and at random, the copy's own
//! extents, its content, and the places of its data in the file.

use crate::dice::Dice;
use crate::disks::{KIB, MIB, content, copy, create_options, open, pattern, random_options};
use qed_core::{
    BackingPolicy, BackingSource, ConvertOptions, ConvertSource, ConvertTarget, CreateOptions,
    Disk, ExtentKind, Flags, Format, OpenOptions, create,
};
use std::fs::File;
use std::path::Path;

const CLUSTER: u64 = 64 * KIB;

fn over(name: &str, format: Format, size: u64) -> CreateOptions {
    let mut options = create_options(Format::Qed);
    (options.size, options.backing) = (Some(size), Some(name.into()));
    options.backing_format = Some(format);
    options
}

/// Copies `top` of `directory` to "new" there.
fn keep(directory: &Path, top: &str, create: CreateOptions, how: &ConvertOptions) -> Disk {
    let source = open(&directory.join(top), Format::Qed, true);
    let (path, format) = (directory.join("new"), create.format);
    copy(ConvertSource::Disks(vec![&source]), ConvertTarget::New(&path, create), how).unwrap();
    let new = open(&path, format, true);
    assert!(content(&new) == content(&source), "the copy reads otherwise");
    new
}

/// A letter for each cluster of the disk's own file.
fn letters(disk: &Disk) -> String {
    let extents = disk.extents(0, disk.size()).unwrap().map(Result::unwrap);
    let letter = |kind| match kind {
        ExtentKind::Data { .. } => "d",
        ExtentKind::Zero { .. } => "z",
        ExtentKind::Unallocated => ".",
    };
    let run = |extent: qed_core::Extent| {
        letter(extent.kind).repeat(usize::try_from(extent.length / CLUSTER).unwrap())
    };
    extents.map(run).collect()
}

/// base.raw of 8 clusters <- mid (16 clusters) <- top (16 clusters).
fn chain(directory: &Path) {
    std::fs::write(directory.join("base.raw"), pattern(1, 8 * CLUSTER)).unwrap();
    create(directory.join("mid"), &over("base.raw", Format::Raw, 16 * CLUSTER)).unwrap();
    create(directory.join("top"), &over("mid", Format::Qed, 16 * CLUSTER)).unwrap();
    let write = |name: &str, seed, cluster| {
        let disk = open(&directory.join(name), Format::Qed, false);
        let bytes = pattern(seed, CLUSTER);
        disk.pwrite(&bytes, cluster * CLUSTER, Flags::NONE).unwrap();
        disk.close().unwrap();
    };
    write("mid", 2, 1);
    write("mid", 3, 11);
    write("top", 4, 2);
    let top = open(&directory.join("top"), Format::Qed, false);
    top.write_zeroes(3 * CLUSTER, CLUSTER, Flags::NONE).unwrap();
    top.close().unwrap();
}

#[test]
fn only_what_lies_above_the_backing_file_is_copied() {
    // Goal: data above is copied, zeroes that hide are zero clusters, the rest is unallocated.
    // Method: the same chain over each of its layers, and over a file that is no layer of it.
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    chain(at);
    std::fs::copy(at.join("base.raw"), at.join("other.raw")).unwrap();
    let how = ConvertOptions::default();
    for (name, format, expected) in [
        ("base.raw", Format::Raw, ".ddz.......d...."),
        ("mid", Format::Qed, "..dz............"),
        ("top", Format::Qed, "................"),
        ("other.raw", Format::Raw, "dddzddddzzzdzzzz"),
    ] {
        let mut options = over(name, format, 16 * CLUSTER);
        options.overwrite = true;
        assert_eq!(letters(&keep(at, "top", options, &how)), expected, "over {name}");
    }
}

#[test]
fn a_layer_is_known_by_what_it_is_and_not_by_its_path() {
    // Goal: a layer given by descriptor, or opened by another name, is a layer. Method: the chain's
    // files as descriptors; the backing file's name leads to a hard link.
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    chain(at);
    std::fs::hard_link(at.join("base.raw"), at.join("linked")).unwrap();
    let given = |name: &str| BackingSource::file(File::open(at.join(name)).unwrap());
    let mut options = OpenOptions::default();
    options.image.read_only = true;
    options.backing = BackingPolicy::Chain(vec![given("mid"), given("base.raw")]);
    let source = Disk::open_file(File::open(at.join("top")).unwrap(), &options).unwrap();
    let layers = [
        ("linked", Format::Raw, ".ddz.......d...."),
        ("mid", Format::Qed, "..dz............"),
        ("top", Format::Qed, "................"),
    ];
    for (name, format, expected) in layers {
        let (path, mut create) = (at.join("new"), over(name, format, 16 * CLUSTER));
        create.overwrite = true;
        let target = ConvertTarget::New(&path, create);
        copy(ConvertSource::Disks(vec![&source]), target, &ConvertOptions::default()).unwrap();
        let new = open(&path, Format::Qed, true);
        assert!(content(&new) == content(&source), "the copy reads otherwise");
        assert_eq!(letters(&new), expected, "over {name}");
    }
}

#[test]
fn the_layer_read_in_another_format_is_another_file() {
    // Goal: a backing file is the source's layer only as the source reads it. Method: a QED layer
    // named as the raw backing file, so that all of the copy hides it.
    let directory = tempfile::tempdir().unwrap();
    chain(directory.path());
    let options = over("mid", Format::Raw, 16 * CLUSTER);
    let new = keep(directory.path(), "top", options, &ConvertOptions::default());
    assert_eq!(letters(&new), "dddzddddzzzdzzzz");
}

#[test]
fn a_short_layer_hides_the_end_of_the_backing_file() {
    // Goal: what a short layer cuts off does not come back. Method: a middle layer of half the
    // size of the base.
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    std::fs::write(at.join("base.raw"), pattern(1, 8 * CLUSTER)).unwrap();
    create(at.join("mid"), &over("base.raw", Format::Raw, 4 * CLUSTER)).unwrap();
    create(at.join("top"), &over("mid", Format::Qed, 8 * CLUSTER)).unwrap();
    let options = over("base.raw", Format::Raw, 8 * CLUSTER);
    let new = keep(at, "top", options, &ConvertOptions::default());
    assert_eq!(letters(&new), "....zzzz");
}

#[test]
fn random_chains_read_alike_whatever_the_clusters() {
    // Goal: clusters of other sizes than the source's are copied whole. Method: random writes to
    // two layers over a base of any size; copies over the base with clusters of any size.
    for seed in 0..16 {
        let dice = &mut Dice::new(seed);
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        let size = dice.below(3 * MIB / 512) * 512 + 512;
        std::fs::write(at.join("base.raw"), pattern(seed, dice.below(3 * MIB) + 1)).unwrap();
        for (name, below, format) in [("mid", "base.raw", Format::Raw), ("top", "mid", Format::Qed)]
        {
            let mut options = over(below, format, size.max(dice.below(3 * MIB)));
            options.cluster_size = Some(dice.pick(&[4 * KIB, 64 * KIB, MIB]));
            create(at.join(name), &options).unwrap();
            let disk = open(&at.join(name), Format::Qed, false);
            for write in 0..dice.below(6) {
                let length = dice.pick(&[1, 500, 4 * KIB, 70_000]).min(disk.size());
                let offset = dice.below(disk.size() - length + 1);
                if dice.one_in(3) {
                    disk.write_zeroes(offset, length, Flags::NONE).unwrap();
                } else {
                    disk.pwrite(&pattern(write + 50, length), offset, Flags::NONE).unwrap();
                }
            }
            disk.close().unwrap();
        }
        let mut options = over("base.raw", Format::Raw, 0);
        options.size = None;
        options.format = dice.pick(&[Format::Qed, Format::Qcow2]);
        options.cluster_size = dice.pick(&[None, Some(4 * KIB), Some(MIB)]);
        keep(at, "top", options, &random_options(dice));
    }
}

#[test]
fn eight_workers_leave_the_data_in_guest_order() {
    // Goal: a copy's data lie in guest order in its file. Method: a source whose clusters were
    // written in a shuffled order, copied by eight workers; the places of the copy's data rise.
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let mut options = create_options(Format::Qed);
    options.size = Some(24 * MIB);
    create(at.join("top"), &options).unwrap();
    let disk = open(&at.join("top"), Format::Qed, false);
    let clusters = 24 * MIB / CLUSTER;
    for step in 0..clusters {
        let cluster = step * 173 % clusters;
        disk.pwrite(&pattern(cluster, CLUSTER), cluster * CLUSTER, Flags::NONE).unwrap();
    }
    disk.close().unwrap();
    let falls = |disk: &Disk| {
        let places =
            disk.extents(0, disk.size()).unwrap().map(|extent| match extent.unwrap().kind {
                ExtentKind::Data { file_offset: Some(place) } => place,
                other => panic!("{other:?}"),
            });
        places.collect::<Vec<_>>().windows(2).filter(|pair| pair[1] < pair[0]).count()
    };
    assert!(falls(&open(&at.join("top"), Format::Qed, true)) > 10);
    let mut how = ConvertOptions::default();
    how.workers = 8;
    let new = keep(at, "top", options, &how);
    assert_eq!(falls(&new), 0);
    assert_eq!(new.extents(0, new.size()).unwrap().count(), 1, "the data are one run");
}
