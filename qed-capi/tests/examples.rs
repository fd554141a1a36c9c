//! The C examples compile without a warning and do what they say.
// Helpers fail as tests do; clippy knows only functions that are tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{compile, root, run, tool};
use qed_core::{OpenOptions, open};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const SECTOR: u64 = 512;
const DISK: u64 = 200 << 20;

/// Goal: the example of the README. Method: run it twice; the second time the image is there.
#[test]
fn hello_says_hello_once() {
    let Some(example) = Example::compiled("hello") else { return };
    let output = run(example.command().arg("hello.qed"));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "hello\n");
    let output = example.command().arg("hello.qed").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("qed_image_create: ") && said.contains("hello.qed"), "{said}");
    assert!(output.stdout.is_empty());
}

/// Goal: every operation on whole images has an example, which works. Method: run it, and let it
/// say what it found; the second time its files are there.
#[test]
fn whole_images_goes_through_every_operation() {
    let Some(example) = Example::compiled("whole_images") else { return };
    let said = String::from_utf8(run(&mut example.command()).stdout).unwrap();
    for line in ["safe: 1\n", "QEMU takes it: 1\n", "0 corruptions\n0 mended\n"] {
        assert!(said.contains(line), "{line:?} in {said}");
    }
    let again = example.command().output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8(again.stderr).unwrap().starts_with("qed_image_create: "));
}

