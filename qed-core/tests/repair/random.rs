//! Goal: whatever is damaged behind the header, a repair leaves an image that our check and QEMU's
//! find sound, in which no guest address fails and what was not damaged reads as before; a second
//! repair changes nothing, and trying it in memory changes nothing at all.
//! Method: thousands of images in memory with entries, headers and tails overwritten, tables and
//! clusters named twice, tables that lie in each other and in data, judged by an independent
//! reading of the format.

use crate::damage::{C, Damage, apply, damage, sound};
use crate::reading::{Reading, guest};
use proptest::prelude::*;
use qed_core::storage::{MemoryStorage, Storage, Undo, restore};
use qed_core::{
    CheckOptions, CheckReport, Image, ImageSettings, Repair, Result, check_storage,
    check_storage_with,
};
use std::ops::ControlFlow;
use std::sync::Arc;

fn repair(storage: &Arc<MemoryStorage>, what: Repair, dry_run: bool) -> Result<CheckReport> {
    let mut how = CheckOptions::default();
    (how.repair, how.dry_run) = (Some(what), dry_run);
    check_storage_with(storage.clone(), &how, &mut |_, _| ControlFlow::Continue(()))
}

fn open(storage: &Arc<MemoryStorage>) -> Result<Image> {
    let settings = ImageSettings { read_only: true, background: false, ..ImageSettings::default() };
    Image::from_storage(storage.clone(), None, settings)
}

/// The same repair through an undo file, and back.
fn undone(bytes: &[u8]) -> Vec<u8> {
    let (storage, journal) =
        (Arc::new(MemoryStorage::from_bytes(bytes)), Arc::new(MemoryStorage::new()));
    let undo = Arc::new(Undo::new(storage.clone(), journal.clone()).unwrap());
    let mut how = CheckOptions::default();
    how.repair = Some(Repair::All);
    check_storage_with(undo.clone(), &how, &mut |_, _| ControlFlow::Continue(())).unwrap();
    undo.finish().unwrap();
    restore(&*storage, journal).unwrap();
    storage.to_bytes()
}

/// What every repair owes, whatever it was given.
fn judge(bytes: &[u8]) -> std::result::Result<(), TestCaseError> {
    let storage = Arc::new(MemoryStorage::from_bytes(bytes));
    let Ok(before) = check_storage(&*storage) else {
        prop_assert!(repair(&storage, Repair::All, false).is_err());
        prop_assert!(storage.to_bytes() == bytes, "a file that is no image was changed");
        return Ok(());
    };
    let tried = repair(&storage, Repair::All, true).unwrap();
    prop_assert!(storage.to_bytes() == bytes, "a trial changed the file");
    let report = repair(&storage, Repair::All, false).unwrap();
    prop_assert_eq!(&report, &tried, "the trial told something else");
    prop_assert!(undone(bytes) == bytes, "undo is not bit by bit");
    prop_assert!(report.is_clean() && report.wasted_clusters() == 0, "{:?}", report);
    prop_assert_eq!(report.corruptions_fixed, before.corruptions);
    prop_assert_eq!(&report.findings, &before.findings);
    let once = storage.to_bytes();
    let again = repair(&storage, Repair::All, false).unwrap();
    prop_assert!(storage.to_bytes() == once, "a second repair changed the file");
    prop_assert_eq!((again.corruptions_fixed, again.leaks_fixed), (0, 0));
    // Nothing fails, and what an undamaged entry maps reads as it stood there.
    let image = open(&storage).unwrap();
    let (old, new) = (Reading::new(bytes), Reading::new(&once));
    prop_assert!(new.is_sound(), "an independent reader finds damage");
    for cluster in old.clusters() {
        let found = guest(&image, cluster);
        if let Some(expected) = old.content(cluster) {
            prop_assert!(found == expected, "guest cluster {} reads differently", cluster);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 700, ..ProptestConfig::default() })]

    #[test]
    fn every_damage_is_repaired(damages in prop::collection::vec(damage(), 1..7)) {
        let mut bytes = sound();
        for damage in &damages {
            apply(&mut bytes, damage);
        }
        judge(&bytes)?;
    }

    #[test]
    fn tables_of_random_words_are_repaired(
        words in prop::collection::vec((0..4_u64, 0..512_u64, 0..26_u64), 1..300),
    ) {
        // Every word is aligned and most lie inside: loops between tables, and no table stands
        // alone.
        let mut bytes = sound();
        for (table, entry, target) in words {
            apply(&mut bytes, &Damage::Table { cluster: 1 + table, entry, word: target * C });
        }
        judge(&bytes)?;
    }

    #[test]
    fn leaks_alone_are_given_back_whatever_else_is_damaged(
        damages in prop::collection::vec(damage(), 0..5),
    ) {
        // Goal: all that any entry names, bad ones included, keeps its bytes.
        let mut bytes = sound();
        for damage in &damages {
            apply(&mut bytes, damage);
        }
        let storage = Arc::new(MemoryStorage::from_bytes(&bytes));
        let Ok(before) = check_storage(&*storage) else { return Ok(()) };
        let report = repair(&storage, Repair::Leaks, false).unwrap();
        prop_assert_eq!(report.corruptions, before.corruptions);
        prop_assert_eq!(report.corruptions_fixed, 0);
        prop_assert!(report.check_errors > 0 || report.corruptions > 0
            || report.wasted_clusters() == 0);
        let (old, new) = (Reading::new(&bytes), Reading::new(&storage.to_bytes()));
        for cluster in old.clusters() {
            prop_assert!(old.any_content(cluster) == new.any_content(cluster));
        }
    }
}

