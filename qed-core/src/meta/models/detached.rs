//! Requests that outlive the call that made them, as a queue has them: begun by one thread, ended
//! by another, beside blocking calls for the same clusters.

use std::sync::Arc;

use super::data::{CLUSTER, byte_at, image, put, read, write};
use super::{SCHEDULES, check};
use crate::addr::GuestCluster;
use crate::meta::plan::detached::{ReadTicket, WriteTicket};
use crate::meta::plan::lookup::Place;
use crate::meta::plan::zero::Allocated;
use crate::meta::{Meta, Rules};
use crate::sync::{Mutex, Rank, thread};

/// What a ring holds: requests whose I/O has ended, which nobody has taken out.
type Ring<T> = Arc<Mutex<Vec<T>>>;

fn ring<T>() -> Ring<T> {
    Arc::new(Mutex::new(Rank::Queue, Vec::new()))
}

fn discard(meta: &Meta, cluster: u64) {
    let end = (cluster + 1) * CLUSTER;
    drop(meta.plan_zeroes(GuestCluster(cluster), 1, end, Allocated::Free).unwrap());
}

/// A write that was begun by its owner, who then does nothing, is published by the watch: others
/// that want its cluster get it, and its data is never lost nor anybody else's.
#[test]
fn model_a_detached_write_is_published_by_whoever_comes() {
    detached_write(false);
}

/// The same where its entry goes ahead of its data.
#[test]
fn model_a_detached_write_may_be_published_before_its_data() {
    detached_write(true);
}

fn detached_write(early: bool) {
    check(SCHEDULES, move || {
        let meta = image(Rules::default());
        let done = ring::<WriteTicket>();
        let owner = {
            let (meta, done) = (meta.clone(), done.clone());
            thread::spawn(move || {
                let Some(plan) = meta.plan_write_now(CLUSTER, CLUSTER).unwrap() else { return 0 };
                let mut ticket = plan.detach();
                if early {
                    let entries = ticket.take_early();
                    entries.map_or(Ok(()), |entries| meta.publish_early(entries)).unwrap();
                }
                ticket.segments.iter().for_each(|part| put(&meta, part.file.get(), 2));
                done.lock().push(ticket);
                1
            })
        };
        let watch = {
            let (meta, done) = (meta.clone(), done.clone());
            move || done.lock().drain(..).for_each(|ticket| meta.attach_write(ticket).publish())
        };
        let other = {
            let meta = meta.clone();
            thread::spawn(move || {
                discard(&meta, 0);
                meta.flush().unwrap();
                write(&meta, 1, 3);
                write(&meta, 2, 4);
                meta.flush().unwrap();
            })
        };
        let watch_thread = {
            let watch = watch.clone();
            thread::spawn(move || (0..2).for_each(|_| watch()))
        };
        // The watch looks as long as something is in the ring.
        let begun = owner.join().unwrap();
        watch_thread.join().unwrap();
        watch();
        other.join().unwrap();
        let found = read(&meta, 1);
        assert!(found == 3 || (found == 2 && begun == 1), "cluster 1 reads {found}");
        assert_eq!((read(&meta, 0), read(&meta, 2)), (0, 4));
        meta.close().unwrap();
    });
}

/// A read that was begun keeps its cluster until it is ended, whoever frees and reuses meanwhile.
#[test]
fn model_a_detached_read_keeps_its_cluster() {
    detached_read(false);
}

/// The model sees what it is there for: a read that is ended before its I/O has ended.
#[test]
#[should_panic(expected = "reads another cluster's bytes")]
fn model_a_read_ended_too_early_is_caught() {
    detached_read(true);
}

fn detached_read(too_early: bool) {
    check(SCHEDULES, move || {
        let meta = image(Rules::default());
        let begun = ring::<(ReadTicket, u64)>();
        let reader = {
            let (meta, begun) = (meta.clone(), begun.clone());
            thread::spawn(move || {
                let plan = meta.plan_read_now(0, CLUSTER).unwrap().unwrap();
                let Place::File(at) = plan.segments.first().unwrap().place else { return };
                let ticket = plan.detach();
                begun.lock().push((ticket, at.get()));
            })
        };
        let kernel = {
            let (meta, begun) = (meta.clone(), begun.clone());
            move || {
                let taken: Vec<_> = begun.lock().drain(..).collect();
                for (ticket, at) in taken {
                    let mut held = Some(ticket);
                    if too_early {
                        held.take().into_iter().for_each(|ticket| meta.end_read(ticket));
                    }
                    let found = byte_at(&meta, at);
                    assert!(found == 1, "reads another cluster's bytes");
                    held.into_iter().for_each(|ticket| meta.end_read(ticket));
                }
            }
        };
        let writer = {
            let meta = meta.clone();
            thread::spawn(move || {
                discard(&meta, 0);
                meta.flush().unwrap();
                write(&meta, 1, 3);
                write(&meta, 2, 4);
            })
        };
        let kernel_thread = {
            let kernel = kernel.clone();
            thread::spawn(move || (0..2).for_each(|_| kernel()))
        };
        reader.join().unwrap();
        kernel_thread.join().unwrap();
        kernel();
        writer.join().unwrap();
        meta.close().unwrap();
    });
}
