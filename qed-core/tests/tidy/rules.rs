//! The rules: each takes a file and gives its offences as `path:line: what`.

use super::code::{Code, is_word, line_of, words};
use std::path::Path;

/// Layers of `qed-core/src`, each using only those before it (`docs/architecture.md`).
const LAYERS: [&str; 12] = [
    "error", "addr", "sync", "format", "storage", "source", "meta", "image", "chain", "queue",
    "ops", "crash",
];

/// The only files that may say `unsafe`: aligned buffers, system calls, the io_uring engine, a
/// trait that declares its methods so, the C boundary, Python's buffers. A file that is listed and
/// does not say it is an offence as well.
const UNSAFE_FILES: &[&str] = &[
    "qed-capi/src/arguments.rs",
    "qed-capi/src/backing.rs",
    "qed-capi/src/completion.rs",
    "qed-capi/src/convert.rs",
    "qed-capi/src/extents.rs",
    "qed-capi/src/fork.rs",
    "qed-capi/src/guard.rs",
    "qed-capi/src/handle.rs",
    "qed-capi/src/image.rs",
    "qed-capi/src/info.rs",
    "qed-capi/src/io.rs",
    "qed-capi/src/judge.rs",
    "qed-capi/src/measure.rs",
    "qed-capi/src/options.rs",
    "qed-capi/src/probe.rs",
    "qed-capi/src/queue.rs",
    "qed-capi/src/quiesce.rs",
    "qed-capi/src/repair.rs",
    "qed-capi/src/report.rs",
    "qed-capi/src/reshape.rs",
    "qed-capi/src/status.rs",
    "qed-capi/src/version.rs",
    "qed-capi/src/work.rs",
    "qed-core/src/chain/qcow2/adapter.rs",
    "qed-core/src/chain/sys.rs",
    "qed-core/src/queue/buffers.rs",
    "qed-core/src/queue/event.rs",
    "qed-core/src/queue/uring/flight.rs",
    "qed-core/src/queue/uring/mod.rs",
    "qed-core/src/queue/uring/ring.rs",
    "qed-core/src/storage/aligned.rs",
    "qed-core/src/storage/sys.rs",
    "qed-core/src/sync/signals.rs",
    "qed-core/tests/queue/refused.rs",
    "qed-py/src/buffers.rs",
    "qed-py/src/descriptor.rs",
];

pub(crate) const MAX_WIDTH: usize = 100;
pub(crate) const MAX_FILE_LINES: usize = 500;
pub(crate) const MAX_INLINE_TEST_LINES: usize = 150;
pub(crate) const MAX_FUNCTION_LINES: usize = 70;

/// Uses of a layer that stands right of the file's own.
pub(crate) fn layers(file: &Code) -> Vec<String> {
    let Some(inside) = file.path.strip_prefix("qed-core/src/") else { return Vec::new() };
    let Some((layer, below)) = inside.split_once('/') else { return Vec::new() };
    let Some(rank) = LAYERS.iter().position(|known| *known == layer) else {
        return vec![format!("{}:1: folder {layer} is no layer of the architecture", file.path)];
    };
    let mut offences = Vec::new();
    for (line, used) in used_layers(&file.production, depth_of(below)) {
        let used_rank = LAYERS.iter().position(|known| *known == used);
        if used_rank.is_some_and(|used_rank| used_rank > rank) {
            offences.push(format!("{}:{line}: layer {layer} uses {used}, right of it", file.path));
        }
    }
    offences
}

/// How many `super::` lead from a module to the crate: 1 for `layer/mod.rs`, 2 for `layer/x.rs`.
fn depth_of(below: &str) -> usize {
    let parts = below.split('/').count();
    if below.ends_with("mod.rs") { parts } else { parts + 1 }
}

/// The names that follow `crate::` or a chain of `super::` as long as `depth`, with their lines.
fn used_layers(code: &str, depth: usize) -> Vec<(usize, String)> {
    let code: Vec<char> = code.chars().collect();
    let mut used = Vec::new();
    for at in words(&code, "crate") {
        if let Some(path) = after_colons(&code, at + "crate".len()) {
            used.extend(names_at(&code, path));
        }
    }
    for at in words(&code, "super") {
        let follows_another = code[..at].ends_with(&[':', ':']);
        let (mut steps, mut next) = (0, Some(at));
        while let Some(step) = next.filter(|&at| word_at(&code, at) == "super") {
            steps += 1;
            next = after_colons(&code, step + "super".len());
        }
        if let Some(path) = next.filter(|_| steps == depth && !follows_another) {
            used.extend(names_at(&code, path));
        }
    }
    used
}

