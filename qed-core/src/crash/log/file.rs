//! Recordings to files and back, and what tells one log from another.

use super::load::{LoadOptions, load};
use super::marks::Line;
use super::save::save;
use crate::crash::guest::Call;
use crate::crash::random::{digest, mix};
use crate::crash::recording::{Recording, Writer};
use crate::error::{Error, Result};
use crate::storage::{Event, Log, Operation};
use std::path::Path;

/// Equal for equal logs, everywhere.
#[must_use]
pub fn digest_of(log: &Log) -> u64 {
    let mut sum = mix(log.base.length ^ mix(log.limits.atomic_unit));
    for (offset, bytes) in &log.base.blocks {
        sum = mix(sum ^ *offset).wrapping_add(digest(bytes));
    }
    for event in &log.events {
        sum = mix(sum).wrapping_add(digest(Line::of(event).encode().as_bytes()));
        if let Event::Issued { operation: Operation::Write { data, .. }, .. } = event {
            sum = mix(sum ^ digest(data));
        }
    }
    sum
}

/// The guest's calls of a foreign log from a text: a line each, with the number of entries that the
/// log held when it returned, then the call (`5 write 0+4096 fill=aa`).
///
/// # Errors
/// A line that makes no sense, or a count that runs backwards.
pub fn parse_workload(text: &str) -> Result<Vec<(Call, u64)>> {
    let mut workload: Vec<(Call, u64)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let wrong = || Error::invalid(format!("line {number} of the guest's calls: {line:?}"));
        let (entries, call) = line.split_once(' ').ok_or_else(wrong)?;
        let entries = entries.parse().map_err(|_| wrong())?;
        if workload.last().is_some_and(|(_, before)| *before > entries) {
            return Err(wrong());
        }
        workload.push((call.parse()?, entries));
    }
    Ok(workload)
}

impl Recording {
    /// Writes the log and the guest's calls into a new dm-log-writes file.
    ///
    /// # Errors
    /// A sector size that is none; what the operating system reports.
    pub fn save(&self, path: &Path, sector_size: u32) -> Result<()> {
        let bytes = save(&self.log, &self.calls, sector_size)?;
        let failed = |error| Error::io("writing a write log", error).in_file(path);
        std::fs::write(path, bytes).map_err(failed)
    }

    /// Reads a dm-log-writes file: one of our own, or anybody's with what it does not say itself.
    ///
    /// # Errors
    /// What breaks the format; what the operating system reports.
    pub fn load(path: &Path, options: &LoadOptions) -> Result<Self> {
        let failed = |error| Error::io("reading a write log", error).in_file(path);
        let bytes = std::fs::read(path).map_err(failed)?;
        let loaded = load(&bytes, options).map_err(|error| error.in_file(path))?;
        let writer = if loaded.own { Writer::Libqed } else { Writer::Foreign };
        Ok(Self { writer, ..Self::new(loaded.log, loaded.calls) })
    }
}
