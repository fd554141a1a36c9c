//! Defects that QEMU's tools show on real files. What libqed does is asserted; what QEMU does
//! beside it is printed only: a QEMU that is mended must not fail us.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use qed_core::format::{Geometry, Header};
use qed_core::{
    CreateOptions, ErrorKind, ExtentKind, Flags, Image, OpenOptions, check, create, open,
};
use tempfile::TempDir;

use crate::qemu::{self, has_tools, text};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A folder of a test's own.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn sizes(cluster_size: u64, table_size: u64, size: u64) -> CreateOptions {
    let mut options = CreateOptions::default();
    options.cluster_size = Some(cluster_size);
    options.table_size = Some(table_size);
    options.size = Some(size);
    options
}

fn writable(path: &Path) -> Image {
    open(path, &OpenOptions::default()).unwrap()
}

fn read(image: &Image, offset: u64, length: u64) -> Vec<u8> {
    let mut found = vec![0xee; length as usize];
    image.pread(&mut found, offset).unwrap();
    found
}

/// Prints what QEMU says of the same.
fn beside(defect: &str, tool: &str, arguments: &[&str]) {
    if has_tools(&[tool]) {
        println!("{defect}: {tool} {arguments:?}: {}", qemu::outcome(&qemu::run(tool, arguments)));
    }
}

#[test]
fn d01_tables_of_one_cluster_are_created_and_opened() {
    let folder = Folder::new();
    let (ours, theirs) = (folder.file("ours.qed"), folder.file("theirs.qed"));
    create(&ours, &sizes(64 * KIB, 1, GIB)).unwrap();
    let image = writable(&ours);
    image.pwrite(&[7; 4096], GIB - 4096, Flags::NONE).unwrap();
    image.close().unwrap();
    assert_eq!(read(&writable(&ours), GIB - 4096, 4096), [7; 4096]);
    beside("D1", "qemu-img", &["info", "-f", "qed", text(&ours)]);
    if has_tools(&["qemu-img"]) {
        qemu::create(&theirs, 64 * KIB, 1, "1G", &[]);
        assert_eq!(writable(&theirs).size(), GIB);
    }
}

#[test]
fn d02_the_largest_image_of_large_clusters_does_not_wrap() {
    // 4 MiB clusters, tables of 4: T^2 * C^3 / 64 is 2^64.
    let geometry = Geometry::new(4 * MIB, 4).unwrap();
    assert_eq!(geometry.max_image_size(), (1 << 63) - 512);
    let folder = Folder::new();
    let path = folder.file("large.qed");
    create(&path, &sizes(4 * MIB, 4, GIB)).unwrap();
    let image = writable(&path);
    image.pwrite(&[9; 512], GIB / 2, Flags::NONE).unwrap();
    assert_eq!(read(&image, GIB / 2, 512), [9; 512]);
    beside(
        "D2",
        "qemu-img",
        &["create", "-f", "qed", "-o", "cluster_size=4M,table_size=4", "/dev/null", "1G"],
    );
}

#[test]
fn d03_a_request_of_a_whole_table_and_a_long_file_are_counted_right() {
    // QEMU divides by C - 1: it links a cluster too many, and calls clusters leaks that are none.
    let folder = Folder::new();
    let path = folder.file("counted.qed");
    create(&path, &sizes(4 * KIB, 16, 64 * MIB)).unwrap();
    let image = writable(&path);
    let last = 16 * MIB - 4 * KIB;
    image.pwrite(&[0xaa; 4096], last, Flags::NONE).unwrap();
    image.pwrite(&vec![0xbb; last as usize], 0, Flags::NONE).unwrap();
    assert_eq!(read(&image, last, 4096), [0xaa; 4096]);
    assert!(read(&image, 0, last).iter().all(|byte| *byte == 0xbb));
    image.close().unwrap();
    let report = check(&path, &OpenOptions::default()).unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.allocated_clusters, report.leaks), (4096, 0), "{report:?}");
    beside("D3", "qemu-img", &["check", "-f", "qed", text(&path)]);
}

