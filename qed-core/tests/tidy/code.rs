//! Rust source as the tidy rules see it: without comments and literals, tests apart.

use std::ops::Range;

/// A source file, with the same lines as the file on disk.
pub(crate) struct Code {
    /// Path from the top of the repository.
    pub(crate) path: String,
    /// The text as it is.
    pub(crate) text: String,
    /// The text with comments and literals blanked out.
    pub(crate) blank: String,
    /// The same, with everything blanked out that is compiled for tests alone.
    pub(crate) production: String,
    /// Lines of items for tests alone, counted from 1.
    pub(crate) inline_tests: Vec<Range<usize>>,
}

/// A function with a body.
pub(crate) struct Function {
    pub(crate) name: String,
    /// Lines from the `fn` to the closing brace, counted from 1.
    pub(crate) lines: Range<usize>,
}

impl Code {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let blank = blank(text);
        let regions = test_regions(&blank);
        let mut production: Vec<char> = blank.chars().collect();
        let mut inline_tests = Vec::new();
        for region in regions {
            let (first, last) =
                (line_of(&production, region.start), line_of(&production, region.end));
            inline_tests.push(first..last + 1);
            wipe(&mut production, region);
        }
        let production: String = production.into_iter().collect();
        let production = if is_test_path(path) { wiped(&production) } else { production };
        Self { path: path.to_string(), text: text.to_string(), blank, production, inline_tests }
    }

    /// Lines that are not in an inline test module.
    pub(crate) fn production_lines(&self) -> usize {
        if is_test_path(&self.path) {
            return 0;
        }
        let tests: usize = self.inline_tests.iter().map(ExactSizeIterator::len).sum();
        self.text.lines().count() - tests
    }

    /// Every production function that has a body.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let code: Vec<char> = self.production.chars().collect();
        let mut functions = Vec::new();
        for start in words(&code, "fn") {
            let name: String = code[start + 2..]
                .iter()
                .skip_while(|c| c.is_whitespace())
                .take_while(|c| is_word(**c))
                .collect();
            if let Some(open) = (!name.is_empty()).then(|| body_of(&code, start)).flatten() {
                let end = matching_brace(&code, open);
                let lines = line_of(&code, start)..line_of(&code, end) + 1;
                functions.push(Function { name, lines });
            }
        }
        functions
    }
}

/// Whether a file holds nothing but tests, benchmarks or examples.
pub(crate) fn is_test_path(path: &str) -> bool {
    let mut parts = path.split('/');
    let folders = ["tests", "benches", "examples", "fuzz", "python-tests"];
    path.ends_with("/tests.rs") || parts.any(|part| folders.contains(&part))
}

/// Where `word` stands in `code` as a word of its own.
pub(crate) fn words(code: &[char], word: &str) -> Vec<usize> {
    let word: Vec<char> = word.chars().collect();
    let starts = 0..(code.len() + 1).saturating_sub(word.len());
    starts
        .filter(|&at| code[at..at + word.len()] == word[..])
        .filter(|&at| at == 0 || !is_word(code[at - 1]))
        .filter(|&at| code.get(at + word.len()).is_none_or(|c| !is_word(*c)))
        .collect()
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The line of a position, counted from 1.
pub(crate) fn line_of(code: &[char], at: usize) -> usize {
    code[..at.min(code.len())].iter().filter(|c| **c == '\n').count() + 1
}

/// Comments and literals become spaces; line ends stay.
fn blank(text: &str) -> String {
    let mut code: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < code.len() {
        let end = match literal_end(&code, at) {
            Some(end) => end,
            None => {
                at += 1;
                continue;
            }
        };
        wipe(&mut code, at..end);
        at = end;
    }
    code.into_iter().collect()
}

/// The end of the comment or literal that begins at `at`, if one does.
fn literal_end(code: &[char], at: usize) -> Option<usize> {
    let rest = &code[at..];
    match rest {
        ['/', '/', ..] => Some(find(code, at, "\n")),
        ['/', '*', ..] => Some(comment_end(code, at)),
        ['"', ..] => Some(string_end(code, at)),
        ['r', ..] if at == 0 || !is_word(code[at - 1]) || is_byte_prefix(code, at - 1) => {
            let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
            if rest.get(1 + hashes) != Some(&'"') {
                return None;
            }
            let close: String = std::iter::once('"').chain((0..hashes).map(|_| '#')).collect();
            Some(find(code, at + hashes + 2, &close) + hashes + 1)
        }
        ['\'', '\\', ..] => Some(find(code, at + 3, "'") + 1),
        ['\'', _, '\'', ..] => Some(at + 3),
        _ => None,
    }
}

/// The `b` of `br"` or the `c` of `cr"`.
fn is_byte_prefix(code: &[char], at: usize) -> bool {
    matches!(code[at], 'b' | 'c') && (at == 0 || !is_word(code[at - 1]))
}

fn comment_end(code: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at + 1 < code.len() {
        match (code[at], code[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    code.len()
}

fn string_end(code: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < code.len() && code[at] != '"' {
        at += if code[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(code.len())
}

fn find(code: &[char], from: usize, what: &str) -> usize {
    let what: Vec<char> = what.chars().collect();
    (from..code.len()).find(|&at| code[at..].starts_with(&what)).unwrap_or(code.len())
}

fn wipe(code: &mut [char], range: Range<usize>) {
    let end = range.end.min(code.len());
    for c in &mut code[range.start..end] {
        if *c != '\n' {
            *c = ' ';
        }
    }
}

fn wiped(code: &str) -> String {
    let mut code: Vec<char> = code.chars().collect();
    let all = 0..code.len();
    wipe(&mut code, all);
    code.into_iter().collect()
}

/// Items under `#[cfg(test)]`, attributes included.
fn test_regions(blank: &str) -> Vec<Range<usize>> {
    let code: Vec<char> = blank.chars().collect();
    let mut regions: Vec<Range<usize>> = Vec::new();
    let mut at = find(&code, 0, "#[cfg(test)]");
    while at < code.len() {
        let first = (at..code.len()).find(|&i| matches!(code[i], '{' | ';')).unwrap_or(code.len());
        let end = match code.get(first) {
            Some('{') => matching_brace(&code, first),
            _ => first,
        };
        regions.push(at..end + 1);
        at = find(&code, end, "#[cfg(test)]");
    }
    regions
}

/// The brace that opens the body of the function at `start`; `None` where it has none.
fn body_of(code: &[char], start: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, c) in code.iter().enumerate().skip(start) {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => return Some(at),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

fn matching_brace(code: &[char], open: usize) -> usize {
    let mut depth = 0_i32;
    for (at, c) in code.iter().enumerate().skip(open) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    code.len().saturating_sub(1)
}
