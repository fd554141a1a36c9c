//! Commit: the guest reads the same before, after, and in every pair of states in between.

use super::joint::{Two, compare};
use super::{C, content, disk, image, pattern, quietly, scribble, settings};
use qed_core::crash::oracle::Tables;
use qed_core::crash::{Medium, MediumStorage, Plan, Random};
use qed_core::source::Source;
use qed_core::storage::{MemoryStorage, Storage};
use qed_core::{CommitOptions, Disk, ErrorKind, Flags, Format, commit_disks};
use std::ops::ControlFlow;
use std::sync::Arc;

/// An overlay over a base of another format, size and cluster size, and what is in them.
struct Chain {
    format: Format,
    base: Arc<MemoryStorage>,
    top: Arc<MemoryStorage>,
}

impl Chain {
    fn new(format: Format, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let size = |random: &mut Random| 512 * (8 + random.below(56) as u64);
        let (base_size, top_size) = (size(&mut random), size(&mut random));
        let base = match format {
            Format::Raw => {
                let bytes = usize::try_from(base_size).unwrap();
                Arc::new(MemoryStorage::from_bytes(&vec![0; bytes]))
            }
            _ => image(if random.once_in(2) { C } else { 2 * C }, base_size, false),
        };
        let top = image(C, top_size, true);
        let chain = Self { format, base, top };
        let below = disk(chain.base.clone(), format, None);
        scribble(&below, &mut random, 4);
        below.close().unwrap();
        let (above, below) = chain.open(chain.top.clone(), chain.base.clone());
        scribble(&above, &mut random, 5);
        above.close().unwrap();
        drop(below);
        chain
    }

    fn open(&self, top: Arc<dyn Storage>, base: Arc<dyn Storage>) -> (Disk, Arc<Disk>) {
        let base = Arc::new(disk(base, self.format, None));
        (disk(top, Format::Qed, Some(Arc::clone(&base) as Arc<dyn Source>)), base)
    }

    fn commit(&self, top: Arc<dyn Storage>, base: Arc<dyn Storage>, keep: bool) {
        let (top, base) = self.open(top, base);
        let mut options = CommitOptions::default();
        options.keep = keep;
        commit_disks(top, base, 1, &options, &mut quietly).unwrap();
    }

    /// What the guest reads of a pair of states.
    fn read(&self, top: &Medium, base: &Medium) -> Result<Vec<u8>, String> {
        let limits = self.top.limits();
        let mut read_only = settings();
        read_only.read_only = true;
        let open = |medium: &Medium, format, below| {
            let storage = Arc::new(MediumStorage::new(medium.clone(), limits));
            Disk::from_storage(storage, format, below, read_only.clone())
        };
        let told = |error: qed_core::Error| error.to_string();
        let base = open(base, self.format, None).map_err(told)?;
        let top = open(top, Format::Qed, Some(Arc::new(base))).map_err(told)?;
        let mut bytes = vec![0; usize::try_from(top.size()).unwrap()];
        top.pread(&mut bytes, 0).map_err(told)?;
        Ok(bytes)
    }
}

/// Commits, and judges every pair of states; each leads to the same end if it is done again.
fn explore(format: Format, seed: u64, base_syncs: bool, again: bool) -> Result<usize, String> {
    let chain = Chain::new(format, seed);
    let expected = {
        let (top, _base) = chain.open(chain.top.clone(), chain.base.clone());
        content(&top)
    };
    let two = Two::new(chain.top.clone(), chain.base.clone(), base_syncs);
    chain.commit(two.first.clone(), two.second.clone(), false);
    let plan = Plan { full: 4, torn_full: 2, samples: 6, seed, ..Plan::default() };
    two.judge(&plan, |top, base| {
        Tables::read(top).map_err(|what| format!("the overlay: {what}"))?;
        if chain.format == Format::Qed {
            Tables::read(base).map_err(|what| format!("the base: {what}"))?;
        }
        compare(&chain.read(top, base)?, &expected)?;
        if again && (top.digest() ^ base.digest()).is_multiple_of(8) {
            let limits = chain.top.limits();
            let [top, base] =
                [top, base].map(|medium| Arc::new(MediumStorage::new(medium.clone(), limits)));
            chain.commit(top.clone(), base.clone(), false);
            compare(&chain.read(&top.medium(), &base.medium())?, &expected)?;
        }
        Ok(())
    })
}

#[test]
fn every_pair_of_states_of_a_commit_reads_the_same() {
    let mut pairs = 0;
    for seed in 0..30 {
        for format in [Format::Raw, Format::Qed] {
            pairs += explore(format, seed, true, true).unwrap_or_else(|what| {
                panic!("{format} {seed}: {what}");
            });
        }
    }
    println!("{pairs} pairs");
    assert!(pairs > 1500, "only {pairs} pairs");
}

