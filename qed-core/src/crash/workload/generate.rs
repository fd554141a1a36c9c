//! Random workloads: any operation, on any small image and disk. The same seed is the same line.

use super::resizing::resizing;
use super::working::below;
use super::{Step, Workload};
use crate::crash::guest::Call;
use crate::crash::random::Random;
use crate::storage::{CallKind, Trigger};

/// What kind of run is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Calls one after the other, reopened and killed now and then.
    Plain,
    /// Calls in the midst of flushes.
    DuringFlush,
    /// Calls in the midst of writes.
    DuringWrite,
    /// The disk fails.
    Faults,
    /// The disk grows and shrinks, with calls in the midst of that.
    Resizing,
    /// Writes in flight together, as a queue has them.
    Queued,
    /// Clusters and tables move, with calls beside it.
    Compacting,
    /// What lies below is brought in, by streams and by reads, with calls beside it.
    Streaming,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Plain,
        Self::DuringFlush,
        Self::DuringWrite,
        Self::Faults,
        Self::Resizing,
        Self::Queued,
        Self::Compacting,
        Self::Streaming,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::DuringFlush => "during-flush",
            Self::DuringWrite => "during-write",
            Self::Faults => "faults",
            Self::Resizing => "resizing",
            Self::Queued => "queued",
            Self::Compacting => "compacting",
            Self::Streaming => "streaming",
        }
    }
}

pub(super) const S: u64 = 512;

/// A workload of this shape.
#[must_use]
pub fn generate(shape: Shape, seed: u64) -> Workload {
    let mut random = Random::new(seed);
    let mut workload = image(&mut random);
    if shape == Shape::Streaming {
        workload = below(workload, &mut random);
    } else if seed % 2 == 1 {
        workload = with_hole(workload);
    }
    let Workload { cluster, table, size, .. } = workload;
    let mut maker = Maker { cluster, span: cluster * table / 8 * cluster, size, random };
    workload.steps = match shape {
        Shape::Plain => maker.some(4, 10, |maker| match maker.random.below(10) {
            0 => Step::Kill,
            1 => Step::Reopen,
            2 if maker.random.once_in(2) => Step::Repair,
            _ => Step::Make(maker.call()),
        }),
        Shape::DuringFlush => maker.during_flush(),
        Shape::DuringWrite => maker.during_write(),
        Shape::Faults => maker.faults(),
        Shape::Queued => maker.queued(),
        Shape::Compacting => maker.compacting(),
        Shape::Streaming => maker.streaming(),
        Shape::Resizing => return resizing(workload, maker.random),
    };
    workload
}

/// Some small image on some disk.
fn image(random: &mut Random) -> Workload {
    let mut workload = Workload::small(Vec::new());
    match random.below(8) {
        0 => (workload.cluster, workload.size) = (8192, 16 << 20),
        1 => (workload.cluster, workload.table, workload.size) = (65536, 1, 1 << 30),
        2 => workload.table = 2,
        _ => {}
    }
    if random.once_in(2) {
        let backing = 4 * workload.cluster + 5 * S;
        workload = workload.over(backing);
    }
    if random.once_in(3) {
        workload = workload.in_large_units();
    }
    if random.once_in(3) {
        workload = workload.without_punch();
    }
    workload
}

/// The same, with some whole clusters of its backing file, if it has one, and a part of one more
/// in a hole.
fn with_hole(workload: Workload) -> Workload {
    if workload.backing.is_none() {
        return workload;
    }
    let cluster = workload.cluster;
    workload.over(6 * cluster + 5 * S).with_hole(cluster + 3 * S..5 * cluster)
}

pub(super) struct Maker {
    pub(super) cluster: u64,
    /// Guest bytes under one L2 table.
    pub(super) span: u64,
    pub(super) size: u64,
    pub(super) random: Random,
}

impl Maker {
    pub(super) fn some<T>(
        &mut self,
        least: usize,
        more: usize,
        make: impl Fn(&mut Self) -> T,
    ) -> Vec<T> {
        let count = least + self.random.below(more);
        (0..count).map(|_| make(self)).collect()
    }

