//! Random operations on an overlay of two files against a plain byte array: the guest's, and work
//! on the whole image between them.
//!
//! Goal: whatever is compacted, streamed, committed and resized between the guest's calls, the disk
//! reads as the model says, also reopened. Method: proptest over disks in memory: an image over an
//! image over a raw file, of sizes of their own, with and without a thread of the engine's, and
//! with reads that copy.

#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]
#![allow(clippy::field_reassign_with_default)]

use std::ops::ControlFlow;
use std::sync::Arc;

use proptest::prelude::*;
use qed_core::crash::workload::empty_image;
use qed_core::source::Source;
use qed_core::storage::MemoryStorage;
use qed_core::{
    CommitOptions, CompactOptions, Disk, Flags, Format, ImageSettings, ResizeOptions,
    StreamOptions, commit_disks, compact, stream,
};

const C: u64 = 4096;
/// No disk is longer: under two tables of one cluster.
const MOST: u64 = 3 << 20;

#[derive(Clone, Debug)]
enum Op {
    Write(u64, u64, u8),
    Zero(u64, u64, bool),
    Discard(u64, u64),
    Read(u64, u64),
    Flush,
    Reopen,
    Resize(u64),
    Compact(u64),
    Stream,
    /// Into the file below; perhaps the overlay keeps what it has.
    Commit(bool),
}

fn guest_op() -> impl Strategy<Value = Op> + Clone {
    // Near the front, so that operations meet, or anywhere.
    let range = (prop_oneof![3 => 0..40 * C, 1 => 0..MOST], prop_oneof![1..600u64, 1..30_000u64]);
    prop_oneof![
        5 => (range.clone(), 1..=255u8).prop_map(|((o, l), b)| Op::Write(o, l, b)),
        2 => (range.clone(), any::<bool>()).prop_map(|((o, l), u)| Op::Zero(o, l, u)),
        3 => range.prop_map(|(o, l)| Op::Discard(o, l * 2)),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => guest_op(),
        2 => (0..MOST, 1..60_000u64).prop_map(|(o, l)| Op::Read(o, l)),
        1 => Just(Op::Flush),
        2 => Just(Op::Reopen),
        1 => (0..=MOST / 512).prop_map(|sectors| Op::Resize(sectors * 512)),
        2 => (0..6u32).prop_map(|bits| Op::Compact(C << bits)),
        1 => Just(Op::Stream),
        2 => any::<bool>().prop_map(Op::Commit),
    ];
    prop::collection::vec(op, 1..30)
}

