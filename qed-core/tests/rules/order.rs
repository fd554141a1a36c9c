//! C1 to C7: what waits for what.

use std::sync::Arc;

use qed_core::Rule;
use qed_core::storage::{CallKind, Trigger};

use crate::rig::{C, Rig, SECTOR, shows};

#[test]
fn c01_what_a_killed_process_left_in_the_page_cache_is_not_stable() {
    // Cx: stable G0->X; zero G0, its entry written, not synced; kill; X found free, G1 into X.
    shows(Rule::FirstSync, |rules| {
        let rig = Rig::without_punch(rules);
        rig.write(0, C);
        rig.close();
        rig.reopen();
        rig.discard(0, C);
        let sync = rig.fault.hold(Trigger::on(CallKind::Sync));
        std::thread::scope(|scope| {
            // The process is killed in this sync: it never ends as far as the disk is concerned.
            scope.spawn(|| rig.flush());
            sync.wait();
            rig.kill();
            rig.reopen();
            rig.write(C, C);
            let judged = rig.judge();
            sync.release();
            judged
        })
    });
}

#[test]
fn c02_an_entry_waits_for_the_length() {
    // Cx: empty image; write G0; L1->T written early; only the L1 sector persists: dangling.
    shows(Rule::LengthIsData, |rules| {
        let rig = Rig::new(rules);
        rig.write(0, SECTOR);
        rig.flush();
        rig.judge()
    });
}

#[test]
fn c03_freshness_dies_with_the_first_byte() {
    // Cx: a write to G1 is aborted half way; its cluster is given back as fresh; one sector of G2
    // goes there without fill: G2 shows G1's bytes.
    shows(Rule::FreshnessDies, |rules| {
        let rig = Rig::new(rules);
        rig.write(0, C);
        rig.fault.shorten(Trigger::on(CallKind::Write).metadata(false), 2048, libc::EIO);
        rig.try_write(C, C).expect_err("the write was to fail");
        rig.write(2 * C + 4 * SECTOR, SECTOR);
        let mut first = vec![0; 4 * 512];
        rig.image().pread(&mut first, 2 * C).unwrap();
        if first.iter().all(|byte| *byte == 0) { Ok(()) } else { Err("foreign bytes".into()) }
    });
}

#[test]
fn c04_data_over_backing_data_goes_before_its_entry() {
    // Cx: backing data under G1; all of G1 overwritten; only the entry persists: zeroes.
    shows(Rule::OrderedEntries, |rules| {
        let rig = Rig::overlay(rules, 8 * C);
        rig.write(C, C);
        rig.flush();
        rig.write(2 * C, C);
        rig.flush();
        rig.judge()
    });
}

#[test]
fn c05_a_sector_is_composed_of_safe_values() {
    // G1's entry waits for its data, G30's in the same sector does not.
    shows(Rule::SafeValuesOnly, |rules| {
        let rig = Rig::overlay(rules, 8 * C);
        rig.write(29 * C, C);
        rig.flush();
        rig.write(C, C);
        rig.write(30 * C, C);
        rig.flush();
        rig.judge()
    });
}

#[test]
fn c05_what_is_written_over_a_gap_is_safe_as_well() {
    // Each write goes to the disk by itself, so an image takes what lies between its blocks. There
    // an entry over backing data waits, in a block of its own.
    shows(Rule::SafeValuesOnly, |rules| {
        let direct = qed_core::storage::MemoryStorage::with_direct_writes;
        let workload = qed_core::crash::Workload::small(Vec::new()).over(128 * C);
        let rig = Rig::over(workload, rules, direct);
        rig.write(511 * C, C);
        rig.flush();
        rig.discard(0, C);
        rig.write(100 * C, SECTOR);
        rig.write(300 * C, C);
        rig.flush();
        rig.judge()
    });
}

#[test]
fn c06_phase_two_takes_what_s1_covered() {
    // Cx: a write completes during S1; its entry goes out in phase 2 without its data.
    shows(Rule::PhaseTwoCovered, |rules| {
        let rig = Arc::new(Rig::overlay(rules, 8 * C));
        rig.write(0, C);
        rig.flush();
        rig.write(C, C);
        let inner = Arc::clone(&rig);
        rig.fault.run(Trigger::on(CallKind::Sync), move |_| inner.write(2 * C, C));
        rig.flush();
        rig.judge()
    });
}

#[test]
fn c07_a_flush_owes_what_others_wrote_and_did_not_sync() {
    // Cx: another flush has written the entry and not synced it; this one finds nothing dirty.
    shows(Rule::FlushOwesOthersWrites, |rules| {
        let rig = Rig::overlay(rules, 8 * C);
        rig.write(0, C);
        rig.flush();
        rig.write(C, C);
        let second_sync = rig.fault.hold(Trigger::on(CallKind::Sync).nth(2));
        rig.race_flushes(rules.break_any(), &second_sync, || {});
        rig.judge()
    });
}

#[test]
fn c07_a_flush_waits_for_what_others_have_taken_to_write() {
    // Cx: flush F2 returns while F1 still holds the entry.
    shows(Rule::FlushAwaitsOthers, |rules| {
        let rig = Rig::new(rules);
        rig.write(0, C);
        rig.flush();
        rig.flush();
        rig.write(C, C);
        let table_write = rig.fault.hold(Trigger::on(CallKind::Write).metadata(true));
        rig.race_flushes(rules.break_any(), &table_write, || {});
        rig.judge()
    });
}
