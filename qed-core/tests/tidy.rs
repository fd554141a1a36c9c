//! Goal: the style that a program can judge is judged at every run. Method: the sources of the
//! whole workspace are read as text; every rule is also shown code that breaks it.

#![allow(clippy::unwrap_used)] // clippy knows tests by their attribute, not their helpers

#[path = "tidy/code.rs"]
mod code;
#[path = "tidy/rules.rs"]
mod rules;

use code::Code;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders at the top of the repository that documents speak of, beside those that are there.
const TOP_FOLDERS: [&str; 10] = [
    ".ci",
    "benches",
    "docs",
    "examples",
    "include",
    "python-tests",
    "qed-capi",
    "qed-core",
    "qed-py",
    "scripts",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Files below `folder` that end in `extension`, without what was built or fetched.
fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let skipped = ["target", "build", "dist", "node_modules"].contains(&name.as_str());
        if path.is_dir() && !path.is_symlink() && !skipped && !name.starts_with('.') {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|ending| ending == extension) {
            found.push(path);
        }
    }
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().into_owned()
}

fn sources() -> Vec<Code> {
    let mut found = Vec::new();
    files(&root(), "rs", &mut found);
    found.sort();
    let code = |path: &PathBuf| Code::new(&relative(path), &fs::read_to_string(path).unwrap());
    let sources: Vec<Code> = found.iter().map(code).collect();
    assert!(sources.iter().any(|file| file.path == "qed-core/src/lib.rs"), "nothing was read");
    sources
}

fn judge(rule: fn(&Code) -> Vec<String>) {
    let offences: Vec<String> = sources().iter().flat_map(rule).collect();
    assert!(offences.is_empty(), "{} offences:\n{}", offences.len(), offences.join("\n"));
}

#[test]
fn layers_use_only_what_stands_left_of_them() {
    judge(rules::layers);
}

#[test]
fn files_functions_and_lines_keep_their_sizes() {
    judge(rules::sizes);
}

#[test]
fn unsafe_stands_in_the_named_files_only() {
    judge(rules::unsafety);
}

#[test]
fn documents_name_paths_that_exist() {
    let root = root();
    let mut documents = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    if root.join("docs").is_dir() {
        files(&root.join("docs"), "md", &mut documents);
    }
    let folders = TOP_FOLDERS.map(String::from);
    let offences: Vec<String> = documents
        .iter()
        .filter(|path| path.exists())
        .flat_map(|path| {
            rules::paths(&relative(path), &fs::read_to_string(path).unwrap(), &folders, &root)
        })
        .collect();
    assert!(offences.is_empty(), "{} offences:\n{}", offences.len(), offences.join("\n"));
}

/// The offences of one rule in `text`, as `line: what`.
fn found(rule: fn(&Code) -> Vec<String>, path: &str, text: &str) -> Vec<String> {
    let cut = |offence: String| offence.strip_prefix(&format!("{path}:")).unwrap().to_string();
    rule(&Code::new(path, text)).into_iter().map(cut).collect()
}

#[test]
fn a_wrong_use_is_found_in_every_spelling() {
    let path = "qed-core/src/storage/file/mod.rs";
    let text = "use crate::meta::scan;\n\
                use crate::{error::Error, image::{Flags, chain}, ops};\n\
                fn f() -> crate::format::Header { super::super::chain::open() }\n\
                // use crate::meta\n\
                const S: &str = \"crate::meta\";\n\
                use super::super::super::meta;\n\
                use super::meta;\n\
                pub(in crate::queue) fn g() {}\n";
    let wrong = found(rules::layers, path, text);
    let expected = [
        "1: layer storage uses meta, right of it",
        "2: layer storage uses image, right of it",
        "2: layer storage uses ops, right of it",
        "8: layer storage uses queue, right of it",
        "3: layer storage uses chain, right of it",
    ];
    assert_eq!(wrong, expected);
    assert_eq!(found(rules::layers, "qed-core/src/util/x.rs", "").len(), 1, "an unknown layer");
    assert_eq!(found(rules::layers, "qed-core/src/meta/x.rs", "use super::super::image;").len(), 1);
}

#[test]
fn tests_may_use_any_layer() {
    let text =
        "#[cfg(test)]\nmod tests { use crate::ops; }\n#[cfg(test)]\nuse crate::chain::{a};\n";
    assert_eq!(found(rules::layers, "qed-core/src/format/x.rs", text), [""; 0]);
    assert_eq!(found(rules::layers, "qed-core/src/format/x/tests.rs", "use crate::ops;"), [""; 0]);
}

#[test]
fn what_is_too_long_is_found() {
    let path = "qed-capi/src/x.rs";
    let long_function = format!("fn f(\n) {{\n{}}}\n", "    // a { brace\n".repeat(68));
    assert_eq!(found(rules::sizes, path, &long_function), ["1: f has 71 lines"]);
    assert_eq!(found(rules::sizes, path, &long_function.replacen("\n    //", "", 1)), [""; 0]);
    let wide = format!("// {}\n", "é".repeat(98));
    assert_eq!(found(rules::sizes, path, &wide), ["1: 101 columns, at most 100"]);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(148));
    assert_eq!(found(rules::sizes, path, &tests), ["1: 151 lines of inline tests"]);
    let lines = "\n".repeat(501);
    assert_eq!(found(rules::sizes, path, &lines), ["1: 501 lines, at most 500"]);
    assert_eq!(found(rules::sizes, "qed-capi/tests/x.rs", &lines), [""; 0]);
    let with_tests = format!("{}#[cfg(test)]\nmod tests {{\n\n}}\n", "\n".repeat(500));
    assert_eq!(found(rules::sizes, path, &with_tests), [""; 0]);
}

#[test]
fn unsafe_is_found_in_code_alone() {
    let text = "// unsafe\n#![allow(unsafe_code)]\nlet s = \"unsafe\";\nlet r = br#\"unsafe \"#;\n\
                fn g<'a>(c: char) -> bool { c == '\"' || c == '\\'' } /* /* */ unsafe */\n\
                fn f() { unsafe { g() } }\n";
    let path = "qed-core/src/meta/x.rs";
    assert_eq!(found(rules::unsafety, path, text), ["6: unsafe in a file not named for it"]);
    assert_eq!(found(rules::unsafety, "qed-core/src/storage/sys.rs", text), [""; 0]);
    assert_eq!(found(rules::unsafety, "qed-core/src/storage/sys.rs", "").len(), 1, "a stale name");
}

#[test]
fn missing_paths_are_found() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("docs")).unwrap();
    fs::write(folder.path().join("docs/here.md"), "").unwrap();
    let text = "see `docs/here.md`, docs/here.md. and [here](here.md#f1) [out](https://x/docs/n)\n\
                docs/gone.md and [gone](gone.md)\n\
                docs/*.md and docs/{a,b}.md but not gone/*.md; docs/no/*.c\n";
    let folders = ["docs".to_string(), "gone".to_string()];
    let wrong = rules::paths("docs/x.md", text, &folders, folder.path());
    let expected = [
        "docs/x.md:2: docs/gone.md does not exist",
        "docs/x.md:2: gone.md does not exist",
        "docs/x.md:3: docs/no/*.c does not exist",
        "docs/x.md:3: gone/*.md does not exist",
    ];
    assert_eq!(wrong, expected);
}
