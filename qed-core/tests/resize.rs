//! What a disk shows after it has grown or shrunk, and what it gives back.

#![allow(clippy::unwrap_used, clippy::panic, clippy::field_reassign_with_default)]

use std::io::{IoSlice, IoSliceMut};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use qed_core::crash::workload::PatternSource;
use qed_core::format::Geometry;
use qed_core::source::{Format, Source};
use qed_core::storage::{MemoryStorage, Storage, WriteFlags};
use qed_core::{
    CreateSpec, Disk, ErrorKind, Flags, Image, ImageSettings, ResizeOptions, Result, check_storage,
    format_storage, stream_image,
};

const C: u64 = 4096;

fn shrinking() -> ResizeOptions {
    let mut options = ResizeOptions::default();
    options.shrink = true;
    options
}

fn new_image(size: u64) -> Arc<MemoryStorage> {
    let storage = Arc::new(MemoryStorage::new());
    let spec = CreateSpec::new(Geometry::new(C, 1).unwrap(), size).unwrap();
    format_storage(&*storage, &spec).unwrap();
    storage
}

fn open(storage: &Arc<MemoryStorage>, backing: u64) -> Image {
    let source = Arc::new(PatternSource::new(backing)) as Arc<dyn Source>;
    let source = (backing > 0).then_some(source);
    Image::from_storage(storage.clone(), source, ImageSettings::default()).unwrap()
}

fn read(image: &Image, offset: u64, length: u64) -> Vec<u8> {
    let mut bytes = vec![0xee; usize::try_from(length).unwrap()];
    image.pread(&mut bytes, offset).unwrap();
    bytes
}

fn put(storage: &MemoryStorage, offset: u64, bytes: &[u8]) {
    storage.write(&[IoSlice::new(bytes)], offset, WriteFlags::default()).unwrap();
}

