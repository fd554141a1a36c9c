//! Random operations against a plain byte array.
//!
//! Goal: whatever is written, zeroed, discarded, flushed and reopened, reads back as the model
//! says. Method: proptest over operations on images in memory, with and without a backing source,
//! small clusters so that requests cross clusters, slices and tables.

#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]
#![allow(clippy::field_reassign_with_default)]

use std::ops::ControlFlow;
use std::sync::Arc;

use proptest::prelude::*;
use qed_core::format::Geometry;
use qed_core::source::{Extent, ExtentKind, Source};
use qed_core::storage::MemoryStorage;
use qed_core::{
    CompactOptions, CreateSpec, Flags, Image, ImageSettings, ResizeOptions, Result, compact_image,
    format_storage, stream_image,
};

const SIZE: u64 = 6 << 20;

#[derive(Debug)]
struct Bytes(Vec<u8>);

impl Source for Bytes {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }
    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let start = usize::try_from(offset).unwrap();
        buffer.copy_from_slice(&self.0[start..start + buffer.len()]);
        Ok(())
    }
    fn extent(&self, offset: u64, length: u64) -> Result<Extent> {
        let rest = &self.0[usize::try_from(offset).unwrap()..];
        let rest = &rest[..rest.len().min(usize::try_from(length).unwrap())];
        let zero = rest[0] == 0;
        let run = rest.iter().take_while(|byte| (**byte == 0) == zero).count();
        let place = Some(offset);
        let kind = match zero {
            true => ExtentKind::Zero { file_offset: place },
            false => ExtentKind::Data { file_offset: place },
        };
        Ok(Extent { offset, length: run as u64, kind, depth: 0 })
    }
}

#[derive(Clone, Debug)]
enum Op {
    Write(u64, u64, u8),
    Zero(u64, u64, bool),
    Discard(u64, u64),
    Flush,
    Reopen,
    Resize(u64),
    Compact(u64),
    Stream,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let range = (0..SIZE, prop_oneof![1..600u64, 1..20_000u64, 1..2_500_000u64])
        .prop_map(|(offset, length)| (offset, length.min(SIZE - offset)));
    let op = prop_oneof![
        4 => (range.clone(), 1..=255u8).prop_map(|((o, l), b)| Op::Write(o, l, b)),
        2 => (range.clone(), any::<bool>()).prop_map(|((o, l), u)| Op::Zero(o, l, u)),
        2 => range.prop_map(|(o, l)| Op::Discard(o, l)),
        1 => Just(Op::Flush),
        1 => Just(Op::Reopen),
        1 => (0..=SIZE / 512).prop_map(|sectors| Op::Resize(sectors * 512)),
        1 => (12..20u32).prop_map(|bits| Op::Compact(1 << bits)),
        1 => Just(Op::Stream),
    ];
    prop::collection::vec(op, 1..40)
}

fn settings(background: bool) -> ImageSettings {
    let mut settings = ImageSettings::default();
    settings.background = background;
    settings.l2_cache_size = 1;
    settings
}

fn run(
    ops: &[Op],
    cluster_size: u64,
    storage: MemoryStorage,
    backing: Option<Vec<u8>>,
    background: bool,
) {
    let storage = Arc::new(storage);
    let spec = CreateSpec::new(Geometry::new(cluster_size, 1).unwrap(), SIZE).unwrap();
    format_storage(&*storage, &spec).unwrap();
    let mut model = vec![0; SIZE as usize];
    let mut source: Option<Arc<dyn Source>> = backing.map(|bytes| {
        let length = bytes.len().min(model.len());
        model[..length].copy_from_slice(&bytes[..length]);
        Arc::new(Bytes(bytes)) as Arc<dyn Source>
    });
    let open = |source: &Option<Arc<dyn Source>>| {
        Image::from_storage(storage.clone(), source.clone(), settings(background)).unwrap()
    };
    let mut image = open(&source);
    for op in ops {
        // What passes the end, which may have moved, is left out.
        let size = image.size();
        let on_disk = |offset: u64, length: u64| length.min(size.saturating_sub(offset));
        match *op {
            Op::Write(offset, length, _)
            | Op::Zero(offset, length, _)
            | Op::Discard(offset, length)
                if on_disk(offset, length) == 0 =>
            {
                let refused = image.pwrite(&vec![1; length as usize], offset, Flags::NONE);
                assert_eq!(refused.unwrap_err().kind(), qed_core::ErrorKind::InvalidArgument);
            }
            Op::Write(offset, length, byte) => {
                let length = on_disk(offset, length);
                let data = vec![byte; length as usize];
                image.pwrite(&data, offset, Flags::NONE).unwrap();
                model[offset as usize..][..length as usize].copy_from_slice(&data);
            }
            Op::Zero(offset, length, unmap) => {
                let length = on_disk(offset, length);
                let flags = if unmap { Flags::MAY_UNMAP } else { Flags::NONE };
                image.write_zeroes(offset, length, flags).unwrap();
                model[offset as usize..][..length as usize].fill(0);
            }
            Op::Discard(offset, length) => {
                let length = on_disk(offset, length);
                image.discard(offset, length).unwrap();
                let end = offset + length;
                let first = offset.div_ceil(cluster_size) * cluster_size;
                let last = if end == size { end } else { end / cluster_size * cluster_size };
                if first < last {
                    model[first as usize..last as usize].fill(0);
                }
            }
            Op::Flush => image.flush().unwrap(),
            Op::Reopen => {
                image.close().unwrap();
                image = open(&source);
            }
            Op::Compact(batch) => {
                let mut options = CompactOptions::default();
                options.batch = batch;
                compact_image(&image, &options, &mut |_, _| ControlFlow::Continue(())).unwrap();
            }
            Op::Stream => {
                stream_image(&image, &mut |_, _| ControlFlow::Continue(())).unwrap();
                source = None;
            }
            Op::Resize(to) => {
                let mut options = ResizeOptions::default();
                if to < size {
                    let refused = image.resize(to, options).unwrap_err();
                    assert_eq!(refused.kind(), qed_core::ErrorKind::InvalidArgument);
                }
                options.shrink = true;
                image.resize(to, options).unwrap();
                model.resize(to as usize, 0);
            }
        }
        let mut content = vec![0xee; model.len()];
        image.pread(&mut content, 0).unwrap();
        if content != model {
            let at = content.iter().zip(&model).position(|(a, b)| a != b).unwrap();
            panic!("differs at {at:#x} after {op:?}: {} is not {}", content[at], model[at]);
        }
    }
    image.close().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn reads_what_the_model_reads(ops in ops(), bits in 12..17u32, background: bool) {
        run(&ops, 1 << bits, MemoryStorage::new(), None, background);
    }

    #[test]
    fn reads_what_the_model_reads_over_a_backing_source(
        ops in ops(),
        bits in 12..17u32,
        length in 0..2 * SIZE as usize,
        background: bool,
    ) {
        let byte = |at| if at / 30_000 % 3 == 0 { 0 } else { (at / 512) as u8 | 1 };
        let backing = (0..length).map(byte).collect();
        run(&ops, 1 << bits, MemoryStorage::new(), Some(backing), background);
    }

    #[test]
    fn reads_what_the_model_reads_where_new_space_is_not_zeroes(
        ops in ops(),
        bits in 12..17u32,
        background: bool,
    ) {
        // Old bytes stand in every cluster that is handed out: as on a disk without a file system.
        run(&ops, 1 << bits, MemoryStorage::new().with_stale_space(), None, background);
    }
}
