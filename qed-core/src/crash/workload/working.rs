//! Random workloads of work on whole images: what moves clusters, and what brings them in from
//! below, with the guest's calls beside it, between reopens, kills and repairs.

use super::generate::{Maker, S};
use super::{Step, Work, Workload};
use crate::crash::guest::Call;
use crate::crash::random::Random;
use crate::storage::{CallKind, Trigger};

/// Some file below the image, or two, and perhaps an image that keeps what it reads of them.
pub(super) fn below(workload: Workload, random: &mut Random) -> Workload {
    let clusters = |random: &mut Random| {
        (2 + random.below(7) as u64) * workload.cluster + random.below(8) as u64 * S
    };
    let backing = clusters(random);
    let lower = random.once_in(2).then(|| clusters(random));
    let cluster = workload.cluster;
    let mut workload = workload.over(backing);
    if random.once_in(3) {
        workload = workload.with_hole(cluster + 3 * S..3 * cluster);
    }
    Workload { lower, copy_on_read: random.once_in(3), ..workload }
}

impl Maker {
    /// Data in no order, with holes, which is brought into order.
    pub(super) fn compacting(&mut self) -> Vec<Step> {
        let mut steps = self.some(3, 4, |maker| Step::Make(maker.somewhere()));
        steps.push(Step::flush());
        let freed = self.random.below(3);
        for _ in 0..freed {
            let (offset, length) = self.whole_clusters();
            steps.push(Step::discard(offset, length));
        }
        if freed > 0 {
            steps.push(Step::flush());
        }
        self.goes_on(steps, |maker| Work::Compact(maker.batch()))
    }

    /// Some data of the image's own, and the rest from below.
    pub(super) fn streaming(&mut self) -> Vec<Step> {
        let mut steps = self.some(1, 3, |maker| Step::Make(maker.change()));
        if self.random.once_in(2) {
            steps.push(Step::flush());
        }
        self.goes_on(steps, |maker| match maker.random.below(6) {
            0 => Work::Compact(maker.batch()),
            1..4 => Work::StreamToLower,
            _ => Work::Stream,
        })
    }

    /// Work, once at least, among calls and ends of the session. The first change of a session is
    /// made before it, so that no lock is held at a sync.
    fn goes_on(&mut self, mut steps: Vec<Step>, work: impl Fn(&mut Self) -> Work) -> Vec<Step> {
        let count = 2 + self.random.below(5);
        let first = self.random.below(2);
        for number in 0..count {
            match self.random.below(10) {
                0..5 => self.work(&mut steps, &work),
                _ if number == first => self.work(&mut steps, &work),
                5 => {
                    let end =
                        [Step::Reopen, Step::Kill, Step::Repair][self.random.below(3)].clone();
                    steps.extend([end, Step::Make(self.somewhere())]);
                }
                6 => steps.push(Step::Make(self.read())),
                _ => steps.push(Step::Make(self.call())),
            }
        }
        steps
    }

    /// Work by itself, or with calls from its midst.
    fn work(&mut self, steps: &mut Vec<Step>, work: &impl Fn(&mut Self) -> Work) {
        let work = work(self);
        if self.random.once_in(3) {
            return steps.push(Step::Work(work));
        }
        let (kind, metadata) = match self.random.below(6) {
            0 | 1 => (CallKind::Write, Some(false)),
            2 | 3 => (CallKind::Write, Some(true)),
            _ => (CallKind::Sync, None),
        };
        let when = Trigger::on(kind).nth(1 + self.random.below(4) as u64);
        let when = metadata.map_or(when.clone(), |metadata| when.metadata(metadata));
        let when = if self.random.once_in(2) { when } else { when.afterwards() };
        let mut inside = self.some(1, 3, |maker| match maker.random.below(6) {
            0 => maker.read(),
            1 => maker.somewhere(),
            2 | 3 => maker.allocating(),
            _ => maker.change(),
        });
        if self.random.once_in(2) {
            inside.push(Call::Flush);
        }
        steps.push(Step::Beside(work, when, inside));
    }

    /// A write of whole clusters, under the second L2 table as often as not.
    fn somewhere(&mut self) -> Call {
        let (offset, length) = self.whole_clusters();
        Call::write(offset, length)
    }

    fn whole_clusters(&mut self) -> (u64, u64) {
        let offset = self.under_a_table() + self.random.below(6) as u64 * self.cluster;
        (offset, self.cluster * (1 + self.random.below(2) as u64))
    }

    /// A write into a cluster that nothing else writes into: it needs an entry of its own.
    fn allocating(&mut self) -> Call {
        let offset = self.under_a_table() + (8 + self.random.below(6) as u64) * self.cluster;
        Call::write(offset, self.cluster)
    }

    /// Where the part of one of the tables begins.
    fn under_a_table(&mut self) -> u64 {
        let far = self.random.once_in(2) && self.span + 16 * self.cluster <= self.size;
        if far { self.span } else { 0 }
    }

    fn read(&mut self) -> Call {
        let (offset, length) = self.range();
        Call::Read { offset, length }
    }

    /// Bytes that move at once.
    fn batch(&mut self) -> u64 {
        self.cluster << (self.random.below(3) * 2)
    }
}
