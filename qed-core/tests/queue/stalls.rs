//! An owner that submits and then does something else: nobody has to wait for it.

use std::sync::Arc;

use qed_core::storage::AlignedBuffer;
use qed_core::{Aio, CacheMode, Disk, Flags, Queue};

use crate::rig::{CLUSTER, ENGINES, Rig, finish, write};

const SIZE: u64 = 4 << 20;

/// A queue that has submitted writes into new clusters, 8 of 4 KiB, and is not looked after. The
/// first change of the session is made.
fn stalled(disk: &Arc<Disk>, aio: Aio) -> Queue {
    disk.pwrite(&[1], 0, Flags::NONE).unwrap();
    let mut queue = crate::rig::queue(disk, aio, 64);
    for number in 1..9 {
        let mut data = AlignedBuffer::new(4096);
        data.fill(2);
        queue.writev(data, number * CLUSTER, number, Flags::NONE).unwrap();
    }
    queue.submit();
    queue
}

#[test]
fn a_call_does_not_wait_for_the_owner_of_a_queue() {
    // Method: blocking calls to the very clusters that the queue's requests have claimed, and
    // writes of parts of blocks beside them.
    for aio in ENGINES {
        for cache in [CacheMode::Writeback, CacheMode::None] {
            let rig = Rig::new(SIZE, cache);
            let mut queue = stalled(&rig.disk, aio);
            for number in 1..9 {
                rig.disk.pwrite(&[3; 100], number * CLUSTER + 50, Flags::NONE).unwrap();
            }
            rig.disk.discard(0, SIZE).unwrap();
            rig.disk.flush().unwrap();
            // The owner comes back.
            assert_eq!(finish(&mut queue).len(), 8);
            // Requests beside each other may end in any order, and leave nothing else.
            assert!(rig.content().iter().all(|byte| *byte < 4));
        }
    }
}

#[test]
fn a_queue_does_not_wait_for_the_owner_of_another() {
    for aio in ENGINES {
        let rig = Rig::new(SIZE, CacheMode::None);
        let mut first = stalled(&rig.disk, aio);
        let mut second = rig.queue(aio, 64);
        for number in 1..9 {
            second.write_zeroes(number * CLUSTER, CLUSTER, number, Flags::MAY_UNMAP).unwrap();
            second.writev(vec![4; 10], number * CLUSTER, number, Flags::NONE).unwrap();
        }
        assert_eq!(finish(&mut second).len(), 16);
        assert_eq!(finish(&mut first).len(), 8);
    }
}

#[test]
fn a_disk_comes_to_rest_though_requests_are_not_fetched() {
    // The thread that brings it to rest is the queue's own; then the disk runs on another file
    // descriptor, and so does the queue.
    for aio in ENGINES {
        for cache in [CacheMode::Writeback, CacheMode::None] {
            let rig = Rig::new(SIZE, cache);
            let mut queue = stalled(&rig.disk, aio);
            for byte in [5, 6] {
                rig.disk.quiesce().unwrap();
                assert_eq!(std::fs::read(&rig.path).unwrap()[..3], *b"QED");
                // Submitted to a disk at rest: they go on when it does.
                queue.writev(vec![byte; 8192], 20 * CLUSTER, 9, Flags::NONE).unwrap();
                queue.submit();
                rig.disk.resume().unwrap();
                finish(&mut queue);
                write(&mut queue, 21 * CLUSTER, 8192, byte);
                let content = rig.content();
                assert!(content[20 * 4096..23 * 4096].iter().all(|found| *found == byte));
                assert!(content[4096..9 * 4096].iter().all(|found| *found == 2));
            }
        }
    }
}
