//! C8 and C9: older images, and requests that are still on their way.

use qed_core::Rule;
use qed_core::storage::{CallKind, Trigger};

use crate::rig::{C, Rig, SECTOR, shows, shows_within};

#[test]
fn c08_an_older_image_never_lands_last() {
    // The image of a sector with G1's entry is held; one with G2's as well would overtake it.
    shows(Rule::OneWriteInFlight, |rules| {
        let rig = Rig::new(rules);
        rig.write(0, C);
        rig.flush();
        rig.flush();
        rig.write(C, C);
        let table_write = rig.fault.hold(Trigger::on(CallKind::Write).metadata(true));
        rig.race_flushes(rules.break_any(), &table_write, || rig.write(2 * C, C));
        rig.kill();
        rig.reopen();
        rig.reads(5, 2 * C, C)
    });
}

#[test]
fn c09_a_cluster_is_released_by_the_value_on_disk() {
    // Cx: zero G0 between phase 1 and S1; the epoch ends; X goes to G1; the old entry is on disk.
    shows(Rule::ReleaseByValue, |rules| {
        let rig = std::sync::Arc::new(Rig::without_punch(rules));
        rig.write(0, C);
        rig.flush();
        rig.write(C, C);
        let inner = std::sync::Arc::clone(&rig);
        rig.fault.run(Trigger::on(CallKind::Sync), move |_| inner.discard(0, C));
        rig.flush();
        rig.write(2 * C, C);
        rig.judge()
    });
}

#[test]
fn c09_a_cluster_stays_while_a_request_holds_it() {
    // Cx: a slow write in place to G0 lands in X after X went to G1.
    shows(Rule::RequestsHoldClusters, |rules| {
        let rig = Rig::without_punch(rules);
        rig.write(0, C);
        rig.flush();
        let data_write = rig.fault.hold(Trigger::on(CallKind::Write).metadata(false));
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| rig.write(0, C));
            data_write.wait();
            rig.discard(0, C);
            rig.flush();
            rig.write(C, C);
            data_write.release();
            slow.join().unwrap();
        });
        rig.reads(5, C, C)
    });
}

#[test]
fn c09_an_image_that_has_landed_releases_only_after_a_sync() {
    // Cx: G0 is discarded in the midst of one flush; another writes its entry and has not synced;
    // the first flush ends and gives X to G1: the old entry may still be what is on disk. Whether
    // the second flush has noted its write when the first one ends is up to the scheduler.
    shows_within(100, Rule::ReleaseAfterSync, |rules| {
        let rig = Rig::without_punch(rules);
        rig.write(0, C);
        rig.flush();
        rig.flush();
        rig.write(C, C);
        let first_sync = rig.fault.hold(Trigger::on(CallKind::Sync));
        std::thread::scope(|scope| {
            let first = scope.spawn(|| rig.flush());
            first_sync.wait();
            rig.discard(0, C);
            let landed = rig.fault.hold(Trigger::on(CallKind::Write).metadata(true).afterwards());
            let second = scope.spawn(|| rig.flush());
            landed.wait();
            let second_sync = rig.fault.hold(Trigger::on(CallKind::Sync));
            landed.release();
            first_sync.release();
            first.join().unwrap();
            second_sync.wait();
            // The first of these requests lets the epoch of the discard pass.
            rig.write(3 * C, C);
            rig.write(2 * C, C);
            let judged = rig.judge();
            second_sync.release();
            second.join().unwrap();
            judged
        })
    });
}

#[test]
fn c18_a_shrinking_disk_waits_for_those_beyond_its_end() {
    // Cx: a write in place is on its way when the disk shrinks; the tail of its cluster is zeroed
    // and the size switched, then the write lands: the next larger disk shows it.
    let last = (4 << 20) - SECTOR;
    shows(Rule::ShrinkWaits, |rules| {
        let rig = Rig::new(rules);
        rig.write(last + SECTOR - C, C);
        rig.flush();
        let data_write = rig.fault.hold(Trigger::on(CallKind::Write).metadata(false));
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| rig.write(last, SECTOR));
            data_write.wait();
            let shrink = scope.spawn(|| rig.resize(last));
            while rig.image().size() > last {
                std::thread::yield_now();
            }
            if rules.break_any() {
                shrink.join().unwrap();
                data_write.release();
                slow.join().unwrap();
            } else {
                data_write.release();
                slow.join().unwrap();
                shrink.join().unwrap();
            }
        });
        rig.flush();
        rig.judge()
    });
}
