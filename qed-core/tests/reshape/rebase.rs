//! Rebase: whatever a crash leaves reads the same over the backing file that it names.

use super::joint::compare;
use super::{C, content, disk, image, pattern, quietly, scribble, settings};
use qed_core::crash::oracle::Tables;
use qed_core::crash::workload::PatternSource;
use qed_core::crash::{Medium, MediumStorage, Plan, Random, explore};
use qed_core::source::Source;
use qed_core::storage::{MemoryStorage, Recorder, Storage};
use qed_core::{Disk, ErrorKind, Flags, Format, ImageSettings, Rule, Rules, rebase_disk};
use std::sync::Arc;

/// What the crash workloads' images name as their backing file.
const OLD: &str = "base";

/// The backing files by their names.
struct Files {
    old: Arc<dyn Source>,
    new: Option<Arc<MemoryStorage>>,
    new_name: String,
}

impl Files {
    /// Two backing files of which parts are alike.
    fn new(seed: u64, new_name: &str) -> Self {
        let mut random = Random::new(seed);
        let mut size = || 512 * (8 + random.below(40) as u64);
        let (old, new) = (size(), size());
        let storage = Arc::new(MemoryStorage::from_bytes(&content(&pattern(new))));
        scribble(&disk(storage.clone(), Format::Raw, None), &mut random, 3);
        let new = (!new_name.is_empty()).then_some(storage);
        Self { old: Arc::new(PatternSource::new(old)), new, new_name: new_name.to_owned() }
    }

    fn new_disk(&self) -> Option<Disk> {
        self.new.clone().map(|storage| disk(storage, Format::Raw, None))
    }

    fn name(&self) -> Option<(&[u8], bool)> {
        self.new.as_ref().map(|_| (self.new_name.as_bytes(), true))
    }

    /// What the guest reads of `storage`, over the file that it names.
    fn read(&self, storage: Arc<dyn Storage>) -> Result<Vec<u8>, String> {
        let told = |error: qed_core::Error| error.to_string();
        let mut read_only = settings();
        read_only.read_only = true;
        let alone = Disk::from_storage(storage.clone(), Format::Qed, None, read_only.clone());
        let backing = alone.map_err(told)?.info().map_err(told)?.backing;
        let below: Option<Arc<dyn Source>> = match backing {
            None => None,
            Some(backing) if backing.name == OLD.as_bytes() => Some(Arc::clone(&self.old)),
            Some(backing) if backing.name == self.new_name.as_bytes() => {
                if backing.format != Some(Format::Raw) {
                    return Err("the new backing file is not said to be raw".to_owned());
                }
                self.new_disk().map(|disk| Arc::new(disk) as Arc<dyn Source>)
            }
            Some(backing) => {
                return Err(format!("names {:?}", String::from_utf8_lossy(&backing.name)));
            }
        };
        let disk = Disk::from_storage(storage, Format::Qed, below, read_only).map_err(told)?;
        let mut bytes = vec![0; usize::try_from(disk.size()).unwrap()];
        disk.pread(&mut bytes, 0).map_err(told)?;
        Ok(bytes)
    }

    /// Rebases the image in `storage` from the old file to the new one.
    fn rebase(&self, storage: Arc<dyn Storage>, settings: ImageSettings) -> qed_core::Result<()> {
        let below = Some(Arc::clone(&self.old));
        let top = Disk::from_storage(storage, Format::Qed, below, settings).unwrap();
        rebase_disk(top, self.new_disk().as_ref(), self.name(), None, &mut quietly)
    }
}

/// An overlay of the old file with some data of its own.
fn overlay(seed: u64, files: &Files) -> Arc<MemoryStorage> {
    let mut random = Random::new(seed ^ 77);
    let storage = image(C, 512 * (8 + random.below(56) as u64), true);
    let top = disk(storage.clone(), Format::Qed, Some(Arc::clone(&files.old)));
    scribble(&top, &mut random, 4);
    top.close().unwrap();
    storage
}

fn long(length: usize) -> String {
    "n".repeat(length)
}