#[test]
fn a_commit_that_does_not_wait_for_the_base_is_found() {
    // Goal: the exploration can fail. Method: the base's syncs do nothing.
    let found = (0..8).any(|seed| explore(Format::Raw, seed, false, false).is_err());
    assert!(found, "nothing was lost");
}

#[test]
fn crashes_inside_a_commit_that_is_done_again_read_the_same() {
    // Goal: nested crashes. Method: a state in the midst of a commit is committed, recorded anew.
    let mut inner = 0;
    for seed in 0..6 {
        let chain = Chain::new(Format::Raw, seed);
        let expected = {
            let (top, _base) = chain.open(chain.top.clone(), chain.base.clone());
            content(&top)
        };
        let two = Two::new(chain.top.clone(), chain.base.clone(), true);
        chain.commit(two.first.clone(), two.second.clone(), false);
        let plan = Plan { full: 3, torn_full: 1, samples: 2, ..Plan::default() };
        two.judge(&plan, |top, base| {
            let limits = chain.top.limits();
            let [top, base] =
                [top, base].map(|medium| Arc::new(MediumStorage::new(medium.clone(), limits)));
            let nested = Two::new(top, base, true);
            chain.commit(nested.first.clone(), nested.second.clone(), false);
            inner +=
                nested.judge(&plan, |top, base| compare(&chain.read(top, base)?, &expected))?;
            Ok(())
        })
        .unwrap();
    }
    assert!(inner > 500, "only {inner} nested pairs");
}

#[test]
fn a_commit_empties_the_overlay_or_keeps_it_and_grows_the_base() {
    for keep in [false, true] {
        let chain = Chain { format: Format::Raw, base: raw(2 * C), top: image(C, 6 * C, true) };
        let (top, base) = chain.open(chain.top.clone(), chain.base.clone());
        top.pwrite(&[7; 4096], 4 * C, Flags::NONE).unwrap();
        top.write_zeroes(0, C, Flags::MAY_UNMAP).unwrap();
        let before = content(&top);
        top.close().unwrap();
        drop(base);
        chain.commit(chain.top.clone(), chain.base.clone(), keep);
        assert_eq!(content(&disk(chain.base.clone(), Format::Raw, None)), before);
        let (top, _base) = chain.open(chain.top.clone(), chain.base.clone());
        assert_eq!(content(&top), before);
        let allocated = qed_core::check_storage(&*chain.top).unwrap().allocated_clusters;
        assert_eq!((allocated, chain.top.len().unwrap() == 2 * C), (u64::from(keep), !keep));
    }
}

#[test]
fn a_layer_that_is_shorter_than_its_neighbours_hides_what_lies_below_it() {
    // Goal: a commit into a lower base gives it the zeroes that a short layer shows. Method: base
    // and top of ten clusters, with one of four in between.
    let base = Arc::new(disk(raw(10 * C), Format::Raw, None));
    base.pwrite(&vec![9; 40960], 0, Flags::NONE).unwrap();
    let below = Arc::clone(&base) as Arc<dyn Source>;
    let middle = Arc::new(disk(image(C, 4 * C, true), Format::Qed, Some(below)));
    middle.pwrite(&[3; 512], C, Flags::NONE).unwrap();
    let top = disk(image(C, 10 * C, true), Format::Qed, Some(middle as Arc<dyn Source>));
    top.pwrite(&[4; 512], 8 * C, Flags::NONE).unwrap();
    let before = content(&top);
    let mut options = CommitOptions::default();
    options.keep = true;
    let copy = Arc::clone(&base);
    let failed = commit_disks(top, copy, 2, &options, &mut quietly);
    // This test holds the base, so it cannot be closed: all else is done.
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(content(&*base), before);
}

#[test]
fn a_cancelled_commit_changes_nothing_for_the_guest() {
    let chain = Chain::new(Format::Qed, 5);
    let (top, base) = chain.open(chain.top.clone(), chain.base.clone());
    let before = content(&top);
    let mut options = CommitOptions::default();
    options.rate = Some(1);
    let cancel = &mut |_, _| ControlFlow::Break(());
    let cancelled = commit_disks(top, base, 1, &options, cancel);
    assert_eq!(cancelled.unwrap_err().kind(), ErrorKind::Cancelled);
    let (top, _base) = chain.open(chain.top.clone(), chain.base.clone());
    assert_eq!(content(&top), before);
}

fn raw(size: u64) -> Arc<MemoryStorage> {
    let bytes = content(&pattern(size));
    Arc::new(MemoryStorage::from_bytes(&bytes))
}
