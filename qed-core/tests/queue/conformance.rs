//! What every engine does. Method: each test runs once for each, over files.

use std::fs::File;
use std::io::{ErrorKind as IoErrorKind, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use qed_core::storage::{AlignedBuffer, MemoryStorage};
use qed_core::{
    Aio, Buffers, CacheMode, CreateOptions, Disk, ErrorKind, Flags, Format, ImageSettings, Queue,
    create,
};

use crate::rig::{
    CLUSTER, ENGINES, LONG, Rig, drain, finish, image_of, options, queue, queue_options,
};
use crate::rig::{read, several, write};

const SIZE: u64 = 6 << 20;

#[test]
fn what_is_written_is_read_back_and_buffers_are_given_back() {
    for aio in ENGINES {
        let rig = Rig::new(SIZE, CacheMode::Writeback);
        let mut queue = rig.queue(aio, 8);
        assert_eq!((queue.depth(), queue.pending()), (8, 0));
        queue.writev(several(&[b"ab", b"", b"cde"]), 4094, 7, Flags::NONE).unwrap();
        assert_eq!(queue.pending(), 1);
        let written = finish(&mut queue).remove(0);
        assert_eq!((written.user_data, written.buffers.into_bytes()), (7, b"abcde".to_vec()));
        let parts: Buffers = [vec![9; 3], vec![9; 4]].into_iter().collect();
        queue.readv(parts, 4093, 8, Flags::NONE).unwrap();
        let parts = finish(&mut queue).remove(0).buffers.into_several().unwrap();
        let parts: Vec<_> = parts.into_iter().map(Buffers::into_bytes).collect();
        assert_eq!(parts, [b"\0ab".to_vec(), b"cde\0".to_vec()]);
        assert_eq!(rig.content()[4094..4099], *b"abcde");
    }
}

#[test]
fn a_full_queue_gives_the_buffers_back() {
    for aio in ENGINES {
        let rig = Rig::new(SIZE, CacheMode::Writeback);
        let mut queue = rig.queue(aio, 2);
        queue.flush(1, Flags::NONE).unwrap();
        queue.writev(vec![1], 0, 2, Flags::NONE).unwrap();
        let busy = queue.writev(vec![4, 5], 0, 3, Flags::NONE).unwrap_err();
        assert_eq!(busy.buffers.into_bytes(), [4, 5]);
        let busy = queue.flush(4, Flags::NONE).unwrap_err();
        assert_eq!(qed_core::Error::from(busy).kind(), ErrorKind::Busy);
        assert_eq!(finish(&mut queue).len(), 2);
        write(&mut queue, 0, 1, 3);
    }
}

#[test]
fn a_request_that_fails_says_so_alone() {
    for aio in ENGINES {
        let rig = Rig::new(SIZE, CacheMode::Writeback);
        let mut queue = rig.queue(aio, 16);
        queue.readv(vec![0; 2], SIZE - 1, 0, Flags::NONE).unwrap();
        queue.writev(vec![0; 2], u64::MAX, 1, Flags::NONE).unwrap();
        queue.write_zeroes(SIZE, 1, 2, Flags::NONE).unwrap();
        queue.discard(SIZE, 1, 3, Flags::NONE).unwrap();
        queue.writev(vec![0; 2], 0, 4, Flags::MAY_UNMAP).unwrap();
        queue.readv(vec![0; 2], 0, 5, Flags::FUA).unwrap();
        queue.flush(6, Flags::FUA).unwrap();
        queue.discard(0, 1, 7, Flags::FUA).unwrap();
        queue.writev(vec![8], 0, 8, Flags::NONE).unwrap();
        queue.readv(Buffers::none(), 0, 9, Flags::NONE).unwrap();
        queue.writev(Buffers::none(), SIZE, 10, Flags::NONE).unwrap();
        for done in drain(&mut queue) {
            let kind = done.result.err().map(|error| error.kind());
            let expected = (done.user_data < 8).then_some(ErrorKind::InvalidArgument);
            assert_eq!(kind, expected, "{aio:?}: {}", done.user_data);
        }
        assert_eq!(read(&mut queue, 0, 2), [8, 0]);
    }
}

#[test]
fn a_read_only_disk_is_only_read() {
    for aio in ENGINES {
        let rig = Rig::new(SIZE, CacheMode::Writeback);
        rig.disk.pwrite(&[5; 10], 0, Flags::NONE).unwrap();
        let (folder, path) = rig.close();
        let mut settings = options(Format::Qed, CacheMode::Writeback);
        settings.image.read_only = true;
        let disk = Arc::new(Disk::open(&path, &settings).unwrap());
        let mut queue = queue(&disk, aio, 4);
        queue.writev(vec![1; 10], 0, 0, Flags::NONE).unwrap();
        let refused = drain(&mut queue).remove(0).result.unwrap_err();
        assert_eq!((refused.kind(), refused.file()), (ErrorKind::ReadOnly, Some(&*path)));
        assert_eq!(read(&mut queue, 0, 10), [5; 10]);
        drop(folder);
    }
}

#[test]
fn requests_over_many_extents_complete_once() {
    // Reads and writes across clusters, slices and tables; over data, zeroes and nothing.
    for aio in ENGINES {
        for cache in [CacheMode::Writeback, CacheMode::None] {
            let rig = Rig::new(2 * SIZE, cache);
            let mut queue = rig.queue(aio, 8);
            let mut model = vec![0; 2 * SIZE as usize];
            let length = 5 << 20;
            for (offset, length, byte) in
                [(3, 1, 1), (CLUSTER, 3 * CLUSTER, 2), (SIZE, length, 3), (7 << 20, 100, 4)]
            {
                write(&mut queue, offset, length as usize, byte);
                model[offset as usize..][..length as usize].fill(byte);
            }
            queue.write_zeroes(SIZE + 5, length - 10, 0, Flags::MAY_UNMAP).unwrap();
            finish(&mut queue);
            model[SIZE as usize + 5..][..length as usize - 10].fill(0);
            write(&mut queue, SIZE - 100, 1 << 20, 5);
            model[SIZE as usize - 100..][..1 << 20].fill(5);
            assert!(read(&mut queue, 0, model.len()) == model, "{aio:?} {cache:?}");
            assert!(rig.content() == model);
        }
    }
}

#[test]
fn zeroes_discards_and_flushes_do_what_calls_do() {
    for aio in ENGINES {
        let rig = Rig::new(SIZE, CacheMode::Writeback);
        let mut queue = rig.queue(aio, 8);
        write(&mut queue, 0, 8 * CLUSTER as usize, 1);
        queue.write_zeroes(100, 50, 0, Flags::FUA).unwrap();
        queue.discard(CLUSTER, 2 * CLUSTER + 5, 1, Flags::NONE).unwrap();
        queue.flush(2, Flags::NONE).unwrap();
        finish(&mut queue);
        let content = rig.content();
        let zero = |at: u64| (100..150).contains(&at) || (CLUSTER..3 * CLUSTER).contains(&at);
        let expected = |at: u64| u8::from(at < 8 * CLUSTER && !zero(at));
        assert!((0..SIZE).zip(&content).all(|(at, byte)| *byte == expected(at)));
    }
}

#[test]
fn waits_end_when_enough_is_there_or_the_time_has_passed() {
    for aio in ENGINES {
        let rig = Rig::new(SIZE, CacheMode::Writeback);
        let mut queue = rig.queue(aio, 8);
        let mut completions = Vec::new();
        assert_eq!(queue.do_io(&mut completions, 5, 9, Some(LONG)).unwrap(), 0, "none pending");
        assert_eq!(queue.do_io(&mut completions, 0, 9, None).unwrap(), 0);
        let wrong = queue.do_io(&mut completions, 2, 1, None).unwrap_err();
        assert_eq!(wrong.kind(), ErrorKind::InvalidArgument);
        for tag in 0..6 {
            queue.writev(vec![1], tag * CLUSTER, tag, Flags::NONE).unwrap();
        }
        assert_eq!(queue.do_io(&mut completions, 2, 2, Some(LONG)).unwrap(), 2);
        assert_eq!((completions.len(), queue.pending()), (2, 4));
        // However short the time, nothing is lost by it.
        while queue.pending() > 0 {
            let timeout = Duration::from_micros(1);
            queue.do_io(&mut completions, 1, 1, Some(timeout)).unwrap();
        }
        let mut tags: Vec<_> = completions.iter().map(|done| done.user_data).collect();
        tags.sort_unstable();
        assert_eq!(tags, [0, 1, 2, 3, 4, 5]);
    }
}

#[test]
fn the_descriptor_is_readable_while_completions_wait() {
    for aio in ENGINES {
        for late in [false, true] {
            let rig = Rig::new(SIZE, CacheMode::Writeback);
            let mut queue = rig.queue(aio, 8);
            // Mapped, so that the requests below take the engine's straight way.
            write(&mut queue, 0, CLUSTER as usize, 1);
            if !late {
                assert!(!is_readable(&mut queue), "nothing has been queued");
            }
            for _ in 0..2 {
                queue.readv(vec![0; 8], 0, 0, Flags::NONE).unwrap();
                queue.flush(1, Flags::NONE).unwrap();
                queue.submit();
                let mut completions = Vec::new();
                for left in [1, 0] {
                    while !is_readable(&mut queue) {
                        std::thread::yield_now();
                    }
                    // It may be readable before its time, never unreadable when it is not.
                    while queue.do_io(&mut completions, 0, 1, None).unwrap() == 0 {}
                    assert_eq!(queue.pending(), left);
                }
                // Once nothing is pending, a look makes it unreadable.
                queue.do_io(&mut completions, 0, 1, None).unwrap();
                assert!(!is_readable(&mut queue));
            }
        }
    }
}

/// Whether the descriptor is readable: reads what it counts, and puts it back.
fn is_readable(queue: &mut Queue) -> bool {
    let fd = queue.completion_fd().unwrap().as_fd().try_clone_to_owned().unwrap();
    let mut file = File::from(fd);
    let mut count = [0; 8];
    match file.read(&mut count) {
        Err(error) if error.kind() == IoErrorKind::WouldBlock => false,
        done => {
            assert_eq!(done.unwrap(), 8);
            std::io::Write::write_all(&mut file, &count).unwrap();
            true
        }
    }
}

#[test]
fn dropping_ends_what_was_submitted_and_forgets_the_rest() {
    for aio in ENGINES {
        let rig = Rig::new(SIZE, CacheMode::Writeback);
        let mut queue = rig.queue(aio, 64);
        write(&mut queue, 0, CLUSTER as usize, 1);
        for tag in 0..20 {
            // In place and into new clusters, overlapping, with flushes.
            queue.writev(vec![2; 3000], tag * 2000, tag, Flags::NONE).unwrap();
        }
        queue.flush(20, Flags::NONE).unwrap();
        queue.submit();
        queue.writev(vec![3; 100], 0, 21, Flags::NONE).unwrap();
        drop(queue);
        let content = rig.content();
        assert!(content[..41_000].iter().all(|byte| *byte == 2), "{aio:?}");
        assert!(content[41_000..].iter().all(|byte| *byte == 0));
        // Nothing of the queue is left: the file can be closed, and opened by somebody else.
        let (folder, path) = rig.close();
        Rig::open(folder, path, Format::Qed, CacheMode::Writeback).close();
    }
}

#[test]
fn a_queue_goes_from_thread_to_thread() {
    // The thread that submitted has ended when another fetches.
    for aio in ENGINES {
        for cache in [CacheMode::Writeback, CacheMode::None] {
            let rig = Rig::new(SIZE, cache);
            let mut queue = rig.queue(aio, 64);
            for round in 0..20 {
                queue = std::thread::scope(|scope| {
                    let submitter = scope.spawn(move || {
                        for tag in 0..32 {
                            let mut data = AlignedBuffer::new(4096);
                            data.fill(round);
                            queue.writev(data, tag * CLUSTER, tag, Flags::NONE).unwrap();
                        }
                        queue.submit();
                        queue
                    });
                    submitter.join().unwrap()
                });
                finish(&mut queue);
                assert!(rig.content()[..32 * 4096].iter().all(|byte| *byte == round));
            }
        }
    }
}

#[test]
fn disks_of_every_format_have_queues() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base.raw");
    std::fs::write(&base, [7; 10_000]).unwrap();
    let overlay = folder.path().join("overlay.qed");
    let mut over = image_of(SIZE);
    (over.backing, over.backing_format) = (Some("base.raw".into()), Some(Format::Raw));
    create(&overlay, &over).unwrap();
    let qcow2 = folder.path().join("disk.qcow2");
    let mut made = CreateOptions::default();
    (made.format, made.size) = (Format::Qcow2, Some(SIZE));
    create(&qcow2, &made).unwrap();
    let mut follow = options(Format::Qed, CacheMode::Writeback);
    follow.backing = qed_core::BackingPolicy::Follow;
    for aio in ENGINES {
        let memory = Arc::new(MemoryStorage::from_bytes(&[7; 10_000]));
        let settings = ImageSettings::default();
        let disks = [
            Disk::from_storage(memory, Format::Raw, None, settings).unwrap(),
            Disk::open(&overlay, &follow).unwrap(),
            Disk::open(&qcow2, &options(Format::Qcow2, CacheMode::Writeback)).unwrap(),
        ];
        for disk in disks {
            let disk = Arc::new(disk);
            let mut queue = queue(&disk, aio, 4);
            let before = disk.format() != Format::Qcow2;
            assert_eq!(read(&mut queue, 5000, 9), [7 * u8::from(before); 9]);
            write(&mut queue, 5003, 3, 1);
            let old = 7 * u8::from(before);
            assert_eq!(read(&mut queue, 5002, 5), [old, 1, 1, 1, old]);
            queue.write_zeroes(5003, 3, 0, Flags::NONE).unwrap();
            finish(&mut queue);
            queue.writev(vec![old; 3], 5003, 0, Flags::FUA).unwrap();
            finish(&mut queue);
        }
    }
}

#[test]
fn options_out_of_range_are_refused() {
    let rig = Rig::raw(SIZE, CacheMode::Writeback);
    for (depth, workers) in [(0, 1), (4097, 1), (1, 0), (1, 257)] {
        let options = queue_options(depth, Aio::Threads, workers);
        let refused = Queue::new(Arc::clone(&rig.disk), &options).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
    }
}