#[test]
fn a_sound_image_is_left_alone() {
    let storage = Arc::new(MemoryStorage::from_bytes(&sound()));
    let report = repair(&storage, Repair::All, false).unwrap();
    assert!(report.is_clean() && report.leaks_fixed == 0, "{report:?}");
    assert_eq!(storage.to_bytes(), sound());
    let old = Reading::new(&sound());
    assert!(
        old.is_sound() && !old.has_claimed_tables() && old.clusters().count() > 5,
        "the precondition of the tests above"
    );
}

#[test]
fn too_much_to_copy_is_refused_before_anything_changes() {
    // Goal: a hostile image cannot fill the disk. Method: 100 tables that are one, little allowed.
    let mut bytes = sound();
    let table = Reading::new(&bytes).word(C);
    for entry in 2..102 {
        apply(&mut bytes, &Damage::Table { cluster: 1, entry, word: table });
    }
    let storage = Arc::new(MemoryStorage::from_bytes(&bytes));
    let mut how = CheckOptions::default();
    (how.repair, how.max_growth) = (Some(Repair::All), Some(100 * C));
    let refused = check_storage_with(storage.clone(), &how, &mut |_, _| ControlFlow::Continue(()));
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), qed_core::ErrorKind::Refused);
    assert!(refused.to_string().contains("max_growth"), "{refused}");
    assert_eq!(storage.to_bytes(), bytes);
    assert!(repair(&storage, Repair::All, false).unwrap().is_clean(), "the default allows it");
    assert!(storage.len().unwrap() > 200 * C);
}

#[test]
fn a_cancelled_repair_can_be_made_again() {
    let mut bytes = sound();
    let data = Reading::new(&bytes).word(2 * C);
    for entry in 100..140 {
        apply(&mut bytes, &Damage::Table { cluster: 2, entry, word: data });
    }
    let mut calls = 0;
    for stop in 0.. {
        let storage = Arc::new(MemoryStorage::from_bytes(&bytes));
        let mut how = CheckOptions::default();
        how.repair = Some(Repair::All);
        calls = 0;
        let done = check_storage_with(storage.clone(), &how, &mut |_, _| {
            calls += 1;
            if calls > stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let Err(error) = done else { break };
        assert_eq!(error.kind(), qed_core::ErrorKind::Cancelled);
        judge(&storage.to_bytes()).unwrap();
    }
    assert!(calls > 40, "it is asked often enough: {calls}");
}
