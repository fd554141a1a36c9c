//! QEMU's tools as an oracle, for QED, qcow2 and raw images.
//!
//! Each state becomes a file. `qemu-img check -r all` recovers it where a recovery is due, a second
//! check must be clean, and the guest's disk as QEMU reads it is judged like any other: nothing
//! stable lost, nothing foreign. Then `qemu-io` writes into free space, and all of it is asked
//! again. Several states are judged beside each other.

use super::case::Case;
use super::subject::Subject;
use super::tools::{Folder, outcome, run};
use super::{Oracle, Verdict};
use crate::crash::medium::{Medium, SECTOR};
use crate::crash::recording::{GuestDisk, Recording};
use crate::error::{Error, Result};
use crate::source::Format;
use std::path::{Path, PathBuf};

/// QEMU's tools: see the module.
#[derive(Clone, Debug)]
pub struct Qemu {
    /// States judged at once.
    pub jobs: usize,
    /// Whether a repair is asked for (`qemu-img check -r all`); else an open for writing does what
    /// it does by itself.
    pub repair: bool,
    /// Where the images of a chain are looked for: the folder of the backing file that the image
    /// names, where that is no absolute path.
    pub beside: Option<PathBuf>,
}

impl Default for Qemu {
    fn default() -> Self {
        Self { jobs: 4, repair: true, beside: None }
    }
}

impl Oracle for Qemu {
    fn name(&self) -> &str {
        "qemu"
    }

    fn depends_on_time(&self) -> bool {
        true
    }

    fn serves(&self, _: Format) -> bool {
        true
    }

    fn batch(&self) -> usize {
        self.jobs
    }

    fn judge(&self, case: &Case<'_>) -> Verdict {
        let (subject, medium, t) = (case.subject, case.medium, case.t);
        self.judge_state(subject, medium, t)
    }

    fn judge_all(&self, cases: &[&Case<'_>]) -> Vec<Verdict> {
        std::thread::scope(|scope| {
            let mut running = Vec::new();
            for case in cases {
                let (subject, medium, t) = (case.subject, case.medium, case.t);
                running.push(scope.spawn(move || self.judge_state(subject, medium, t)));
            }
            let lost = || Err("a judge panicked".to_owned());
            running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| lost())).collect()
        })
    }
}

impl Qemu {
    fn judge_state(&self, subject: &Subject, medium: &Medium, t: usize) -> Verdict {
        let format = subject.recording.format.name();
        let folder = Folder::new()?;
        let file = folder.file("state", medium)?;
        self.link_backing(&folder)?;
        if format != "raw" {
            // What it finds is repaired; whether that sufficed is asked afterwards.
            match self.repair {
                true => run("qemu-img", &["check", "-q", "-r", "all", "-f", format], &[&file])?,
                false => run("qemu-io", &["-f", format, "-c", "flush"], &[&file])?,
            };
            clean(&file, format)?;
        }
        let before = read(&folder, &file, format)?;
        for sector in subject.model.touched() {
            let Subject { model, initial, .. } = subject;
            if model.judge(sector, before.sector_digest(sector), t, initial).is_some() {
                let bytes = before.bytes(sector * SECTOR, SECTOR);
                return Err(model.tell(sector, &bytes, t, initial));
            }
        }
        if !subject.spare.is_empty() {
            self.live(subject, &folder, &file, &before)?;
        }
        Ok(())
    }

    /// More is written: what was there must stay.
    fn live(&self, subject: &Subject, folder: &Folder, file: &Path, before: &Medium) -> Verdict {
        let format = subject.recording.format.name();
        let mut arguments = vec!["-f".to_owned(), format.to_owned()];
        for (offset, bytes) in &subject.spare {
            let length = bytes.len();
            arguments.extend(["-c".to_owned(), format!("write -q -P 0xe7 {offset} {length}")]);
        }
        arguments.extend(["-c".to_owned(), "flush".to_owned()]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = run("qemu-io", &arguments, &[file])?;
        if !output.status.success() || !output.stderr.is_empty() {
            return Err(outcome("qemu-io", "write", &output));
        }
        if format != "raw" {
            clean(file, format).map_err(|what| format!("afterwards: {what}"))?;
        }
        let after = read(folder, file, format)?;
        for sector in subject.model.touched() {
            if after.sector_digest(sector) != before.sector_digest(sector) {
                let named = |medium: &Medium| {
                    crate::crash::guest::identify(&medium.bytes(sector * SECTOR, SECTOR))
                };
                let (after, before) = (named(&after), named(before));
                let text = format!("afterwards: guest sector {sector} reads {after}, not {before}");
                return Err(text);
            }
        }
        Ok(())
    }

    /// The images that the state may name, beside it.
    fn link_backing(&self, folder: &Folder) -> Verdict {
        let Some(beside) = &self.beside else { return Ok(()) };
        let entries = std::fs::read_dir(beside).map_err(|error| error.to_string())?;
        for entry in entries.flatten() {
            let link = folder.path(&entry.file_name().to_string_lossy());
            if !link.exists() {
                std::os::unix::fs::symlink(entry.path(), link).map_err(|e| e.to_string())?;
            }
        }
        Ok(())
    }
}

/// A check that finds nothing but leaks.
fn clean(file: &Path, format: &str) -> Verdict {
    let output = run("qemu-img", &["check", "-q", "-f", format], &[file])?;
    match output.status.code() {
        Some(0 | 3) => Ok(()),
        _ => Err(outcome("qemu-img", "check", &output)),
    }
}

/// The guest's disk as QEMU reads it.
fn read(folder: &Folder, file: &Path, format: &str) -> std::result::Result<Medium, String> {
    let copy = folder.path("guest");
    let output = run("qemu-img", &["convert", "-q", "-f", format, "-O", "raw"], &[file, &copy])?;
    if !output.status.success() {
        return Err(outcome("qemu-img", "convert", &output));
    }
    Medium::load(&copy).map_err(|error| error.to_string())
}

/// Understands a recording of any format that QEMU's tools read: the guest's disk before the first
/// call is what they say it is.
///
/// # Errors
/// The tools are not there, or cannot read what the log begins with.
pub fn subject_by_qemu(recording: Recording, qemu: &Qemu) -> Result<Subject> {
    let read = || {
        let folder = Folder::new()?;
        let file = folder.file("state", &Medium::new(&recording.log.base))?;
        qemu.link_backing(&folder)?;
        read(&folder, &file, recording.format.name())
    };
    let initial = GuestDisk::raw(read().map_err(Error::invalid)?);
    Ok(Subject::with_initial(recording, initial))
}