fn after_colons(code: &[char], at: usize) -> Option<usize> {
    code[at..].starts_with(&[':', ':']).then_some(at + 2)
}

fn word_at(code: &[char], at: usize) -> String {
    code[at..].iter().take_while(|c| is_word(**c)).collect()
}

/// The first names of a path, or of every path of a group in braces.
fn names_at(code: &[char], at: usize) -> Vec<(usize, String)> {
    if code.get(at) != Some(&'{') {
        return vec![(line_of(code, at), word_at(code, at))];
    }
    let (mut names, mut depth, mut fresh) = (Vec::new(), 0, true);
    for at in at..code.len() {
        match code[at] {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' if depth == 1 => fresh = true,
            c if is_word(c) && fresh && depth == 1 => {
                names.push((line_of(code, at), word_at(code, at)));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

/// Files, inline tests, functions and lines that are too long.
pub(crate) fn sizes(file: &Code) -> Vec<String> {
    let path = &file.path;
    let mut offences = Vec::new();
    let production = file.production_lines();
    if production > MAX_FILE_LINES {
        offences.push(format!("{path}:1: {production} lines, at most {MAX_FILE_LINES}"));
    }
    for tests in &file.inline_tests {
        if tests.len() > MAX_INLINE_TEST_LINES {
            let (start, count) = (tests.start, tests.len());
            offences.push(format!("{path}:{start}: {count} lines of inline tests"));
        }
    }
    for function in file.functions() {
        let (start, count) = (function.lines.start, function.lines.len());
        if count > MAX_FUNCTION_LINES {
            offences.push(format!("{path}:{start}: {} has {count} lines", function.name));
        }
    }
    for (number, line) in (1..).zip(file.text.lines()) {
        let width = line.chars().count();
        if width > MAX_WIDTH {
            offences.push(format!("{path}:{number}: {width} columns, at most {MAX_WIDTH}"));
        }
    }
    offences
}

/// `unsafe` outside the named files, and names of files that do without it.
pub(crate) fn unsafety(file: &Code) -> Vec<String> {
    let code: Vec<char> = file.blank.chars().collect();
    let found = words(&code, "unsafe");
    let listed = UNSAFE_FILES.contains(&file.path.as_str());
    match (listed, found.is_empty()) {
        (true, true) => vec![format!("{}:1: no unsafe here: take it off the list", file.path)],
        (false, false) => found
            .iter()
            .map(|&at| {
                format!("{}:{}: unsafe in a file not named for it", file.path, line_of(&code, at))
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Paths that a document names and that do not exist: targets of links, and words that begin with a
/// folder at the top of the repository.
pub(crate) fn paths(path: &str, text: &str, folders: &[String], root: &Path) -> Vec<String> {
    let home = Path::new(path).parent().unwrap_or(Path::new(""));
    let mut offences = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let links = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ', '#']).next());
        let links = links.filter(|link| !link.is_empty() && !link.contains("://"));
        let named = line
            .split(|c: char| !(is_word(c) || "./-*{}".contains(c)))
            .map(|word| word.trim_end_matches('.'))
            .filter(|word| folders.iter().any(|folder| word.starts_with(&format!("{folder}/"))));
        for (name, base) in links.map(|link| (link, home)).chain(named.map(|n| (n, Path::new(""))))
        {
            if !exists(&root.join(base), name) {
                offences.push(format!("{path}:{number}: {name} does not exist"));
            }
        }
    }
    offences.sort();
    offences.dedup();
    offences
}

/// Whether a path is there; of one with a pattern in it, the folder before the pattern.
fn exists(base: &Path, name: &str) -> bool {
    let fixed = match name.find(['*', '{']) {
        Some(pattern) => name[..pattern].rsplit_once('/').map_or("", |(folder, _)| folder),
        None => name,
    };
    base.join(fixed).exists()
}