#[test]
fn d04_a_part_of_a_zero_cluster_is_filled_with_zeroes() {
    // QEMU fills the rest from the backing file.
    let folder = Folder::new();
    let (base, path) = (folder.file("base.raw"), folder.file("top.qed"));
    std::fs::write(&base, vec![1; MIB as usize]).unwrap();
    let mut options = sizes(64 * KIB, 4, MIB);
    options.backing = Some("base.raw".into());
    options.backing_format = Some(qed_core::Format::Raw);
    create(&path, &options).unwrap();
    let image = writable(&path);
    image.write_zeroes(0, 64 * KIB, Flags::NONE).unwrap();
    image.pwrite(&[2; 4096], 4096, Flags::NONE).unwrap();
    assert_eq!(read(&image, 0, 4096), [0; 4096]);
    assert_eq!(read(&image, 4096, 4096), [2; 4096]);
    assert_eq!(read(&image, 8192, 56 * KIB), vec![0; 56 << 10]);
    assert_eq!(read(&image, 64 * KIB, 4096), [1; 4096]);
    image.close().unwrap();
    if has_tools(&["qemu-io"]) {
        let commands = ["read -P 0 0 4k", "read -P 2 4k 4k", "read -P 0 8k 56k"].map(String::from);
        qemu::io_succeeds(&["-f", "qed", text(&path)], &commands);
    }
}

#[test]
fn d10_a_backing_name_that_does_not_fit_is_refused() {
    // QEMU lets the L1 table overwrite it.
    let folder = Folder::new();
    std::fs::write(folder.file("base.raw"), [0; 512]).unwrap();
    let path = folder.file("top.qed");
    let mut options = sizes(4 * KIB, 1, MIB);
    let name = format!("{}base.raw", "./".repeat((4033 - 8) / 2));
    assert_eq!(name.len(), 4032);
    options.backing_format = Some(qed_core::Format::Raw);
    options.backing = Some(format!("{name}x").into());
    let error = create(&path, &options).expect_err("4033 bytes do not fit in 4096 - 64");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    assert_eq!(std::fs::read_dir(folder.0.path()).unwrap().count(), 1, "something is left behind");
}

#[test]
fn d12_an_extent_may_be_longer_than_32_bits_say() {
    // A table that maps 8 GiB of a sparse file in one run.
    let folder = Folder::new();
    let path = folder.file("run.qed");
    create(&path, &sizes(MIB, 8, 16 * GIB)).unwrap();
    let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut bytes = [0; 64];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let header = Header::decode(&bytes).unwrap();
    let table = header.l1_table_offset.get() + header.geometry.table_bytes();
    let data = table + header.geometry.table_bytes();
    let entries: Vec<u8> =
        (0..8 * KIB).flat_map(|cluster| (data + cluster * MIB).to_le_bytes()).collect();
    file.set_len(data + 8 * GIB).unwrap();
    file.write_all_at(&entries, table).unwrap();
    file.write_all_at(&table.to_le_bytes(), header.l1_table_offset.get()).unwrap();
    drop(file);
    let image = writable(&path);
    let extents: Vec<_> =
        image.extents(0, image.size()).unwrap().collect::<qed_core::Result<_>>().unwrap();
    assert_eq!(extents.len(), 2, "{extents:?}");
    assert_eq!(extents[0].length, 8 * GIB);
    assert_eq!(extents[0].kind, ExtentKind::Data { file_offset: Some(data) });
    drop(image);
    beside("D12", "qemu-img", &["map", "-f", "qed", text(&path)]);
}

#[test]
fn d14_a_chain_that_names_itself_is_refused() {
    // QEMU opens it without end. Not run beside: it would take the machine's memory.
    let folder = Folder::new();
    let (a, b) = (folder.file("a.qed"), folder.file("b.qed"));
    create(&b, &sizes(64 * KIB, 4, MIB)).unwrap();
    let mut options = sizes(64 * KIB, 4, MIB);
    options.backing = Some("b.qed".into());
    create(&a, &options).unwrap();
    options.backing = Some("a.qed".into());
    options.overwrite = true;
    create(&b, &options).unwrap();
    let error = open(&a, &OpenOptions::default()).expect_err("a cycle");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("a.qed"), "{error}");
}

#[test]
fn d15_a_backing_name_opens_nothing_outside_and_has_no_prefix() {
    // QEMU opens /etc/passwd, and whatever json: describes.
    let names = ["/etc/passwd", "../../../../../../etc/passwd", "json:{\"driver\":\"null-co\"}"];
    for name in names {
        let folder = Folder::new();
        let (path, stand_in) = (folder.file("top.qed"), folder.file("base.raw"));
        std::fs::write(stand_in, [0; 512]).unwrap();
        let mut options = sizes(64 * KIB, 4, MIB);
        options.backing = Some("base.raw".into());
        options.backing_format = Some(qed_core::Format::Raw);
        create(&path, &options).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(name.as_bytes(), 64).unwrap();
        file.write_all_at(&(name.len() as u32).to_le_bytes(), 60).unwrap();
        let error = open(&path, &OpenOptions::default()).expect_err(name);
        let expected =
            if name.starts_with("json") { ErrorKind::NotFound } else { ErrorKind::Refused };
        assert_eq!(error.kind(), expected, "{error}");
    }
}
