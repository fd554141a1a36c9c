//! Random requests, many in flight, against a plain byte array.
//!
//! Goal: whatever is asked through a queue reads back as the model says. Method: proptest over
//! requests; overlapping ones are in flight together. Requests under way have no order, so each
//! sector may hold what any of the writes since the last pause left there: the model keeps that
//! set, and a read of the disk at a pause picks one of it. With pauses between all requests the
//! set has one member. `QED_QUEUE_CASES` asks for more cases than the few of every run.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use proptest::prelude::*;
use qed_core::storage::AlignedBuffer;
use qed_core::{Aio, BackingPolicy, Buffers, CacheMode, Disk, Flags, Format, Queue, create};

use crate::rig::{CLUSTER, ENGINES, Rig, finish, image_of, number, options};

const SIZE: u64 = 3 << 20;
const SECTOR: u64 = 512;

#[derive(Clone, Debug)]
enum Op {
    Write {
        sector: u64,
        count: u64,
        byte: u8,
        fua: bool,
    },
    Read {
        sector: u64,
        count: u64,
    },
    Zero {
        sector: u64,
        count: u64,
        unmap: bool,
    },
    Discard {
        sector: u64,
        count: u64,
    },
    Flush,
    /// Everything in flight is fetched, and the disk is compared with the model.
    Pause,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let sectors = SIZE / SECTOR;
    // Few places, so that requests meet.
    let place = prop_oneof![3 => 0..64_u64, 1 => 0..sectors];
    let range = (place, prop_oneof![4 => 1..24_u64, 1 => 1..700_u64])
        .prop_map(move |(sector, count)| (sector, count.min(sectors - sector)));
    let op = prop_oneof![
        6 => (range.clone(), 1..=255_u8, prop::bool::weighted(0.2)).prop_map(
            |((sector, count), byte, fua)| Op::Write { sector, count, byte, fua }
        ),
        3 => range.clone().prop_map(|(sector, count)| Op::Read { sector, count }),
        2 => (range.clone(), any::<bool>())
            .prop_map(|((sector, count), unmap)| Op::Zero { sector, count, unmap }),
        2 => range.prop_map(|(sector, count)| Op::Discard { sector, count }),
        1 => Just(Op::Flush),
        2 => Just(Op::Pause),
    ];
    prop::collection::vec(op, 1..60)
}

/// What each sector may hold: its value at the last pause, and what has been asked since.
struct Model {
    sectors: Vec<Vec<u8>>,
}

impl Model {
    fn may_be(&mut self, sector: u64, count: u64, byte: u8) {
        for sector in &mut self.sectors[sector as usize..][..count as usize] {
            if !sector.contains(&byte) {
                sector.push(byte);
            }
        }
    }

    /// Compares, and settles on what is found.
    fn settle(&mut self, disk: &Disk) {
        let mut content = vec![0xee; SIZE as usize];
        disk.pread(&mut content, 0).unwrap();
        for (number, (sector, may)) in
            content.chunks(SECTOR as usize).zip(&mut self.sectors).enumerate()
        {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "sector {number} is torn");
            assert!(may.contains(&sector[0]), "sector {number}: {} not in {may:?}", sector[0]);
            *may = vec![sector[0]];
        }
    }
}

fn memory(length: u64, byte: u8, aligned: bool) -> Buffers {
    let length = length as usize;
    if !aligned {
        return vec![byte; length].into();
    }
    let mut buffer = AlignedBuffer::new(length);
    buffer.fill(byte);
    buffer.into()
}

fn ask(queue: &mut Queue, model: &mut Model, op: &Op, aligned: bool) {
    let queued = match *op {
        Op::Write { sector, count, byte, fua } => {
            model.may_be(sector, count, byte);
            let flags = if fua { Flags::FUA } else { Flags::NONE };
            let data = memory(count * SECTOR, byte, aligned);
            queue.writev(data, sector * SECTOR, 0, flags)
        }
        Op::Read { sector, count } => {
            let data = memory(count * SECTOR, 0xee, aligned);
            queue.readv(data, sector * SECTOR, 0, Flags::NONE)
        }
        Op::Zero { sector, count, unmap } => {
            model.may_be(sector, count, 0);
            let flags = if unmap { Flags::MAY_UNMAP } else { Flags::NONE };
            queue.write_zeroes(sector * SECTOR, count * SECTOR, 0, flags)
        }
        Op::Discard { sector, count } => {
            let per = CLUSTER / SECTOR;
            let (first, last) = (sector.div_ceil(per) * per, (sector + count) / per * per);
            if first < last {
                model.may_be(first, last - first, 0);
            }
            queue.discard(sector * SECTOR, count * SECTOR, 0, Flags::NONE)
        }
        Op::Flush => queue.flush(0, Flags::NONE),
        Op::Pause => return,
    };
    queued.unwrap();
}

fn run(rig: &Rig, aio: Aio, ops: &[Op], one_by_one: bool, aligned: bool) {
    let mut queue = rig.queue(aio, 64);
    let content = rig.content();
    let sectors = content.chunks(SECTOR as usize).map(|sector| vec![sector[0]]).collect();
    let mut model = Model { sectors };
    for op in ops {
        ask(&mut queue, &mut model, op, aligned);
        if one_by_one || matches!(op, Op::Pause) {
            finish(&mut queue);
            model.settle(&rig.disk);
        } else {
            queue.submit();
        }
    }
    finish(&mut queue);
    model.settle(&rig.disk);
    drop(queue);
}

/// An overlay over a raw file with data and holes.
fn overlay(cache: CacheMode) -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let base = File::create(folder.path().join("base.raw")).unwrap();
    let size = 2 * SIZE / 3;
    base.set_len(size).unwrap();
    for start in (0..size).step_by(40_960).filter(|start| start / 40_960 % 3 != 0) {
        let end = size.min(start + 40_960);
        let bytes: Vec<u8> = (start..end).map(|at| (at / 512) as u8 | 1).collect();
        base.write_all_at(&bytes, start).unwrap();
    }
    let path = folder.path().join("disk.qed");
    let mut over = image_of(SIZE);
    (over.backing, over.backing_format) = (Some("base.raw".into()), Some(Format::Raw));
    create(&path, &over).unwrap();
    let mut follow = options(Format::Qed, cache);
    follow.backing = BackingPolicy::Follow;
    let disk = Arc::new(Disk::open(&path, &follow).unwrap());
    Rig { folder, path, disk }
}

fn few() -> ProptestConfig {
    ProptestConfig { cases: number("QED_QUEUE_CASES", 5), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn requests_in_flight_read_as_the_model_allows(ops in ops(), direct: bool, aligned: bool) {
        let cache = if direct { CacheMode::None } else { CacheMode::Writeback };
        for aio in ENGINES {
            run(&Rig::new(SIZE, cache), aio, &ops, false, aligned);
            run(&overlay(cache), aio, &ops, false, aligned);
        }
    }

    #[test]
    fn requests_one_by_one_read_as_the_model_says(ops in ops(), direct: bool, aligned: bool) {
        let cache = if direct { CacheMode::None } else { CacheMode::Writeback };
        for aio in ENGINES {
            run(&Rig::new(SIZE, cache), aio, &ops, true, aligned);
            run(&overlay(cache), aio, &ops, true, aligned);
        }
    }
}
