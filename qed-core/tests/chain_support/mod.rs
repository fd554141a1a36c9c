//! What the tests of opening and creating share: images in temporary directories, and QEMU's tools.
#![allow(dead_code)] // Each test file uses a part.

#[path = "../support/qemu.rs"]
mod tools;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use qed_core::{
    BackingPolicy, CreateOptions, Error, ErrorKind, Flags, Format, Image, OpenOptions, Result,
    create, create_file, open,
};

/// Bytes of most test disks: some clusters of 64 KiB, and a part of one.
pub(crate) const SIZE: u64 = 5 * 65536 + 512;

pub(crate) fn with_policy(backing: BackingPolicy) -> OpenOptions {
    let mut options = OpenOptions::default();
    options.backing = backing;
    options
}

pub(crate) fn read_only() -> OpenOptions {
    let mut options = OpenOptions::default();
    options.image.read_only = true;
    options
}

pub(crate) fn sized(size: u64) -> CreateOptions {
    let mut options = CreateOptions::default();
    options.size = Some(size);
    options
}

pub(crate) fn over(name: impl Into<PathBuf>, format: Format) -> CreateOptions {
    let mut options = sized(SIZE);
    options.backing = Some(name.into());
    options.backing_format = Some(format);
    options
}

/// A raw file of `SIZE` bytes, all `value`.
pub(crate) fn raw(path: &Path, value: u8) {
    fs::write(path, vec![value; usize::try_from(SIZE).unwrap()]).unwrap();
}

/// An image that names `name`, which nobody looks at: not even whether it is the image itself.
pub(crate) fn naming(path: &Path, name: impl Into<PathBuf>, format: Format) {
    let file = File::options().read(true).write(true).create_new(true).open(path).unwrap();
    create_file(&file, &over(name, format)).unwrap();
}

/// A QED base of `SIZE` bytes, all `value`.
pub(crate) fn qed_base(path: &Path, value: u8) {
    create(path, &sized(SIZE)).unwrap();
    let image = open(path, &OpenOptions::default()).unwrap();
    image.pwrite(&vec![value; usize::try_from(SIZE).unwrap()], 0, Flags::NONE).unwrap();
    image.close().unwrap();
}

/// The byte that the whole disk holds.
pub(crate) fn value_of(image: &Image) -> u8 {
    let mut bytes = vec![0; usize::try_from(image.size()).unwrap()];
    image.pread(&mut bytes, 0).unwrap();
    assert!(bytes.iter().all(|byte| *byte == bytes[0]), "the disk is not of one value");
    bytes[0]
}

/// The error of a call that has to fail in one way.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind) -> Error {
    let error = result.expect_err("the call went through");
    assert_eq!(error.kind(), kind, "{error}");
    error
}

pub(crate) fn patch(path: &Path, offset: u64, bytes: &[u8]) {
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(bytes, offset).unwrap();
}

/// The names in a directory, sorted.
pub(crate) fn listing(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Runs one of QEMU's tools; None, said aloud, where it is missing and need not be there.
pub(crate) fn qemu(tool: &str, arguments: &[&str]) -> Option<Output> {
    tools::has_tools(&[tool]).then(|| tools::run(tool, arguments))
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs a command that every system has.
pub(crate) fn run(command: &str, arguments: &[&str]) {
    let status = Command::new(command).args(arguments).status().unwrap();
    assert!(status.success(), "{command} {arguments:?}");
}
