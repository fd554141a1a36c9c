//! A mover beside writers: one writes in place into the cluster that moves, another allocates in
//! the same table and flushes, a third looks at what is there.

use super::data::{CLUSTER, byte_at, image, put, read, write};
use super::{SCHEDULES, check};
use crate::addr::{FileCluster, GuestCluster};
use crate::format::L2Entry;
use crate::meta::plan::relocate::Move;
use crate::meta::{Meta, Rule, Rules};
use crate::sync::thread;

/// Whatever order a mover, two writers and a flush come in: what was written last is read, and what
/// was flushed is where the disk says.
#[test]
fn model_no_write_is_lost_to_a_mover() {
    move_beside_writers(Rules::default());
}

/// The model sees what it is there for: a mover that does not wait for writes in place.
#[test]
#[should_panic(expected = "a write in place was lost")]
fn model_a_mover_that_does_not_wait_is_caught() {
    move_beside_writers(Rules::without(Rule::MoveAwaitsWriters));
}

/// A table moves while another thread allocates below it and flushes: its entry stands in the table
/// that the disk names.
#[test]
fn model_no_entry_is_lost_to_a_table_that_moves() {
    move_a_table_beside_a_flush(Rules::default());
}

/// The model sees what it is there for: entries written to the old table behind the copy's back.
#[test]
#[should_panic(expected = "flushed, and not in the table")]
fn model_a_table_that_holds_no_writes_is_caught() {
    move_a_table_beside_a_flush(Rules::without(Rule::TableHoldsWrites));
}

fn move_beside_writers(rules: Rules) {
    check(SCHEDULES, move || {
        let meta = image(rules);
        let mover = {
            let meta = meta.clone();
            thread::spawn(move || move_cluster(&meta))
        };
        let in_place = {
            let meta = meta.clone();
            thread::spawn(move || {
                for byte in [2, 3] {
                    write(&meta, 0, byte);
                    // Nobody else writes there: it is what is read from here on.
                    assert_eq!(read(&meta, 0), byte, "a write in place was lost");
                }
            })
        };
        let allocating = {
            let meta = meta.clone();
            thread::spawn(move || {
                write(&meta, 1, 4);
                meta.flush().unwrap();
                assert_eq!(on_disk(&meta, 1), 4, "flushed, and not where the disk says");
                write(&meta, 2, 5);
            })
        };
        mover.join().unwrap();
        in_place.join().unwrap();
        allocating.join().unwrap();
        let found = [0, 1, 2].map(|cluster| read(&meta, cluster));
        assert_eq!(found, [3, 4, 5], "a write in place was lost");
        meta.flush().unwrap();
        assert_eq!([0, 1, 2].map(|cluster| on_disk(&meta, cluster)), [3, 4, 5]);
        meta.close().unwrap();
    });
}

fn move_a_table_beside_a_flush(rules: Rules) {
    check(SCHEDULES / 2, move || {
        let meta = image(rules);
        let mover = {
            let meta = meta.clone();
            thread::spawn(move || {
                let mover = meta.mover().unwrap();
                let run = mover.elsewhere_for_table().unwrap();
                assert!(mover.move_table(0, run).unwrap());
            })
        };
        let guest = {
            let meta = meta.clone();
            thread::spawn(move || {
                write(&meta, 1, 4);
                meta.flush().unwrap();
            })
        };
        mover.join().unwrap();
        guest.join().unwrap();
        assert_eq!(on_disk(&meta, 1), 4, "flushed, and not in the table");
        assert_eq!((read(&meta, 0), read(&meta, 1)), (1, 4));
        meta.close().unwrap();
    });
}

/// Moves guest cluster 0, as compaction does, and makes that stable.
fn move_cluster(meta: &Meta) {
    let mover = meta.mover().unwrap();
    let run = mover.elsewhere(1).unwrap();
    let to = FileCluster(run.start.get());
    let plan = mover.plan(vec![Move { cluster: GuestCluster(0), to }]).unwrap();
    for piece in &plan.pieces {
        let byte = byte_at(meta, piece.from.get());
        put(meta, piece.to.get(), byte);
    }
    plan.publish();
    mover.flush().unwrap();
    mover.reclaim();
}

/// What whoever opens the image next would read in a cluster.
fn on_disk(meta: &Meta, cluster: u64) -> u8 {
    let table = super::word(&*meta.storage, CLUSTER);
    let word = super::word(&*meta.storage, table + 8 * cluster);
    match L2Entry::decode(word, meta.geometry) {
        Some(L2Entry::Data(at)) => byte_at(meta, at.get()),
        _ => 0,
    }
}
