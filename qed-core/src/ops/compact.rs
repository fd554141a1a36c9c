//! Compaction: the file holds what the guest has, in the guest's order, and nothing else.
//!
//! ```text
//! header | L1 | L2 tables, in one run | the guest's clusters in ascending order
//! ```
//!
//! Works from the front, with the L1 table first. What stands in a place that is wanted is moved
//! out of the way first, to wherever there is room; then the places are filled, and what moved left
//! its own place to be filled later. Guest I/O may run beside it: a cluster is claimed while it
//! moves, in batches, and only for so long. What the guest changes behind the work's back may need
//! another pass, of which there are few. At the end the file is cut.

mod places;

use super::stint::{Stint, in_stints};
use super::work::{Job, Progress};
use crate::addr::GuestCluster;
use crate::chain::Disk;
use crate::error::Result;
use crate::image::Image;
use crate::meta::plan::relocate::Move;
use crate::sync::{Mutex, Rank};
use places::Places;

/// How an image is compacted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactOptions {
    /// Bytes of data that move at once, and are kept from the guest's writes meanwhile.
    pub batch: u64,
}

impl Default for CompactOptions {
    fn default() -> Self {
        Self { batch: DEFAULT_BATCH }
    }
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactReport {
    /// Moves of the guest's clusters, those out of the way included.
    pub clusters_moved: u64,
    /// Moves of tables, those out of the way included.
    pub tables_moved: u64,
    /// Bytes of the file before.
    pub length_before: u64,
    /// Bytes of the file afterwards.
    pub length_after: u64,
}

/// Brings the clusters of `disk`, a QED image that is open for writing, into the guest's order and
/// cuts the file. Guest I/O may go on beside it.
///
/// `progress` is called as [`convert`](crate::convert()) calls it, with bytes of the file; where it
/// breaks off, what has moved has moved and the image is as sound as before.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a disk of another format, [`ErrorKind::Busy`] where the image is
/// being compacted already, [`ErrorKind::Damaged`] for an image that needs a repair,
/// [`ErrorKind::ReadOnly`], [`ErrorKind::NoSpace`], [`ErrorKind::Cancelled`]; what reading and
/// writing report.
///
/// [`ErrorKind::Unsupported`]: crate::ErrorKind::Unsupported
/// [`ErrorKind::Busy`]: crate::ErrorKind::Busy
/// [`ErrorKind::Damaged`]: crate::ErrorKind::Damaged
/// [`ErrorKind::ReadOnly`]: crate::ErrorKind::ReadOnly
/// [`ErrorKind::NoSpace`]: crate::ErrorKind::NoSpace
/// [`ErrorKind::Cancelled`]: crate::ErrorKind::Cancelled
pub fn compact(
    disk: &Disk,
    options: &CompactOptions,
    progress: &mut Progress<'_>,
) -> Result<CompactReport> {
    let before = disk.info()?.file_length;
    let job = Job::new(before);
    let report = Mutex::new(Rank::Work, CompactReport::default());
    job.run(1, progress, &|| {
        in_stints(disk, &job, "compacted", |image, stint| {
            let done = bring_into_order(image, options, stint, &report);
            done.map_err(|error| image.named_error(error))
        })
    })?;
    let moved = *report.lock();
    Ok(CompactReport { length_before: before, length_after: disk.info()?.file_length, ..moved })
}

/// As [`compact`], for an image by itself.
///
/// # Errors
/// As there.
pub fn compact_image(
    image: &Image,
    options: &CompactOptions,
    progress: &mut Progress<'_>,
) -> Result<CompactReport> {
    let before = image.info()?.file_length;
    let job = Job::new(before);
    let report = Mutex::new(Rank::Work, CompactReport::default());
    let alone = Stint::alone(&job);
    job.run(1, progress, &|| bring_into_order(image, options, &alone, &report))?;
    let moved = *report.lock();
    Ok(CompactReport { length_before: before, length_after: image.info()?.file_length, ..moved })
}

/// What one stint of it does, added to `report`.
fn bring_into_order(
    image: &Image,
    options: &CompactOptions,
    stint: &Stint<'_>,
    report: &Mutex<CompactReport>,
) -> Result<()> {
    let mut work = Compaction::new(image, options, stint)?;
    let done = work.run();
    let (clusters, tables) = work.places.moved();
    let mut report = report.lock();
    report.clusters_moved += clusters;
    report.tables_moved += tables;
    done
}

struct Compaction<'a> {
    places: Places<'a>,
    stint: &'a Stint<'a>,
    /// Clusters in a batch.
    batch: usize,
    /// Something did not come to lie where it belongs.
    imperfect: bool,
}

