//! QEMU's tools, the oracle and the rival: run, and their answers read.
//!
//! Each suite includes this file by its path and uses a part of it.

#![allow(dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Whether all of `tools` are here. On a build machine (CI=true) an absence is a failure; elsewhere
/// the test says that it is skipped.
pub fn has_tools(tools: &[&str]) -> bool {
    tools.iter().all(|tool| {
        let asked = Command::new(tool).arg("--version").output();
        let missing = asked.is_err_and(|error| error.kind() == ErrorKind::NotFound);
        if missing {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{tool} is missing");
            println!("skipped: {tool} is missing");
        }
        !missing
    })
}

/// Runs a tool to its end, whatever that is.
pub fn run(tool: &str, arguments: &[&str]) -> Output {
    Command::new(tool).args(arguments).output().unwrap()
}

/// Runs a tool that must succeed; what it printed.
pub fn succeed(tool: &str, arguments: &[&str]) -> String {
    let output = run(tool, arguments);
    assert!(output.status.success(), "{tool} {arguments:?}: {}", outcome(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// How a process ended, on one line: its exit code or signal, and its last words.
pub fn outcome(output: &Output) -> String {
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = words.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no words");
    format!("{}: {last}", output.status)
}

/// Creates an image with the given sizes; `more` are further arguments, the backing file's.
pub fn create(path: &Path, cluster_size: u64, table_size: u64, size: &str, more: &[&str]) {
    let sizes = format!("cluster_size={cluster_size},table_size={table_size}");
    let mut arguments = vec!["create", "-q", "-f", "qed", "-o", &sizes];
    arguments.extend(more);
    arguments.extend([text(path), size]);
    succeed("qemu-img", &arguments);
}

/// Feeds `commands` to one qemu-io process with `options` (the image among them).
pub fn io(options: &[&str], commands: &[String]) -> Output {
    let mut script = commands.join("\n");
    script.push('\n');
    let mut child = Command::new("qemu-io")
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || {
        // A process that died early says more than the pipe it left.
        let _ = input.write_all(script.as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    output
}

/// As [`io`], where every command must do what it says; what was printed.
pub fn io_succeeds(options: &[&str], commands: &[String]) -> String {
    let output = io(options, commands);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = printed.lines().find(|line| is_complaint(line));
    let good = output.status.success() && output.stderr.is_empty() && complaint.is_none();
    assert!(good, "{}, {complaint:?} after {commands:#?}", outcome(&output));
    printed
}

/// Whether a line of qemu-io's output says that a command failed. Some failures are told on the
/// standard output and leave the exit code at 0.
pub fn is_complaint(line: &str) -> bool {
    ["failed", "not found", "invalid", "Invalid", "error", "Error"]
        .iter()
        .any(|word| line.contains(word))
}

/// What `qemu-img check` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    pub total: u64,
    pub allocated: u64,
    pub fragmented: u64,
    pub corruptions: u64,
    pub check_errors: u64,
    pub leaks: u64,
}

/// Runs `qemu-img check`.
pub fn check(path: &Path) -> Check {
    let output = run("qemu-img", &["check", "-f", "qed", "--output=json", text(path)]);
    let json = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(json.contains("\"check-errors\""), "no report: {}", outcome(&output));
    Check {
        total: number(&json, "total-clusters"),
        allocated: number(&json, "allocated-clusters"),
        fragmented: number(&json, "fragmented-clusters"),
        corruptions: number(&json, "corruptions"),
        check_errors: number(&json, "check-errors"),
        leaks: number(&json, "leaks"),
    }
}

/// The number of a key of a flat JSON object; QEMU leaves zeroes out.
pub fn number(json: &str, key: &str) -> u64 {
    let Some((_, rest)) = json.split_once(&format!("\"{key}\":")) else { return 0 };
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