fn quietly(_: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The files of the chain, and what the guest of the uppermost one reads.
struct Chain {
    raw: Arc<MemoryStorage>,
    middle: Arc<MemoryStorage>,
    top: Arc<MemoryStorage>,
    settings: ImageSettings,
    /// The overlay names no backing file any more.
    streamed: bool,
    model: Vec<u8>,
}

/// What a chain is made of: bytes of the three disks, and what was done to the one in between.
type Made = ((u64, u64, u64), Vec<Op>, bool, bool);

impl Chain {
    fn new(((raw, middle, top), before, background, copy_on_read): Made) -> Self {
        let byte = |at: u64| if (at / 9000).is_multiple_of(3) { 0 } else { (at / 512) as u8 | 1 };
        let bytes: Vec<u8> = (0..raw).map(byte).collect();
        let image = |size, features| MemoryStorage::from_bytes(&empty_image(C, 1, size, features));
        let mut settings = ImageSettings::default();
        settings.background = background;
        let mut chain = Self {
            raw: Arc::new(MemoryStorage::from_bytes(&bytes)),
            middle: Arc::new(image(middle, 5)),
            top: Arc::new(image(top, 1)),
            settings,
            streamed: false,
            model: bytes,
        };
        chain.model.resize(middle as usize, 0);
        let disk = chain.middle();
        before.iter().for_each(|op| guest(&disk, &mut chain.model, op));
        disk.close().unwrap();
        chain.settings.copy_on_read = copy_on_read;
        chain.model.resize(top as usize, 0);
        chain
    }

    fn middle(&self) -> Disk {
        let mut settings = self.settings.clone();
        settings.copy_on_read = false;
        let raw = Disk::from_storage(self.raw.clone(), Format::Raw, None, settings.clone());
        let below = Arc::new(raw.unwrap()) as Arc<dyn Source>;
        Disk::from_storage(self.middle.clone(), Format::Qed, Some(below), settings).unwrap()
    }

    fn open(&self, below: Option<Arc<Disk>>) -> Disk {
        let below = below.map(|disk| disk as Arc<dyn Source>);
        Disk::from_storage(self.top.clone(), Format::Qed, below, self.settings.clone()).unwrap()
    }

    fn reopen(&self) -> Disk {
        self.open((!self.streamed).then(|| Arc::new(self.middle())))
    }

    fn apply(&mut self, disk: Disk, op: &Op) -> Disk {
        match op {
            Op::Reopen => {
                disk.close().unwrap();
                return self.reopen();
            }
            Op::Compact(batch) => {
                let mut options = CompactOptions::default();
                options.batch = *batch;
                compact(&disk, &options, &mut quietly).unwrap();
            }
            Op::Stream => {
                stream(&disk, &StreamOptions::default(), &mut quietly).unwrap();
                self.streamed = true;
            }
            Op::Commit(keep) if !self.streamed => {
                disk.close().unwrap();
                let middle = Arc::new(self.middle());
                let mut options = CommitOptions::default();
                options.keep = *keep;
                let top = self.open(Some(Arc::clone(&middle)));
                commit_disks(top, middle, 1, &options, &mut quietly).unwrap();
                return self.reopen();
            }
            Op::Commit(_) => {}
            other => guest(&disk, &mut self.model, other),
        }
        disk
    }
}

/// What a guest does to a disk of whole sectors, and to its model.
fn guest(disk: &Disk, model: &mut Vec<u8>, op: &Op) {
    let size = disk.size();
    // What passes the end, which may have moved, is left out.
    let on_disk = |offset: u64, length: u64| length.min(size.saturating_sub(offset));
    match *op {
        Op::Write(offset, length, byte) if on_disk(offset, length) > 0 => {
            let data = vec![byte; on_disk(offset, length) as usize];
            disk.pwrite(&data, offset, Flags::NONE).unwrap();
            model[offset as usize..][..data.len()].copy_from_slice(&data);
        }
        Op::Zero(offset, length, unmap) if on_disk(offset, length) > 0 => {
            let length = on_disk(offset, length);
            let flags = if unmap { Flags::MAY_UNMAP } else { Flags::NONE };
            disk.write_zeroes(offset, length, flags).unwrap();
            model[offset as usize..][..length as usize].fill(0);
        }
        Op::Discard(offset, length) if on_disk(offset, length) > 0 => {
            let end = offset + on_disk(offset, length);
            disk.discard(offset, end - offset).unwrap();
            let first = offset.next_multiple_of(C);
            let last = if end == size { end } else { end / C * C };
            if first < last {
                model[first as usize..last as usize].fill(0);
            }
        }
        Op::Read(offset, length) if on_disk(offset, length) > 0 => {
            let mut found = vec![0xee; on_disk(offset, length) as usize];
            disk.pread(&mut found, offset).unwrap();
            assert!(found == model[offset as usize..][..found.len()], "read at {offset:#x}");
        }
        Op::Resize(to) => {
            let mut options = ResizeOptions::default();
            options.shrink = true;
            disk.resize(to, options).unwrap();
            model.resize(to as usize, 0);
        }
        Op::Flush => disk.flush().unwrap(),
        _ => {}
    }
}

fn compare(disk: &Disk, model: &[u8], after: &str) {
    let mut content = vec![0xee; model.len()];
    disk.pread(&mut content, 0).unwrap();
    if let Some(at) = content.iter().zip(model).position(|(a, b)| a != b) {
        panic!("differs at {at:#x} after {after}: {} is not {}", content[at], model[at]);
    }
}

fn run(made: Made, ops: &[Op]) {
    let mut chain = Chain::new(made);
    let copies = chain.settings.copy_on_read;
    let mut disk = chain.reopen();
    for op in ops {
        disk = chain.apply(disk, op);
        // Where reads copy, a look at all of it would leave nothing to copy.
        if !copies {
            compare(&disk, &chain.model, &format!("{op:?}"));
        }
    }
    compare(&disk, &chain.model, "all of it");
    disk.close().unwrap();
    compare(&chain.reopen(), &chain.model, "all of it, reopened");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn a_chain_reads_what_the_model_reads(
        sizes in (0..80u64, 1..200u64, 1..200u64),
        before in prop::collection::vec(guest_op(), 0..8),
        background: bool,
        copy_on_read: bool,
        ops in ops(),
    ) {
        let (raw, middle, top) = sizes;
        let sizes = (raw * 1536 * 3, middle * 512 * 5, top * 512 * 9);
        run((sizes, before, background, copy_on_read), &ops);
    }
}
