//! The process that is killed, and what its parent learns from its reports.
//!
//! A report is one short line in one write to a pipe, so lines are whole and in the order of the
//! events. `done` follows a step; `flush` precedes a flush (the close of a session is one, by
//! "thread" `THREADS`). So all that is `done` before a `flush` is stable when that flush is `done`.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use qed_core::{Image, OpenOptions, open};

use super::steps::{Dice, Step, THREADS, perform, writer};

/// What the child must know, in its environment.
const IMAGE: &str = "QED_KILL_CHILD";
const ROUND: &str = "QED_KILL_CHILD_ROUND";
const SEED: &str = "QED_KILL_CHILD_SEED";
const SCAN_BESIDE: &str = "QED_KILL_CHILD_SCAN_BESIDE";

/// How a child is started.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    pub image: &'a Path,
    pub seed: u64,
    /// It scans beside its requests, as in an image that is large.
    pub scan_beside: bool,
}

/// The steps of one thread, over the sessions of its process.
struct Progress {
    dice: Dice,
    number: u64,
}

/// Writes until killed; returns at once in a process that is no child.
pub fn run_as_child() {
    let Some(path) = std::env::var_os(IMAGE).map(PathBuf::from) else { return };
    let number = |name| std::env::var(name).unwrap().parse().unwrap();
    let (round, seed) = (number(ROUND), number(SEED));
    // A thread that panics ends the process: else the others would write on until the kill.
    std::panic::set_hook(Box::new(|panic| {
        report(&format!("failed {}", panic.to_string().replace('\n', " ")));
        std::process::abort();
    }));
    let mut options = OpenOptions::default();
    if std::env::var_os(SCAN_BESIDE).is_some() {
        options.image.scan_limit = 0;
    }
    let mut dice = Dice::of(seed, round, THREADS);
    let mut threads: Vec<Progress> = (0..THREADS)
        .map(|thread| Progress { dice: Dice::of(seed, round, thread), number: 0 })
        .collect();
    for session in 0.. {
        let image = open(&path, &options).unwrap();
        let steps = 5 + dice.below(80);
        std::thread::scope(|scope| {
            for (thread, progress) in (0..).zip(&mut threads) {
                let image = &image;
                scope.spawn(move || work(image, round, thread, progress, steps));
            }
        });
        report(&format!("flush {THREADS} {session}"));
        image.close().unwrap();
        report(&format!("done {THREADS} {session}"));
    }
}

fn work(image: &Image, round: u64, thread: u64, progress: &mut Progress, steps: u64) {
    for number in progress.number..progress.number + steps {
        let step = progress.dice.step(thread);
        if matches!(step, Step::Flush) {
            report(&format!("flush {thread} {number}"));
        }
        perform(image, step, writer(round, thread, number));
        report(&format!("done {thread} {number}"));
    }
    progress.number += steps;
}

fn report(line: &str) {
    // The harness may stand in the middle of a line of its own.
    std::io::stdout().write_all(format!("\n{line}\n").as_bytes()).unwrap();
}

/// What a child has reported, by thread.
#[derive(Debug, Default)]
pub struct Reports {
    /// Steps done.
    pub done: [u64; THREADS as usize + 1],
    /// Of these, steps that a flush has made stable.
    pub stable: [u64; THREADS as usize + 1],
    /// What was done when the thread's flush began that has not ended.
    flushing: [Option<[u64; THREADS as usize + 1]>; THREADS as usize + 1],
}

impl Reports {
    /// Takes a line; whether it was a report.
    fn take(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.split(' ').collect();
        let [event @ ("flush" | "done"), thread, number] = words[..] else { return false };
        let thread: usize = thread.parse().unwrap();
        let number: u64 = number.parse().unwrap();
        if event == "flush" {
            self.flushing[thread] = Some(self.done);
        } else {
            self.done[thread] = number + 1;
            for (stable, then) in
                self.stable.iter_mut().zip(self.flushing[thread].take().iter().flatten())
            {
                *stable = (*stable).max(*then);
            }
        }
        true
    }
}

/// Runs this program again as the child, kills it at its report number `reports`, and answers all
/// that it has reported till its end.
pub fn run_and_kill(start: Start<'_>, round: u64, reports: u64) -> Reports {
    let seed = start.seed;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "the_child_that_is_killed", "--nocapture"])
        .env(IMAGE, start.image)
        .env(ROUND, round.to_string())
        .env(SEED, seed.to_string());
    if start.scan_beside {
        command.env(SCAN_BESIDE, "1");
    }
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut all = Reports::default();
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        assert!(!line.starts_with("failed"), "seed {seed}, round {round}: {line}");
        if all.take(&line) {
            seen += 1;
            if seen == reports {
                child.kill().unwrap();
            }
        }
    }
    let status = child.wait().unwrap();
    let killed = seen >= reports && status.signal() == Some(9);
    assert!(killed, "seed {seed}, round {round}: the child ended by itself: {status}");
    all
}