    /// A range of a few clusters under either L2 table, often whole clusters.
    pub(super) fn range(&mut self) -> (u64, u64) {
        let cluster = self.cluster;
        let mut below = |limit: usize| self.random.below(limit) as u64;
        let far = below(5) == 0 && self.span + 8 * cluster <= self.size;
        let index = if far { self.span / cluster + below(2) } else { below(6) };
        if below(2) == 0 {
            return (index * cluster, cluster * (1 + below(3)));
        }
        (index * cluster + below(8) * S, S * (1 + below(10)))
    }

    /// A change of the disk's content.
    pub(super) fn change(&mut self) -> Call {
        let kind = self.random.below(14);
        let (offset, length) = self.range();
        match kind {
            0..8 => Call::write(offset, length),
            8..12 => Call::Discard { offset, length },
            _ => Call::Zeroes { offset, length, forced: false, unmap: kind == 12 },
        }
    }

    pub(super) fn call(&mut self) -> Call {
        match self.random.below(20) {
            0..12 => self.change(),
            12 => {
                let (offset, length) = self.range();
                Call::Zeroes { offset, length, forced: true, unmap: self.random.once_in(2) }
            }
            13 => {
                let (offset, length) = self.range();
                Call::write_forced(offset, length)
            }
            _ => Call::Flush,
        }
    }

    fn during_flush(&mut self) -> Vec<Step> {
        let mut steps = vec![Step::write(0, self.cluster), Step::flush()];
        steps.extend(self.some(4, 7, |maker| {
            if maker.random.once_in(2) {
                return Step::Make(maker.call());
            }
            let kind = if maker.random.once_in(2) { CallKind::Sync } else { CallKind::Write };
            let when = Trigger::on(kind).nth(1 + maker.random.below(2) as u64);
            let when = if maker.random.once_in(2) { when } else { when.afterwards() };
            Step::During(Call::Flush, when, maker.some(1, 2, Self::change))
        }));
        steps
    }

    fn during_write(&mut self) -> Vec<Step> {
        let cluster = self.cluster;
        let mut steps = vec![Step::write(9 * cluster, cluster), Step::flush()];
        steps.extend(self.some(4, 7, |maker| {
            if maker.random.once_in(2) {
                return Step::Make(maker.call());
            }
            let start = 9 + maker.random.below(3) as u64;
            let slow = Call::write(start * cluster + 3 * S, 2 * cluster);
            let when = Trigger::on(CallKind::Write).metadata(false);
            let when = if maker.random.once_in(2) { when } else { when.afterwards() };
            Step::During(slow, when, maker.some(1, 4, Self::call))
        }));
        steps
    }

    fn queued(&mut self) -> Vec<Step> {
        // The session's first change, and both tables: from here on writes begin without waiting.
        let mut steps = vec![Step::write(9 * self.cluster, S)];
        if self.span + 8 * self.cluster <= self.size {
            steps.push(Step::write(self.span, S));
        }
        steps.extend(self.some(3, 5, |maker| match maker.random.below(8) {
            0..5 => Step::Queued(maker.some(2, 4, |maker| match maker.random.below(8) {
                0 => Call::Flush,
                1..3 => {
                    let (offset, length) = maker.range();
                    Call::write_forced(offset, length)
                }
                _ => maker.change(),
            })),
            5 => Step::Kill,
            _ => Step::Make(maker.call()),
        }));
        steps
    }

    /// Data writes fail half way, and their requests alone; then a write or a sync fails that
    /// latches, and what follows may fail as well.
    fn faults(&mut self) -> Vec<Step> {
        let mut steps = self.some(2, 5, |maker| Step::Make(maker.call()));
        let data = Trigger::on_any(&[CallKind::Write, CallKind::ZeroRange]).metadata(false);
        let length = S * self.random.below(9) as u64;
        steps.push(Step::Shorten(data.nth(1 + self.random.below(3) as u64), length));
        steps.push(Step::Fail(Trigger::on(CallKind::SetLen)));
        steps.push(Step::Fail(Trigger::on(CallKind::Punch)));
        steps.extend(self.some(2, 5, |maker| Step::Try(maker.call())));
        steps.push(Step::Fail(match self.random.below(3) {
            0 => Trigger::on(CallKind::Write).metadata(true),
            _ => Trigger::on(CallKind::Sync).nth(1 + self.random.below(2) as u64),
        }));
        steps.extend(self.some(2, 5, |maker| Step::Try(maker.call())));
        steps
    }
}
