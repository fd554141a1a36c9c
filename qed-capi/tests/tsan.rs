//! Threads under ThreadSanitizer: the C tests of queues and threads against a library that is built
//! for it, so that both sides of the boundary are watched. Building takes a minute or two: it runs
//! where `QED_TSAN` is set, as `make test` does, and says so elsewhere.
// Helpers fail as tests do; clippy knows only functions that are tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{attempt, root, skipped, tool};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Goal: no data race, and no lock held wrongly, in the library or in programs that keep its rules.
/// Method: ThreadSanitizer over the C tests in which threads meet; what it says fails them.
#[test]
fn no_race_is_found_where_threads_meet() {
    if std::env::var_os("QED_TSAN").is_none() {
        println!("skipped: QED_TSAN is not set");
        return;
    }
    if !tool("cc") || !cc_has_it() {
        return;
    }
    let Some(library) = library() else { return };
    let mut failures = Vec::new();
    for name in ["queue", "queue_threads", "quiesce", "threads"] {
        let source = root().join("qed-capi/tests/c").join(name).with_extension("c");
        failures.extend(run_one(&source, &library).err());
    }
    // And it would say something: a race of a program's own.
    let racing = here("racing.c");
    let found = run_one(&racing, &library).unwrap_err();
    assert!(found.contains("WARNING: ThreadSanitizer: data race"), "{found}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The folder with `libqed.so.0`, built with the sanitizer.
fn library() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tsan");
    let machine = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--offline", "-p", "qed-capi", "--lib", "--target", &machine]);
    cargo.arg("--target-dir").arg(&target).current_dir(root());
    // A compiler of the stable channel has the sanitizer, too; it only has to be told that we know.
    cargo.env("RUSTC_BOOTSTRAP", "1");
    cargo.env("RUSTFLAGS", "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer");
    if let Err(failure) = attempt(&mut cargo) {
        skipped(&format!("libqed cannot be built with the sanitizer:\n{failure}"));
        return None;
    }
    let folder = target.join(machine).join("debug");
    let (library, soname) = (folder.join("libqed.so"), folder.join("libqed.so.0"));
    std::fs::copy(library, soname).unwrap();
    Some(folder)
}

fn run_one(source: &Path, library: &Path) -> Result<(), String> {
    let scratch = tempfile::tempdir().unwrap();
    let program = scratch.path().join("program");
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c99", "-fsanitize=thread", "-fno-builtin", "-g", "-O1", "-I"]);
    compiler.arg(root().join("include")).arg("-I").arg(root().join("qed-capi/tests/c"));
    compiler.arg(source).arg(here("interface.c")).arg("-o").arg(&program);
    compiler.arg("-L").arg(library).args(["-lqed", "-lpthread"]);
    compiler.arg(format!("-Wl,-rpath,{}", library.display()));
    attempt(&mut compiler)?;
    let mut command = Command::new(program);
    attempt(command.current_dir(scratch.path())).map(drop)
}

fn cc_has_it() -> bool {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("empty.c");
    std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let program = scratch.path().join("empty");
    let mut compiler = Command::new("cc");
    compiler.arg("-fsanitize=thread").arg(&source).arg("-o").arg(&program);
    let runs = attempt(&mut compiler).and_then(|_| attempt(&mut Command::new(&program)));
    runs.is_ok() || skipped("programs with the sanitizer cannot be built or do not run here")
}

fn here(name: &str) -> PathBuf {
    root().join("qed-capi/tests/tsan").join(name)
}
