//! Goal: what we repair, QEMU finds repaired, and reads as we do.
//! Method: random damage of an image that QEMU can open (F8: tables of two clusters, an undamaged
//! header), repaired by us, checked and converted by `qemu-img`.

use crate::damage::{Damage, apply, damage, sound_with};
use crate::qemu;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use qed_core::{CheckOptions, OpenOptions, Repair, check_with, open};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

/// Repaired and judged; many more in a longer run: `QED_REPAIR_CASES=5000`.
const CASES: u32 = 60;

fn cases() -> u32 {
    std::env::var("QED_REPAIR_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES)
}

fn judge(path: &Path, damages: &[Damage]) {
    let mut bytes = sound_with(2);
    for damage in damages {
        apply(&mut bytes, damage);
    }
    fs::write(path, &bytes).unwrap();
    let mut how = CheckOptions::default();
    how.repair = Some(Repair::All);
    let mut go_on = |_, _| ControlFlow::Continue(());
    // A file cut short inside its L1 table is no image any more.
    let Ok(report) = check_with(path, &OpenOptions::default(), &how, &mut go_on) else {
        assert!(fs::read(path).unwrap() == bytes, "refused, and changed all the same");
        return;
    };
    assert!(report.is_clean(), "{report:?}");
    let (name, dump) = (qemu::text(path), path.with_extension("raw"));
    let checked = qemu::run("qemu-img", &["check", "-f", "qed", "--output=json", name]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(matches!(checked.status.code(), Some(0 | 3)), "{damages:?}: {said}");
    assert!(!said.contains("\"corruptions\"") && said.contains("\"check-errors\": 0"), "{said}");
    qemu::succeed("qemu-img", &["convert", "-f", "qed", "-O", "raw", name, qemu::text(&dump)]);
    let image = open(path, &OpenOptions::default()).unwrap();
    let mut ours = vec![0; usize::try_from(image.size()).unwrap()];
    image.pread(&mut ours, 0).unwrap();
    assert!(fs::read(dump).unwrap() == ours, "{damages:?}: QEMU reads something else");
}

#[test]
fn what_is_repaired_is_sound_to_qemu() {
    if !qemu::has_tools(&["qemu-img"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("repaired.qed");
    let damages = damage().prop_filter("the header is QEMU's as well", |damage| {
        !matches!(damage, Damage::Header { .. })
    });
    let config = ProptestConfig { cases: cases(), ..ProptestConfig::default() };
    let run = TestRunner::new(config).run(&prop::collection::vec(damages, 1..7), |damages| {
        judge(&path, &damages);
        Ok(())
    });
    run.unwrap();
}