/// Goal: the event loop copies each disk into the next one, whatever runs beside. Method: one image
/// and several; each block is compared with the pattern that the example's head tells.
#[test]
fn event_loop_copies_every_block_to_the_next_image() {
    const BLOCK: usize = 65536;
    let Some(example) = Example::compiled("event_loop") else { return };
    for names in [&["one.qed"][..], &["a.qed", "b.qed", "c.qed"]] {
        let output = run(example.command().args(names));
        let said = String::from_utf8(output.stdout).unwrap();
        let lines = names.iter().map(|name| format!("{name}: 64 blocks read, 64 written\n"));
        assert_eq!(said, lines.collect::<String>());
        let pattern = |disk: usize, block: usize| (disk * 64 + block) % 255 + 1;
        for (number, name) in names.iter().enumerate() {
            let disk = open(example.file(name), &OpenOptions::default()).unwrap();
            let mut seen = vec![0; 128 * BLOCK];
            disk.pread(&mut seen, 0).unwrap();
            let before = (number + names.len() - 1) % names.len();
            for (index, block) in seen.chunks(BLOCK).enumerate() {
                let from = if index < 64 { number } else { before };
                let wanted = pattern(from, index % 64);
                let differs = block.iter().position(|byte| usize::from(*byte) != wanted);
                assert_eq!(differs, None, "{name}: block {index}");
            }
            disk.close().unwrap();
        }
    }
    std::fs::write(example.file("odd.qed"), "not an image").unwrap();
    let output = example.command().args(["one.qed", "odd.qed"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("odd.qed: qed_image_open: "), "{said}");
}

/// Goal: a replay leaves what the trace says, from four threads as from one. Method: a trace of
/// overlapping requests that cross regions and clusters; the raw file is the judge of the image,
/// and the raw files of both replays are the same.
#[test]
fn replay_leaves_what_the_trace_says() {
    let Some(example) = Example::compiled("replay") else { return };
    let mut raw_files = Vec::new();
    std::fs::write(example.file("some.trace"), trace(3000)).unwrap();
    for threads in ["4", "1"] {
        let (image, raw) = (format!("{threads}.qed"), format!("{threads}.raw"));
        let mut command = example.command();
        command.args(["--also-raw", &raw, &image, "some.trace", threads, "200M"]);
        let said = String::from_utf8(run(&mut command).stdout).unwrap();
        assert!(said.contains(&format!("by {threads} thread")), "{said}");
        assert!(said.contains("every sector as written"), "{said}");
        let raw = std::fs::read(example.file(&raw)).unwrap();
        assert_eq!(raw.len() as u64, DISK);
        assert!(raw.iter().filter(|byte| **byte != 0).count() > 1 << 20, "the trace wrote nothing");
        let disk = open(example.file(&image), &OpenOptions::default()).unwrap();
        let mut seen = vec![0; raw.len()];
        disk.pread(&mut seen, 0).unwrap();
        let differs = seen.iter().zip(&raw).position(|(a, b)| a != b);
        assert_eq!(differs, None, "{image} differs from its raw file");
        disk.close().unwrap();
        raw_files.push(raw);
    }
    // Whether a discard took the rest of a cluster is the image's own affair, the same each time.
    assert!(raw_files[0] == raw_files[1], "threads changed what is on the disk");
}

/// Goal: QEMU agrees. Method: qemu-img compares image and raw file, and checks the image.
#[test]
fn qemu_reads_what_replay_wrote() {
    let Some(example) = Example::compiled("replay") else { return };
    if !tool("qemu-img") {
        return;
    }
    std::fs::write(example.file("some.trace"), trace(1000)).unwrap();
    let arguments =
        ["--also-raw", "disk.raw", "--no-verify", "disk.qed", "some.trace", "4", "200M"];
    run(example.command().args(arguments));
    let mut qemu = Command::new("qemu-img");
    qemu.current_dir(&example.directory);
    run(qemu.args(["compare", "-f", "qed", "-F", "raw", "disk.qed", "disk.raw"]));
    let mut qemu = Command::new("qemu-img");
    let check =
        qemu.current_dir(&example.directory).args(["check", "-f", "qed", "disk.qed"]).output();
    let code = check.unwrap().status.code();
    // 3 is space that nobody uses: harmless.
    assert!(matches!(code, Some(0 | 3)), "qemu-img check: {code:?}");
}

/// Goal: a bad trace is refused by its line. Method: one mistake at a time.
#[test]
fn replay_names_the_line_that_is_wrong() {
    let Some(example) = Example::compiled("replay") else { return };
    for (lines, wanted) in [
        ("# a comment\nW 0 8\nX 0 8\n", "bad.trace:3: unknown operation X"),
        ("W 0 8\nnothing\n", "bad.trace:2: not OP FIRST_SECTOR SECTOR_COUNT"),
        ("R 409599 2\n", "bad.trace:1: the request passes the end of the disk"),
        ("WB 0 1\n", "bad.trace:1: unknown operation WB"),
    ] {
        std::fs::write(example.file("bad.trace"), lines).unwrap();
        let mut command = example.command();
        let output = command.args(["bad.qed", "bad.trace", "2", "200M"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(wanted), "{said}");
        assert!(!example.file("bad.qed").exists(), "{wanted}: the image was created all the same");
    }
}

struct Example {
    directory: PathBuf,
    program: PathBuf,
    _scratch: tempfile::TempDir,
}

impl Example {
    fn compiled(name: &str) -> Option<Self> {
        if !tool("cc") {
            return None;
        }
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().to_path_buf();
        let program = directory.join(name);
        compile(&root().join("examples/c").join(format!("{name}.c")), &program, &[]).unwrap();
        Some(Self { directory, program, _scratch: scratch })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.directory);
        command
    }

    fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.join(name)
    }
}

/// Requests of all kinds, the same in every run: near each other, so that many overlap.
fn trace(requests: usize) -> String {
    let mut text = String::from("# made by tests/examples.rs\n");
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for _ in 0..requests {
        // Half of the requests around the border of two regions, half anywhere.
        let near = (64 << 20) / SECTOR - 1000 + random(2000);
        let first = if random(2) == 0 { near } else { random(DISK / SECTOR - 4096) };
        let (operation, most) = match random(20) {
            0..9 => ("W", 200),
            9 => ("WA", 16),
            10..14 => ("R", 400),
            14 => ("Z", 500),
            15 => ("D", 2000),
            16 => ("W", 2048),
            _ => ("F", 0),
        };
        let count = if most == 0 { 0 } else { 1 + random(most) };
        let first = if most == 0 { 0 } else { first };
        writeln!(text, "{operation} {first} {count}").unwrap();
    }
    text
}