impl<'a> Compaction<'a> {
    fn new(image: &'a Image, options: &CompactOptions, stint: &'a Stint<'a>) -> Result<Self> {
        let mover = image.mover()?;
        let batch = (options.batch / image.cluster_size()).clamp(1, MOST_CLUSTERS);
        Ok(Self {
            places: Places::new(image, mover, stint),
            stint,
            batch: usize::try_from(batch).unwrap_or(1),
            imperfect: false,
        })
    }

    fn run(&mut self) -> Result<()> {
        for _ in 0..PASSES {
            self.imperfect = false;
            self.places.start_over();
            self.place_l1()?;
            self.place_tables()?;
            self.place_clusters()?;
            if !self.imperfect {
                break;
            }
        }
        self.places.finish()
    }

    /// The L1 table right behind the header, from where a header that was widened has moved it.
    fn place_l1(&mut self) -> Result<()> {
        let count = self.places.mover.meta.geometry.table_clusters();
        loop {
            self.stint.check()?;
            let Some(at) = self.places.next_run(count)? else { return Ok(()) };
            let from = self.places.l1();
            let first = self.places.first();
            if from <= at {
                if from == first || from >= first + count {
                    return Ok(());
                }
                // Its own place reaches into the one that it is to have.
                if !self.places.move_l1_elsewhere()? {
                    self.imperfect = true;
                    return Ok(());
                }
                self.places.start_over();
                continue;
            }
            let wanted: Vec<u64> = (at..at + count).collect();
            if let Some(blocked) = self.places.clear(&wanted)? {
                self.imperfect = true;
                self.places.advance_to(blocked + 1);
            } else if self.places.move_l1(at)? {
                self.places.start_over();
                return Ok(());
            }
        }
    }

    /// The L2 tables in one run from the front.
    fn place_tables(&mut self) -> Result<()> {
        for index in 0..self.places.mover.meta.l1_entries() {
            self.stint.check()?;
            let count = self.places.mover.meta.geometry.table_clusters();
            while let Some(from) = self.places.table(index)? {
                let Some(at) = self.places.next_run(count)? else {
                    self.imperfect = true;
                    return Ok(());
                };
                if from == at {
                    self.places.advance_to(at + count);
                    break;
                }
                let wanted: Vec<u64> = (at..at + count).collect();
                if let Some(blocked) = self.places.clear(&wanted)? {
                    self.imperfect = true;
                    self.places.advance_to(blocked + 1);
                    continue;
                }
                // It may have stood in its own way, and have been moved.
                if self.places.move_table(index, at)? {
                    self.places.advance_to(at + count);
                    break;
                }
            }
        }
        Ok(())
    }

    /// The guest's clusters behind them, in batches.
    fn place_clusters(&mut self) -> Result<()> {
        let mut next = GuestCluster(0);
        loop {
            self.stint.check()?;
            let Some(batch) = self.gather(next)? else { return Ok(()) };
            let wanted: Vec<u64> = batch.moves.iter().map(|moved| moved.to.get()).collect();
            if let Some(blocked) = self.places.clear(&wanted)? {
                self.imperfect = true;
                self.places.block(blocked);
                continue;
            }
            if !batch.moves.is_empty() {
                let skipped = self.places.fill(batch.moves)?;
                self.imperfect |= skipped > 0;
            }
            self.places.advance_to(batch.end);
            next = batch.next;
        }
    }

    /// The next clusters that are not where they belong, as many as a batch and a window hold. None
    /// at the end.
    fn gather(&mut self, from: GuestCluster) -> Result<Option<Batch>> {
        let Some(mut at) = self.places.next_run(1)? else { return Ok(None) };
        let window_end = self.places.window_end();
        let mut batch = Batch { moves: Vec::new(), end: at, next: from };
        while batch.moves.len() < self.batch {
            at = self.places.skip(at);
            if at >= window_end {
                break;
            }
            let Some((cluster, place)) = self.places.next_data(batch.next)? else {
                return Ok((!batch.moves.is_empty()).then_some(batch));
            };
            if place.get() != at {
                batch.moves.push(Move { cluster, to: crate::addr::FileCluster(at) });
            }
            at += 1;
            (batch.end, batch.next) = (at, GuestCluster(cluster.get() + 1));
        }
        Ok(Some(batch))
    }
}

/// Clusters that move at once.
struct Batch {
    moves: Vec<Move>,
    /// Where the next batch begins, in the file and on the disk.
    end: u64,
    next: GuestCluster,
}

/// The default for [`CompactOptions::batch`].
const DEFAULT_BATCH: u64 = 16 << 20;
/// Clusters in a batch at most.
const MOST_CLUSTERS: u64 = 4096;
/// How often the work begins anew where guest I/O has come between.
const PASSES: usize = 3;
