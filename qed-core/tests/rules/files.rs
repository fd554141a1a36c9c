//! C12 to C14, C17 and C18: what other writers left, how a session ends, what spans sectors.

use std::sync::Arc;

use qed_core::crash::{Medium, MediumStorage, Workload};
use qed_core::storage::{CallKind, MemoryStorage, Trigger};
use qed_core::{ErrorKind, Flags, Image, ImageSettings, Rule, Rules};

use crate::rig::{C, L2, Rig, SECTOR, shows};
use crate::support::judged;

/// An image of another writer: an L2 table at cluster 2, data of G3 at cluster 3, and `entries`.
fn foreign(features: u64, entries: &[(u64, u64)]) -> Vec<u8> {
    let mut bytes = Workload::small(Vec::new()).image();
    bytes.resize(4 * 4096, 0);
    let mut put = |offset: u64, word: u64| {
        let at = usize::try_from(offset).unwrap();
        bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    };
    put(16, features);
    put(C, 2 * C);
    put(2 * C + 8 * 3, 3 * C);
    for (cluster, word) in entries {
        put(2 * C + 8 * cluster, *word);
    }
    bytes
}

/// Every crash after `work` on `image` leaves one in which G0 reads as zeroes once it is opened.
fn guest_zero_stays_zero(image: &[u8], rules: Rules, work: impl Fn(&Rig)) -> Result<(), String> {
    let mut workload = Workload::small(Vec::new());
    workload.settings.rules = rules;
    let rig = Rig::of(workload, &Arc::new(MemoryStorage::from_bytes(image)));
    work(&rig);
    let log = rig.recorder.log();
    let report = judged::by(&log, &[], |disk: &Medium, _| {
        let storage = Arc::new(MediumStorage::with_unit(disk.clone(), 512));
        let settings = ImageSettings { background: false, ..ImageSettings::default() };
        let image = Image::from_storage(storage, None, settings).map_err(|e| e.to_string())?;
        image.pwrite(&[7; 4096], 9 * C, Flags::NONE).map_err(|e| e.to_string())?;
        let mut found = [0; 4096];
        image.pread(&mut found, 0).map_err(|e| format!("G0: {e}"))?;
        if found == [0; 4096] { Ok(()) } else { Err("G0 shows foreign bytes".into()) }
    });
    assert!(report.judged() > 1, "nothing was explored");
    report.failures.first().map_or(Ok(()), |failure| Err(failure.to_string()))
}

#[test]
fn c12_a_repair_is_stable_before_the_file_grows() {
    // Cx: extension alone turns a dangling entry into an alias.
    shows(Rule::RepairBeforeGrowth, |rules| {
        guest_zero_stays_zero(&foreign(0, &[(0, 5 * C)]), rules, |rig| {
            rig.write(5 * C, C);
            rig.write(6 * C, C);
            rig.flush();
        })
    });
}

#[test]
fn c12a_damage_stops_the_first_allocation() {
    // D5 leaves clusters referenced twice, with NEED_CHECK clear.
    shows(Rule::DamageStopsAllocation, |rules| {
        let mut workload = Workload::small(Vec::new());
        workload.settings.rules = rules;
        let image = foreign(0, &[(0, 3 * C)]);
        let rig = Rig::of(workload, &Arc::new(MemoryStorage::from_bytes(&image)));
        rig.image().pread(&mut [0; 512], 3 * C).unwrap();
        match rig.image().pwrite(&[1; 512], 7 * C, Flags::NONE) {
            Err(error) if error.kind() == ErrorKind::Damaged => Ok(()),
            other => Err(format!("allocating on damage: {other:?}")),
        }
    });
}

#[test]
fn c13_the_free_map_is_disowned_before_anything_changes() {
    // Cx: the bit is left set; X, free by the map, is taken; crash; the map hands X out again.
    shows(Rule::ClearFreeMapFirst, |rules| {
        let rig = Rig::without_punch(rules);
        rig.write(0, 4 * C);
        rig.flush();
        rig.discard(C, C);
        rig.close();
        rig.reopen();
        rig.write(8 * C, C);
        rig.flush();
        rig.kill();
        rig.reopen();
        rig.write(9 * C, C);
        rig.flush();
        rig.judge()
    });
}

