//! Workloads as data: an image, and what is done to it, in one line that is printed, parsed back,
//! run again and shrunk.
//!
//! Runs have no background work, and one thread: the same line leaves the same log. Faults can
//! strike above the recorder, where the disk never hears of the call, and below it, where the disk
//! is what fails.

mod backing;
mod faults;
mod generate;
mod image;
mod profile;
mod queued;
mod resizing;
mod run;
mod shrink;
mod step;
mod text;
mod work;
mod working;

pub use backing::{PatternSource, Under};
pub use faults::{Fault, FaultKind, every_fault, judge_faults};
pub use generate::{Shape, generate};
pub use image::empty_image;
pub use profile::{QUICK, quick};
pub use shrink::{shrink, shrink_by};
pub use step::Step;
pub use work::Work;

use super::explore::{Explorer, Report};
use super::guest::MOST_BYTES;
use super::oracle::{Oracle, Panel, Subject};
use super::random::to_usize;
use super::recording::Recording;
use super::states::Plan;
use crate::error::Result;
use crate::image::ImageSettings;
use crate::source::Source;
use std::ops::Range;
use std::sync::Arc;

/// An image and what is done to it.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Bytes of a cluster.
    pub cluster: u64,
    /// Clusters of a table.
    pub table: u64,
    /// Guest bytes.
    pub size: u64,
    /// Bytes that the disk writes as a whole.
    pub unit: u64,
    /// Whether the disk can punch holes.
    pub punches: bool,
    /// The backing file, where there is one.
    pub backing: Option<PatternSource>,
    /// Bytes of the file below that one, where there is one: then each has a part of the data.
    pub lower: Option<u64>,
    /// Whether the image keeps what it reads from below.
    pub copy_on_read: bool,
    /// Bytes of the file before the first step; 0: as many as the empty image has.
    pub length: u64,
    /// Words put into the empty image, by their place: what another writer left.
    pub words: Vec<(u64, u64)>,
    /// How the image is opened; no part of the line.
    pub settings: ImageSettings,
    /// What is done.
    pub steps: Vec<Step>,
}

impl Workload {
    /// Over an empty image of 4 MiB in clusters of 4 KiB and tables of one: two L2 tables.
    #[must_use]
    pub fn small(steps: Vec<Step>) -> Self {
        Self {
            cluster: 4096,
            table: 1,
            size: 4 << 20,
            unit: 512,
            punches: true,
            backing: None,
            lower: None,
            copy_on_read: false,
            length: 0,
            words: Vec::new(),
            settings: ImageSettings { background: false, ..ImageSettings::default() },
            steps,
        }
    }

    /// The same over a backing file of `backing` bytes of data.
    #[must_use]
    pub fn over(self, backing: u64) -> Self {
        Self { backing: Some(PatternSource::new(backing)), ..self }
    }

    /// The same over a backing file that reads as zeroes in `hole`.
    #[must_use]
    pub fn with_hole(self, hole: Range<u64>) -> Self {
        Self { backing: self.backing.map(|backing| backing.with_hole(hole)), ..self }
    }

    /// The same on a disk that writes 4096 bytes as a whole.
    #[must_use]
    pub fn in_large_units(self) -> Self {
        Self { unit: 4096, ..self }
    }

    /// The same on a disk that cannot punch holes.
    #[must_use]
    pub fn without_punch(self) -> Self {
        Self { punches: false, ..self }
    }

    /// The image before the first step.
    #[must_use]
    pub fn image(&self) -> Vec<u8> {
        let features = if self.backing.is_some() { 5 } else { 0 };
        let mut bytes = empty_image(self.cluster, self.table, self.size, features);
        bytes.resize(bytes.len().max(to_usize(self.length)), 0);
        for (offset, word) in &self.words {
            let at = to_usize(*offset);
            if let Some(place) = bytes.get_mut(at..at.saturating_add(8)) {
                place.copy_from_slice(&word.to_le_bytes());
            }
        }
        bytes
    }

    /// What stands below the image, where anything does.
    #[must_use]
    pub fn under(&self) -> Option<Under> {
        let Self { lower, cluster, .. } = *self;
        self.backing.clone().map(|upper| Under { upper, lower, cluster })
    }

    /// What lies below the image.
    #[must_use]
    pub fn source(&self) -> Option<Arc<dyn Source>> {
        self.under().map(|under| under.source())
    }

    /// How the image is opened.
    #[must_use]
    pub fn settings(&self) -> ImageSettings {
        ImageSettings { copy_on_read: self.copy_on_read, ..self.settings.clone() }
    }

    /// Runs the steps, recorded.
    ///
    /// # Errors
    /// A step failed that was to succeed.
    pub fn record(&self) -> Result<Recording> {
        run::record(self)
    }

    /// Runs the steps and judges the states that a crash may leave, on disks of this workload's
    /// unit.
    ///
    /// # Errors
    /// A step failed that was to succeed.
    pub fn explore(&self, plan: &Plan, oracles: &[Arc<dyn Oracle>]) -> Result<Report> {
        let subject = Subject::new(self.record()?)?;
        let plan = Plan { unit: self.unit, ..plan.clone() };
        let explorer = Explorer::new(&subject.recording.log, &subject.boundaries(), plan);
        explorer.run(&explorer.whole(), &mut Panel::new(&subject, oracles.to_vec()))
    }
}
