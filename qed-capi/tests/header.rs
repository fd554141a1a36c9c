//! `include/qed.h` says what the sources say, and every compiler takes it without a warning.
// Helpers fail as tests do; clippy knows only functions that are tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/mod.rs"]
mod common;
#[path = "../examples/generate-header.rs"]
mod generate;

use common::{root, run, tool};
use std::process::Command;

/// Goal: no drift. Method: generate the header again and compare.
#[test]
fn committed_header_is_what_the_sources_say() {
    let committed = std::fs::read_to_string(generate::path()).unwrap();
    let wanted = generate::header().unwrap();
    let differs = committed.lines().zip(wanted.lines()).position(|(a, b)| a != b);
    assert!(
        committed == wanted,
        "include/qed.h drifted, first at line {}; regenerate it with \
         `cargo run -p qed-capi --example generate-header`",
        differs.unwrap_or_else(|| committed.lines().count().min(wanted.lines().count())) + 1
    );
}

/// Goal: any caller's dialect. Method: compile the header alone, every warning an error.
#[test]
fn header_compiles_alone_in_every_dialect() {
    let scratch = tempfile::tempdir().unwrap();
    for (compiler, dialect) in [
        ("cc", "c99"),
        ("cc", "gnu99"),
        ("cc", "c11"),
        ("cc", "c17"),
        ("c++", "c++98"),
        ("c++", "c++11"),
        ("c++", "c++20"),
    ] {
        if !tool(compiler) {
            continue;
        }
        let extension = if compiler == "cc" { "c" } else { "cpp" };
        let source = scratch.path().join(format!("alone.{extension}"));
        // Twice: the include guard, too.
        std::fs::write(&source, "#include <qed.h>\n#include <qed.h>\n").unwrap();
        let mut command = Command::new(compiler);
        command.arg(format!("-std={dialect}")).args(common::STRICT).arg("-fsyntax-only");
        run(command.arg("-I").arg(root().join("include")).arg(&source));
    }
}

/// Goal: every function is announced. Method: each exported function stands in the header, and the
/// other way round.
#[test]
fn header_and_library_name_the_same_functions() {
    if !tool("nm") {
        return;
    }
    let header = std::fs::read_to_string(generate::path()).unwrap();
    let mut declared: Vec<_> = header.lines().filter_map(declared_name).collect();
    declared.sort_unstable();
    assert!(declared.len() > 30, "{declared:?}");
    assert_eq!(declared, common::exported_symbols());
}

/// Goal: `man libqed` knows every function. Method: each exported function stands in the synopsis.
#[test]
fn man_page_names_every_function() {
    if !tool("nm") {
        return;
    }
    let page = std::fs::read_to_string(root().join("docs/libqed.3")).unwrap();
    for function in common::exported_symbols() {
        let synopsis = format!("\n.Fn {function} ");
        assert!(page.contains(&synopsis), "{function} is not in docs/libqed.3");
    }
}

/// A declaration begins a line and is no typedef.
fn declared_name(line: &str) -> Option<String> {
    let code = line.chars().next().is_some_and(char::is_alphabetic) && !line.starts_with("typedef");
    let before = line.split_once('(').filter(|_| code)?.0;
    let name = before.rsplit([' ', '*']).next()?;
    name.starts_with("qed_").then(|| name.to_owned())
}
