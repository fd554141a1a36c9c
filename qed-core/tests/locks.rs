//! Locks against a running QEMU, both ways. Method: real qemu-io and qemu-img processes on one
//! file, spoken to over pipes; each case first shows that QEMU itself really has the file open.

#![allow(clippy::unwrap_used)] // A helper that fails fails its test.

#[path = "support/qemu.rs"]
mod qemu;

use qed_core::ErrorKind;
use qed_core::storage::ImageLock;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use tempfile::TempDir;

fn has_tools() -> bool {
    qemu::has_tools(&["qemu-io", "qemu-img"])
}

fn image(directory: &TempDir) -> PathBuf {
    let path = directory.path().join("image.qed");
    let created = qemu_img(&["create", "-q", "-f", "qed"], &path, &["1M"]);
    assert!(created.status.success(), "{created:?}");
    path
}

fn qemu_img(before: &[&str], path: &Path, after: &[&str]) -> Output {
    Command::new("qemu-img").args(before).arg(path).args(after).output().unwrap()
}

fn open(path: &Path) -> File {
    File::options().read(true).write(true).open(path).unwrap()
}

/// A qemu-io that has the image open until dropped.
struct QemuIo {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl QemuIo {
    fn start(options: &[&str], path: &Path) -> Self {
        let mut child = Command::new("qemu-io")
            .args(options)
            .args(["-f", "qed"])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut started = Self { child, input, output };
        // It answers commands only once the image is open.
        started.input.as_mut().unwrap().write_all(b"read 0 512\n").unwrap();
        let mut line = String::new();
        while !line.contains("read 512/512 bytes") {
            line.clear();
            assert!(started.output.read_line(&mut line).unwrap() > 0, "qemu-io did not open");
        }
        started
    }
}

impl Drop for QemuIo {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

#[test]
fn writing_qemu_excludes_everyone_and_is_named() {
    if !has_tools() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = image(&directory);
    let file = open(&path);
    let qemu = QemuIo::start(&[], &path);
    for attempt in [ImageLock::writer(&file), ImageLock::reader(&file), ImageLock::look(&file)] {
        let error = attempt.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        let holder = format!("process {} (qemu-io) is writing to the image", qemu.child.id());
        assert!(error.to_string().contains(&holder), "{error}");
        assert!(error.to_string().contains("lock=off"), "{error}");
    }
    drop(qemu);
    drop(ImageLock::writer(&file).unwrap());
}

#[test]
fn reading_qemu_excludes_writers_only() {
    if !has_tools() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = image(&directory);
    let file = open(&path);
    let qemu = QemuIo::start(&["-r"], &path);
    let error = ImageLock::writer(&file).unwrap_err();
    let holder = format!("process {} (qemu-io) has the image open", qemu.child.id());
    assert!(error.to_string().contains(&holder), "{error}");
    drop(ImageLock::reader(&file).unwrap());
    drop(ImageLock::look(&file).unwrap());
    drop(qemu);
    drop(ImageLock::writer(&file).unwrap());
}

#[test]
fn qemu_with_forced_sharing_excludes_nobody() {
    if !has_tools() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = image(&directory);
    let file = open(&path);
    let _qemu = QemuIo::start(&["-r", "-U"], &path);
    drop(ImageLock::writer(&file).unwrap());
    drop(ImageLock::reader(&file).unwrap());
}

/// What QEMU's tools are refused: looking (info), reading and writing.
fn refused(path: &Path) -> [bool; 3] {
    let info = qemu_img(&["info", "-f", "qed"], path, &[]);
    let run = |options: &[&str], command: &str| {
        let mut tool = Command::new("qemu-io");
        tool.args(options).args(["-f", "qed", "-c", command]).arg(path).output().unwrap()
    };
    [info, run(&["-r"], "read 0 512"), run(&[], "write 0 512")].map(|output| {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let locked = text.contains("lock");
        assert_eq!(output.status.success(), !locked, "fails for the lock alone: {text}");
        locked
    })
}

#[test]
fn qemu_respects_our_locks() {
    if !has_tools() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = image(&directory);
    let file = open(&path);
    assert_eq!(refused(&path), [false, false, false], "nobody holds the image");
    let writer = ImageLock::writer(&file).unwrap();
    assert_eq!(refused(&path), [true, true, true]);
    drop(writer);
    let reader = ImageLock::reader(&file).unwrap();
    assert_eq!(refused(&path), [false, false, true]);
    drop(reader);
    let look = ImageLock::look(&file).unwrap();
    assert_eq!(refused(&path), [false, false, true]);
    drop(look);
    assert_eq!(refused(&path), [false, false, false]);
}
