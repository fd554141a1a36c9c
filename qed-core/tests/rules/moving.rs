//! C9 and C11 where clusters and tables move while the guest goes on.

use std::ops::ControlFlow;

use qed_core::storage::{CallKind, Trigger};
use qed_core::{CompactOptions, Rule, compact_image};

use crate::rig::{C, L2, Rig, SECTOR, shows};

fn compact(rig: &Rig) {
    let mut go_on = |_, _| ControlFlow::Continue(());
    compact_image(&rig.image(), &CompactOptions::default(), &mut go_on).unwrap();
}

#[test]
fn c9_a_cluster_is_not_moved_under_a_write_in_place() {
    // A write into the old place has begun; the copy is made, the entry moves, and what the write
    // then brings goes to a place that nobody looks at.
    shows(Rule::MoveAwaitsWriters, |rules| {
        let rig = Rig::without_punch(rules);
        rig.write(C, C);
        rig.write(0, C);
        rig.flush();
        let held = rig.fault.hold(Trigger::on(CallKind::Write).metadata(false));
        // What follows the first copy is the entry's flush.
        let copied = rig.fault.hold(Trigger::on(CallKind::Write).metadata(true));
        std::thread::scope(|scope| {
            let guest = scope.spawn(|| rig.write(SECTOR, SECTOR));
            held.wait();
            let mover = scope.spawn(|| compact(&rig));
            if rules.break_any() {
                copied.wait();
            }
            held.release();
            guest.join().unwrap();
            copied.release();
            mover.join().unwrap();
        });
        rig.reads(3, SECTOR, SECTOR)
    });
}

#[test]
fn c11_no_entry_goes_to_one_of_two_tables_alone() {
    // While the table moves, another thread allocates below it and flushes: its entry must stand in
    // the table that the disk names, whichever that is.
    shows(Rule::TableHoldsWrites, |rules| {
        let rig = Rig::without_punch(rules);
        for (offset, length) in [(2 * C, C), (L2, C), (0, C)] {
            rig.write(offset, length);
        }
        rig.flush();
        // The second table is written to the place that the first cluster had.
        let table = Trigger::on(CallKind::Write).metadata(true).within(3 * C..4 * C);
        let held = rig.fault.hold(table.afterwards());
        std::thread::scope(|scope| {
            let mover = scope.spawn(|| compact(&rig));
            held.wait();
            let guest = scope.spawn(|| {
                rig.write(L2 + 4 * C, C);
                rig.flush();
            });
            if rules.break_any() {
                guest.join().unwrap();
                held.release();
            } else {
                held.release();
                guest.join().unwrap();
            }
            mover.join().unwrap();
        });
        rig.judge()
    });
}
