//! The C tests: each file of `tests/c` is one program, compiled as C99 (or C++) with every warning
//! an error and run in a directory of its own: plainly, under valgrind, and with the C side built
//! with the address and undefined-behaviour sanitizers. And what the shared library shows of
//! itself.
// Helpers fail as tests do; clippy knows only functions that are tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{attempt, compile, exported_symbols, libraries, root, run, skipped, tool};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Goal: the C API does what it says. Method: run every C test.
#[test]
fn c_tests_pass() {
    run_all(&[], &[]);
}

/// Goal: no invalid access and no leak on either side of the boundary. Method: valgrind's memcheck.
#[test]
fn c_tests_pass_under_valgrind() {
    if tool("valgrind") {
        let leaks = "--errors-for-leak-kinds=definite,indirect";
        let options =
            ["--quiet", "--leak-check=full", "--show-leak-kinds=definite,indirect", leaks];
        let wrapper = [&["valgrind", "--error-exitcode=99"], &options[..]].concat();
        run_all(&[], &wrapper);
    }
}

/// Goal: the C tests are sound themselves, and what they lend is used within its bounds. Method:
/// ASan (which sees the library's allocations and its calls of libc), LSan and UBSan.
#[test]
fn c_tests_pass_with_sanitizers() {
    let flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("empty.c");
    std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let program = scratch.path().join("empty");
    let built = Command::new("cc").args(flags).arg(&source).arg("-o").arg(&program).status();
    if !built.is_ok_and(|status| status.success()) {
        skipped("cc has no sanitizers");
    } else if !Command::new(program).status().is_ok_and(|status| status.success()) {
        skipped("programs with sanitizers do not run here");
    } else {
        run_all(&flags, &[]);
    }
}

/// Goal: nothing leaks out of the library. Method: read its dynamic symbols.
#[test]
fn only_qed_symbols_are_exported() {
    if tool("nm") {
        let symbols = exported_symbols();
        assert!(symbols.len() > 30, "{symbols:?}");
        let foreign: Vec<_> = symbols.iter().filter(|name| !name.starts_with("qed_")).collect();
        assert!(foreign.is_empty(), "{foreign:?}");
    }
}

/// Goal: programs bind to the ABI's name. Method: read the dynamic section.
#[test]
fn soname_is_libqed_so_0() {
    if tool("readelf") {
        let library = libraries().join("libqed.so");
        let output = run(Command::new("readelf").arg("-d").arg(library));
        let text = String::from_utf8(output.stdout).unwrap();
        let soname = text.lines().find(|line| line.contains("SONAME")).unwrap();
        assert!(soname.contains("[libqed.so.0]"), "{soname}");
    }
}

/// Compiles each C test with `flags` and runs it behind `wrapper`; tells all that fail.
fn run_all(flags: &[&str], wrapper: &[&str]) {
    let mut failures = Vec::new();
    for source in sources() {
        let compiler = if source.extension().unwrap() == "cpp" { "c++" } else { "cc" };
        if tool(compiler) {
            failures.extend(run_one(&source, flags, wrapper).err());
        }
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

fn run_one(source: &Path, flags: &[&str], wrapper: &[&str]) -> Result<(), String> {
    let scratch = tempfile::tempdir().unwrap();
    let program = scratch.path().join(source.file_stem().unwrap());
    compile(source, &program, flags)?;
    let mut arguments = wrapper.iter().map(PathBuf::from).chain([program]);
    let mut command = Command::new(arguments.next().unwrap());
    command.args(arguments).current_dir(scratch.path());
    if !wrapper.is_empty() {
        // What stays beneath a directory is opened by a system call that many a valgrind does not
        // know: there the tests open what lies anywhere (check.h).
        command.env("QED_TEST_WITHOUT_OPENAT2", "1");
    }
    if source.file_stem().unwrap() == "dlopen" {
        command.arg(libraries().join("libqed.so"));
    }
    attempt(&mut command).map(drop)
}

fn sources() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("qed-capi/tests/c")).unwrap();
    let mut sources: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    sources.retain(|path| path.extension().is_some_and(|e| e == "c" || e == "cpp"));
    sources.sort();
    assert!(sources.len() >= 15, "{sources:?}");
    sources
}
