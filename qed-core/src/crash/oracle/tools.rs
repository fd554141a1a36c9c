//! Other programs as oracles: files for them, and what they said.

use crate::crash::medium::Medium;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder of one's own that goes when it is dropped.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Result<Self, String> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("qed-crash-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// `medium` as a file of this folder.
    pub(super) fn file(&self, name: &str, medium: &Medium) -> Result<PathBuf, String> {
        let path = self.path(name);
        medium.save(&path).map_err(|error| error.to_string())?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind in the temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a program to its end.
pub(super) fn run(tool: &str, arguments: &[&str], last: &[&Path]) -> Result<Output, String> {
    let output = Command::new(tool).args(arguments).args(last).output();
    output.map_err(|error| format!("{tool}: {error}"))
}

/// How a program ended, in one line: how it was called, its status and its last words.
pub(super) fn outcome(tool: &str, verb: &str, output: &Output) -> String {
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let all = format!("{}{words}", String::from_utf8_lossy(&output.stdout));
    let lines: Vec<&str> = all.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.last().copied().unwrap_or("no words");
    format!("{tool} {verb}: {}: {last}", output.status)
}