#[test]
fn c13_a_map_of_another_state_is_distrusted() {
    // Another writer kept the bits, added a table at the end, and took a cluster that was free.
    shows(Rule::DistrustForeignFreeMap, |rules| {
        let rig = Rig::without_punch(Rules::default());
        rig.write(0, 4 * C);
        rig.flush();
        rig.discard(C, C);
        rig.close();
        let mut image = rig.bytes();
        let word =
            |image: &[u8], at: usize| u64::from_le_bytes(image[at..at + 8].try_into().unwrap());
        let free = word(&image, 512 + 48) * C;
        let table = image.len() as u64;
        image.resize(image.len() + 4096, 0);
        image[4096 + 8..4096 + 16].copy_from_slice(&table.to_le_bytes());
        let at = usize::try_from(table).unwrap();
        image[at..at + 8].copy_from_slice(&free.to_le_bytes());

        let mut workload = Workload::small(Vec::new());
        workload.settings.rules = rules;
        let memory = Arc::new(MemoryStorage::from_bytes(&image).without_punch());
        let rig = Rig::of(workload, &memory);
        let mut before = [0; 4096];
        rig.image().pread(&mut before, L2).unwrap();
        rig.write(20 * C, C);
        let mut after = [0; 4096];
        rig.image().pread(&mut after, L2).unwrap();
        if before == after { Ok(()) } else { Err("a cluster in use was handed out".into()) }
    });
}

#[test]
fn c14_the_file_is_cut_after_a_flush() {
    // Cx: zero G0, cut before the flush: the stable old entry dangles.
    shows(Rule::CutAfterFlush, |rules| {
        let rig = Rig::new(rules);
        rig.write(0, C);
        rig.write(C, C);
        rig.flush();
        rig.discard(C, C);
        rig.close();
        rig.judge()
    });
}

#[test]
fn c17_a_failed_sync_latches() {
    shows(Rule::Latch, |rules| {
        let rig = Rig::new(rules);
        rig.write(0, C);
        rig.flush();
        rig.write(C, C);
        rig.fault.fail(Trigger::on(CallKind::Sync), libc::EIO);
        rig.try_flush().expect_err("the sync was to fail");
        match rig.try_flush() {
            Err(error) if error.kind() == ErrorKind::Latched => Ok(()),
            other => Err(format!("after a failed sync: {other:?}")),
        }
    });
}

#[test]
fn c17_a_failed_table_write_latches() {
    // Nothing is left to write afterwards, and still no flush may claim success.
    let rig = Rig::new(Rules::default());
    rig.write(0, C);
    rig.flush();
    rig.flush();
    rig.write(C, C);
    rig.fault.fail(Trigger::on(CallKind::Write).metadata(true), libc::EIO);
    rig.try_flush().expect_err("the write was to fail");
    let error = rig.try_flush().expect_err("nothing is stable any more");
    assert_eq!(error.kind(), ErrorKind::Latched);
    rig.reads(3, C, C).unwrap();
}

#[test]
fn c17_a_failed_data_write_fails_alone() {
    let rig = Rig::new(Rules::default());
    rig.write(0, C);
    rig.fault.fail(Trigger::on(CallKind::Write).metadata(false), libc::EIO);
    rig.try_write(C, C).expect_err("the write was to fail");
    rig.write(C, SECTOR);
    rig.flush();
    rig.reads(2, C, SECTOR).unwrap();
    rig.judge().unwrap();
}

#[test]
fn c18_need_check_is_cleared_after_the_repair() {
    // Cleared first, a crash leaves a dangling entry and nothing that says so.
    shows(Rule::SwitchAfterSync, |rules| {
        let image = foreign(2, &[(0, 5 * C)]);
        let mut workload = Workload::small(Vec::new());
        workload.settings.rules = rules;
        let rig = Rig::of(workload, &Arc::new(MemoryStorage::from_bytes(&image)));
        let report = judged::by(&rig.recorder.log(), &[], |disk: &Medium, _| {
            let dangles = disk.word(2 * C) == 5 * C;
            let clear = disk.word(16) & 2 == 0;
            if dangles && clear { Err("a dangling entry, NEED_CHECK clear".into()) } else { Ok(()) }
        });
        assert!(report.judged() > 1, "nothing was explored");
        report.failures.first().map_or(Ok(()), |failure| Err(failure.to_string()))
    });
}