/// Rebases, and judges every state; gives their number.
fn play(seed: u64, name: &str, rules: Rules) -> Result<usize, String> {
    let files = Files::new(seed, name);
    let storage = overlay(seed, &files);
    let expected = files.read(storage.clone()).unwrap();
    let recorder = Arc::new(Recorder::new(storage.clone()).unwrap());
    let mut ours = settings();
    ours.rules = rules;
    files.rebase(recorder.clone(), ours).map_err(|error| error.to_string())?;
    let plan = Plan { full: 6, samples: 20, seed, ..Plan::default() };
    let limits = storage.limits();
    let reopened = |medium: &Medium| Arc::new(MediumStorage::new(medium.clone(), limits));
    let report = explore(&recorder.log(), &[], &plan, |medium, _| {
        Tables::read(medium)?;
        compare(&files.read(reopened(medium))?, &expected)?;
        if !medium.digest().is_multiple_of(8) {
            return Ok(());
        }
        // Done again where it is not done, and crashed in the midst of that.
        let again = Arc::new(Recorder::new(reopened(medium)).unwrap());
        let named = disk(reopened(medium), Format::Qed, None).info().unwrap().backing;
        if named.is_none_or(|backing| backing.name != OLD.as_bytes()) {
            return Ok(());
        }
        files.rebase(again.clone(), settings()).map_err(|error| error.to_string())?;
        let plan = Plan { full: 3, torn_full: 1, samples: 3, ..Plan::default() };
        let nested = explore(&again.log(), &[], &plan, |medium, _| {
            Tables::read(medium)?;
            compare(&files.read(reopened(medium))?, &expected)
        });
        nested.failures.first().map_or(Ok(()), |failure| Err(format!("nested: {failure}")))
    });
    match report.failures.first() {
        Some(failure) => Err(failure.to_string()),
        None => Ok(report.unique()),
    }
}

#[test]
fn every_state_of_a_rebase_reads_the_same_over_what_it_names() {
    // A name in the header's sector, one behind it, one for which the L1 table makes room, none.
    let mut states = 0;
    for seed in 0..10 {
        for name in ["other", &long(448), &long(449), &long(3500), &long(4095), ""] {
            states += play(seed, name, Rules::default()).unwrap_or_else(|what| {
                panic!("seed {seed}, a name of {} bytes: {what}", name.len());
            });
        }
    }
    println!("{states} states");
    assert!(states > 1000, "only {states} states");
}

#[test]
fn a_switch_that_does_not_wait_for_the_name_is_found() {
    // Goal: C18. Method: the header names what is not stable yet.
    let found =
        (0..4).any(|seed| play(seed, &long(2000), Rules::without(Rule::SwitchAfterSync)).is_err());
    assert!(found, "nothing was lost");
}

#[test]
fn names_come_and_go_as_long_as_the_header_has_room() {
    // Goal: each name replaces the one before, whatever their lengths. Method: one image, many
    // names; its own file's length and the check say that nothing was left about.
    let files = Files::new(1, "other");
    let storage = overlay(1, &files);
    for length in [1, 448, 3000, 10, 1500, 2000, 4095, 3000, 5, 449] {
        let name = long(length);
        let top = disk(storage.clone(), Format::Qed, Some(Arc::clone(&files.old)));
        rebase_disk(top, None, Some((name.as_bytes(), false)), None, &mut quietly).unwrap();
        let info = disk(storage.clone(), Format::Qed, None).info().unwrap();
        let backing = info.backing.unwrap();
        assert_eq!((backing.name.len(), backing.format), (length, None));
        let report = qed_core::check_storage(&*storage).unwrap();
        assert_eq!((report.corruptions, report.check_errors), (0, 0), "{report:?}");
    }
    for name in [long(4096), String::new()] {
        let top = disk(storage.clone(), Format::Qed, Some(Arc::clone(&files.old)));
        let refused = rebase_disk(top, None, Some((name.as_bytes(), true)), None, &mut quietly);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
}

#[test]
fn zeroes_over_nothing_hide_a_new_backing_file() {
    // Goal: what reads as zeroes because nothing is there does so over data. Method: an image whose
    // old backing file is short, rebased to a long one.
    let files = Files { old: Arc::new(pattern(512)), ..Files::new(3, "other") };
    let storage = image(C, 9 * C + 512, true);
    let before = files.read(storage.clone()).unwrap();
    files.rebase(storage.clone(), settings()).unwrap();
    assert_eq!(files.read(storage.clone()).unwrap(), before);
    let report = qed_core::check_storage(&*storage).unwrap();
    assert_eq!(report.allocated_clusters, 1, "zeroes were written as data");
}

#[test]
fn only_a_qed_image_is_rebased() {
    let raw = disk(Arc::new(MemoryStorage::from_bytes(&[1; 512])), Format::Raw, None);
    raw.pwrite(&[2; 512], 0, Flags::NONE).unwrap();
    let refused = rebase_disk(raw, None, None, None, &mut quietly);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
}