fn kind(result: Result<()>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn what_another_writer_left_beyond_the_end_does_not_come_back() {
    // Goal: F3.6. Method: an image is cut to a smaller size by its header alone, as writers do that
    // know no better; clusters, zero clusters and the last cluster's tail stay mapped.
    for tail in [0, 512] {
        let storage = new_image(4 << 20);
        let image = open(&storage, 0);
        image.pwrite(&vec![7; 3 << 20], 0, Flags::NONE).unwrap();
        image.close().unwrap();
        put(&storage, 32, &[0; 8]);
        put(&storage, 48, &(C + tail).to_le_bytes());
        let image = open(&storage, 0);
        assert_eq!(image.size(), C + tail);
        image.resize(4 << 20, ResizeOptions::default()).unwrap();
        let kept = usize::try_from(C + tail).unwrap();
        let content = read(&image, 0, 4 << 20);
        assert!(content[..kept].iter().all(|byte| *byte == 7));
        assert!(content[kept..].iter().all(|byte| *byte == 0));
        image.close().unwrap();
        assert_eq!(
            check_storage(&*storage).unwrap().allocated_clusters,
            kept as u64 / C + tail / 512
        );
    }
}

#[test]
fn a_grown_overlay_reads_zeroes_where_its_backing_file_goes_on() {
    for size in [C, C + 512, 3 * C] {
        let storage = new_image(size);
        let image = open(&storage, 2 << 20);
        image.resize((2 << 20) + 5 * C, ResizeOptions::default()).unwrap();
        let mut expected = vec![0; usize::try_from(size).unwrap()];
        PatternSource::new(2 << 20).read(&mut expected, 0).unwrap();
        assert_eq!(read(&image, 0, size), expected);
        let grown = read(&image, size, (2 << 20) + 5 * C - size);
        assert!(grown.iter().all(|byte| *byte == 0), "size {size}");
        image.close().unwrap();
    }
}

#[test]
fn a_shrunk_disk_gives_its_space_back_and_grows_again_empty() {
    let storage = new_image(2 << 20);
    let image = open(&storage, 0);
    image.pwrite(&vec![9; 2 << 20], 0, Flags::NONE).unwrap();
    image.flush().unwrap();
    let before = storage.disk_usage().unwrap();
    assert_eq!(kind(image.resize(C, ResizeOptions::default())), ErrorKind::InvalidArgument);
    image.resize(2 * C, shrinking()).unwrap();
    assert!(before - storage.disk_usage().unwrap() >= (2 << 20) - 2 * C, "space was kept");
    let beyond = image.pwrite(&[1; 512], 2 * C, Flags::NONE);
    assert_eq!(kind(beyond), ErrorKind::InvalidArgument);
    image.close().unwrap();
    assert!(storage.len().unwrap() <= 6 * C, "{}", storage.len().unwrap());
    let image = open(&storage, 0);
    image.resize(2 << 20, ResizeOptions::default()).unwrap();
    assert_eq!(read(&image, C, C), [9; 4096]);
    assert!(read(&image, 2 * C, (2 << 20) - 2 * C).iter().all(|byte| *byte == 0));
}

#[test]
fn the_tables_of_what_was_cut_off_go_with_it() {
    // Goal: the file ends with what is left, and what grows again gets new tables. Method: data
    // under ten tables; a backing file below all of them, some, or none; shrunk to one, grown again
    // in the same session and written to, then looked at from the next one.
    for backing in [0, 5 << 20, 32 << 20] {
        let storage = new_image(20 << 20);
        let image = open(&storage, backing);
        for span in 0..10 {
            image.pwrite(&[7; 4096], span * (2 << 20) + C, Flags::NONE).unwrap();
        }
        image.flush().unwrap();
        image.resize(3 * C, shrinking()).unwrap();
        image.resize(20 << 20, ResizeOptions::default()).unwrap();
        let regrown = read(&image, 3 * C, (20 << 20) - 3 * C);
        assert!(regrown.iter().all(|byte| *byte == 0), "backing {backing}");
        let tables = if backing == 0 { 1 } else { backing.min(20 << 20).div_ceil(2 << 20) };
        image.pwrite(&[8; 512], 7 * (2 << 20) + 2 * C, Flags::NONE).unwrap();
        image.close().unwrap();
        let image = open(&storage, backing);
        assert_eq!(read(&image, 7 * (2 << 20) + 2 * C, 512), [8; 512]);
        assert_eq!(read(&image, C, C), [7; 4096]);
        assert_eq!(read(&image, 7 * (2 << 20) + C, C), [0; 4096]);
        image.resize(3 * C, shrinking()).unwrap();
        image.close().unwrap();
        let report = check_storage(&*storage).unwrap();
        assert_eq!((report.corruptions, report.allocated_clusters), (0, 1), "{report:?}");
        // Header, L1 table, one L2 table, one cluster, in whatever order they came to stand.
        let length = storage.len().unwrap();
        assert!(length <= (2 + tables + 2) * C, "backing {backing}: {length}");
        let words = L1_ENTRIES.map(|index| word(&storage, C + 8 * index));
        assert!(words[0] != 0 && words[1..].iter().all(|word| *word == 0), "{words:?}");
    }
}

/// Of the L1 table of a disk with ten spans.
const L1_ENTRIES: [u64; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

fn word(storage: &MemoryStorage, offset: u64) -> u64 {
    let mut buffer = [0; 8];
    storage.read(&mut [IoSliceMut::new(&mut buffer)], offset).unwrap();
    u64::from_le_bytes(buffer)
}

#[test]
fn impossible_sizes_are_refused_and_change_nothing() {
    let storage = new_image(C);
    let most = Geometry::new(C, 1).unwrap().max_image_size();
    let before = storage.to_bytes();
    let image = open(&storage, 0);
    for size in [C + 1, most + 512, u64::MAX] {
        let refused = image.resize(size, ResizeOptions::default());
        assert_eq!(kind(refused), ErrorKind::InvalidArgument, "{size}");
    }
    assert_eq!(image.size(), C);
    drop(image);
    assert_eq!(storage.to_bytes(), before);
    let mut settings = ImageSettings::default();
    settings.read_only = true;
    let image = Image::from_storage(storage, None, settings).unwrap();
    assert_eq!(kind(image.resize(2 * C, ResizeOptions::default())), ErrorKind::ReadOnly);
}

#[test]
fn a_disk_grows_to_the_largest_and_back() {
    let storage = new_image(C);
    let image = open(&storage, 0);
    let most = Geometry::new(C, 1).unwrap().max_image_size();
    image.resize(most, ResizeOptions::default()).unwrap();
    image.pwrite(&[5; 512], most - 512, Flags::NONE).unwrap();
    image.close().unwrap();
    let image = open(&storage, 0);
    assert_eq!((image.size(), read(&image, most - 512, 512)), (most, vec![5; 512]));
    image.resize(0, shrinking()).unwrap();
    image.close().unwrap();
    let report = check_storage(&*storage).unwrap();
    assert_eq!((report.allocated_clusters, report.corruptions), (0, 0));
}

#[test]
fn raw_disks_take_any_size_and_qcow2_says_that_it_cannot() {
    let storage = Arc::new(MemoryStorage::from_bytes(&[3; 1000]));
    let raw =
        Disk::from_storage(storage.clone(), Format::Raw, None, ImageSettings::default()).unwrap();
    raw.resize(1501, ResizeOptions::default()).unwrap();
    let mut bytes = [9; 1501];
    raw.pread(&mut bytes, 0).unwrap();
    assert!(bytes[..1000] == [3; 1000] && bytes[1000..] == [0; 501]);
    assert_eq!(kind(raw.resize(7, ResizeOptions::default())), ErrorKind::InvalidArgument);
    raw.resize(7, shrinking()).unwrap();
    assert_eq!(kind(raw.pread(&mut bytes, 0)), ErrorKind::InvalidArgument);
    raw.close().unwrap();
    assert_eq!(storage.to_bytes(), [3; 7]);
    let storage = Arc::new(MemoryStorage::new());
    let spec = qed_core::qcow2::Qcow2CreateSpec::new(1 << 20, 1 << 16).unwrap();
    qed_core::qcow2::format_qcow2(&*storage, &spec).unwrap();
    let qcow2 = Disk::from_storage(storage, Format::Qcow2, None, ImageSettings::default()).unwrap();
    let refused = qcow2.resize(2 << 20, ResizeOptions::default()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    assert!(refused.to_string().contains("qcow2"), "{refused}");
}

#[test]
fn a_stream_goes_on_while_the_end_moves() {
    // Goal: who copies from below and who drops tables beyond the end wait for each other in no
    // circle, and nothing comes up behind a new end. Method: a disk over ten tables is streamed
    // while it shrinks to one and grows again, many times.
    let storage = new_image(20 << 20);
    let image = open(&storage, 20 << 20);
    let kept = 2 * C + 512;
    std::thread::scope(|scope| {
        let stream = scope.spawn(|| {
            stream_image(&image, &mut |_, _| ControlFlow::Continue(())).unwrap();
        });
        for round in 0..30_u64 {
            image.resize(kept + (round % 3) * (4 << 20), shrinking()).unwrap();
            image.resize(20 << 20, ResizeOptions::default()).unwrap();
        }
        stream.join().unwrap();
        image.resize(kept, shrinking()).unwrap();
        image.resize(20 << 20, ResizeOptions::default()).unwrap();
    });
    let mut expected = vec![0; usize::try_from(kept).unwrap()];
    PatternSource::new(20 << 20).read(&mut expected, 0).unwrap();
    expected.resize(20 << 20, 0);
    assert!(read(&image, 0, 20 << 20) == expected);
    image.close().unwrap();
    let report = check_storage(&*storage).unwrap();
    assert_eq!((report.corruptions, report.check_errors), (0, 0), "{report:?}");
}

#[test]
fn writers_go_on_while_the_end_moves() {
    // Goal: a resize disturbs nobody on this side of the end. Method: threads write and read back
    // below the smallest size, one fills what lies beyond while it is there, one resizes.
    let storage = new_image(3 * C);
    let image = open(&storage, 2 << 20);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for own in 0..2_u64 {
            let (image, done) = (&image, &done);
            scope.spawn(move || {
                for round in 0.. {
                    let bytes = [u8::try_from(round % 251).unwrap(); 1024];
                    image.pwrite(&bytes, own * C + 512, Flags::NONE).unwrap();
                    assert_eq!(read(image, own * C + 512, 1024), bytes);
                    if done.load(Ordering::SeqCst) {
                        return;
                    }
                }
            });
        }
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                // Refused where the disk has just shrunk.
                let _ = image.pwrite(&[0xbb; 8192], 3 * C, Flags::NONE);
                let _ = image.discard(2 * C, C + 512);
            }
        });
        for round in 0..60_u64 {
            let small = 2 * C + 512 + 512 * (round % 7);
            image.resize(small, shrinking()).unwrap();
            image.resize(16 * C, ResizeOptions::default()).unwrap();
            assert!(read(&image, 10 * C, 6 * C).iter().all(|byte| *byte == 0));
        }
        done.store(true, Ordering::SeqCst);
    });
    image.close().unwrap();
    let report = check_storage(&*storage).unwrap();
    assert_eq!(report.corruptions, 0, "{report:?}");
    assert_eq!(word(&storage, 48), 16 * C);
}
