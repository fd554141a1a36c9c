//! What every sector of the disk may hold: what it held when the process began, or what a later
//! step left there, unless a newer one is stable.

use std::collections::BTreeMap;
use std::ops::Range;

use qed_core::Flags;

use super::child::Reports;
use super::steps::{Dice, PART, SECTOR, Step, THREADS, bytes_of, writer};

type Sector = [u8; SECTOR as usize];

pub struct Disk {
    pub cluster: u64,
    /// What the disk held when it was last looked at.
    pub content: Vec<u8>,
}

impl Disk {
    /// Checks the disk's bytes after a round and remembers them.
    pub fn verify(&mut self, seed: u64, round: u64, reports: &Reports, bytes: Vec<u8>) {
        for thread in 0..THREADS {
            let legal = Versions::of_round(self, seed, round, thread, reports).sectors;
            for sector in thread * PART / SECTOR..(thread + 1) * PART / SECTOR {
                let place = place_of(sector);
                let (before, found) = (&self.content[place.clone()], &bytes[place]);
                let allowed = legal.get(&sector);
                let good = allowed.map_or(found == before, |all| all.iter().any(|v| v == found));
                assert!(
                    good,
                    "seed {seed}, round {round}: sector {sector} holds {}, held {}, legal are {:?}",
                    describe(found),
                    describe(before),
                    allowed.map(|all| all.iter().map(|v| describe(v)).collect::<Vec<_>>())
                );
            }
        }
        self.content = bytes;
    }
}

/// The legal contents of the sectors that a round has touched, the newest last.
struct Versions<'a> {
    disk: &'a Disk,
    sectors: BTreeMap<u64, Vec<Sector>>,
}

impl<'a> Versions<'a> {
    fn of_round(disk: &'a Disk, seed: u64, round: u64, thread: u64, reports: &Reports) -> Self {
        let mut versions = Self { disk, sectors: BTreeMap::new() };
        let mut dice = Dice::of(seed, round, thread);
        let done = reports.done[thread as usize];
        // The step behind the last one reported may have been done in part.
        for number in 0..=done {
            let step = dice.step(thread);
            versions.add(step, writer(round, thread, number), number < done);
            if number + 1 == reports.stable[thread as usize] {
                versions.sectors.values_mut().for_each(only_newest);
            }
        }
        versions
    }

    fn add(&mut self, step: Step, writer: u64, done: bool) {
        let (at, bytes, flags) = match step {
            Step::Write { at, length, flags } => (at, bytes_of(at, length, writer), flags),
            Step::Zero { at, length, flags } => (at, vec![0; length as usize], flags),
            Step::Discard { at, length } => {
                let clusters = self.whole_clusters(at, length);
                let length = clusters.end - clusters.start;
                (clusters.start, vec![0; length as usize], Flags::NONE)
            }
            Step::Flush => return,
        };
        let end = at + bytes.len() as u64;
        for sector in at / SECTOR..end.div_ceil(SECTOR) {
            let all = self
                .sectors
                .entry(sector)
                .or_insert_with(|| vec![self.disk.content[place_of(sector)].try_into().unwrap()]);
            let mut newest = *all.last().unwrap();
            let start = sector * SECTOR;
            let (from, to) = (at.max(start), end.min(start + SECTOR));
            newest[(from - start) as usize..(to - start) as usize]
                .copy_from_slice(&bytes[(from - at) as usize..(to - at) as usize]);
            all.push(newest);
            if done && flags.contains(Flags::FUA) {
                only_newest(all);
            }
        }
    }

    /// The clusters that a discard covers whole; of the disk's last one, what is there.
    fn whole_clusters(&self, at: u64, length: u64) -> Range<u64> {
        let (cluster, disk) = (self.disk.cluster, THREADS * PART);
        let start = at.next_multiple_of(cluster);
        let end = if at + length == disk { disk } else { (at + length) / cluster * cluster };
        start..end.max(start)
    }
}

fn only_newest(versions: &mut Vec<Sector>) {
    versions.drain(..versions.len() - 1);
}

fn place_of(sector: u64) -> Range<usize> {
    (sector * SECTOR) as usize..((sector + 1) * SECTOR) as usize
}

/// Who wrote the stamps at the two ends of a sector, and where: `sector/writer`.
fn describe(bytes: &[u8]) -> String {
    let stamp = |at: usize| {
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        format!("{}/{:#x}", word(at), word(at + 8))
    };
    format!("{}..{}", stamp(0), stamp(bytes.len() - 16))
}
