//! Files behave as memory does, in every mode and at every alignment. Method: the same calls on a
//! file and on a [`MemoryStorage`], compared byte by byte; races by threads that check themselves.

use super::*;
use crate::storage::{AlignedBuffer, MemoryStorage};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use tempfile::TempDir;

const WRITABLE: FileMode = FileMode { direct: false, writable: true, ignore_sync: false };

/// How a test opens its file.
#[derive(Clone, Copy, Debug)]
enum How {
    Buffered,
    Direct,
    /// O_DIRECT as on a disk with blocks of this size.
    Blocks(u64),
}

const EVERY_WAY: [How; 4] = [How::Buffered, How::Direct, How::Blocks(512), How::Blocks(4096)];

fn open(directory: &TempDir, how: How, content: &[u8]) -> FileStorage {
    open_at(&directory.path().join("file"), how, content)
}

fn open_at(path: &Path, how: How, content: &[u8]) -> FileStorage {
    std::fs::write(path, content).unwrap();
    let file = File::options().read(true).write(true).open(path).unwrap();
    let direct = FileMode { direct: true, ..WRITABLE };
    match how {
        How::Buffered => FileStorage::new(file, WRITABLE).unwrap(),
        How::Direct => FileStorage::new(file, direct).unwrap(),
        How::Blocks(unit) => {
            // With the real flag where the file system has it, and then not below its limits.
            let real = FileStorage::new(file.try_clone().unwrap(), direct).ok();
            let real = real.and_then(|storage| storage.direct.map(|direct| direct.alignment));
            let (memory, block) = real.map_or((1, 1), |real| (real.memory, real.unit));
            let alignment = Alignment { memory: memory.max(unit), unit: block.max(unit) };
            FileStorage::with_alignment(file, Kind::Regular, direct, Some(alignment))
        }
    }
}

fn read(storage: &dyn Storage, offset: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0xee; length];
    storage.read(&mut [IoSliceMut::new(&mut bytes)], offset).unwrap();
    bytes
}

fn write(storage: &dyn Storage, bytes: &[u8], offset: u64) {
    storage.write(&[IoSlice::new(bytes)], offset, WriteFlags::default()).unwrap();
}

/// A reproducible sequence of numbers (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// A number below `limit`, often a multiple of 512 or 4096.
    fn place(&mut self, limit: u64) -> u64 {
        let unit = [1, 1, 512, 4096][to_index(self.below(4))];
        let place = self.below(limit);
        place - place % unit
    }
}

fn to_index(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// One random call on both storages.
fn step(numbers: &mut Numbers, file: &dyn Storage, memory: &dyn Storage) {
    let length = file.len().unwrap();
    let offset = numbers.place(length + 1);
    let count = numbers.place(20_000).min(length - offset);
    let both = [file, memory];
    match numbers.below(10) {
        0 => both.map(|storage| storage.punch(offset, count).unwrap()),
        1 => both.map(|storage| match storage.zero_range(offset, count) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                write(storage, &vec![0; to_index(count)], offset);
            }
            done => done.unwrap(),
        }),
        2 => {
            let length = numbers.place(100_000);
            both.map(|storage| storage.set_len(length).unwrap())
        }
        3 | 4 => {
            let (one, two) = (numbers.below(count + 1), offset + numbers.below(5000));
            let [a, b] = both.map(|storage| {
                let mut bytes = AlignedBuffer::new(to_index(count));
                let (head, tail) = bytes.split_at_mut(to_index(one));
                let mut parts = [IoSliceMut::new(head), IoSliceMut::new(tail)];
                storage.read(&mut parts, two).unwrap();
                bytes.to_vec()
            });
            assert_eq!(a, b, "read of {count} bytes at {two}");
            [(), ()]
        }
        _ => {
            let mut bytes = AlignedBuffer::new(to_index(count));
            bytes.fill(numbers.below(255).to_le_bytes()[0] + 1);
            let cut = to_index(numbers.place(count + 1));
            let parts = [IoSlice::new(&bytes[..cut]), IoSlice::new(&bytes[cut..])];
            let flags = WriteFlags { fua: numbers.below(8) == 0, metadata: false };
            both.map(|storage| storage.write(&parts, offset, flags).unwrap())
        }
    };
}

#[test]
fn files_do_what_memory_does() {
    let directory = tempfile::tempdir().unwrap();
    for (seed, how) in EVERY_WAY.into_iter().cycle().take(12).enumerate() {
        let content: Vec<u8> = (0..50_001u32).map(|i| i.to_le_bytes()[0] | 1).collect();
        let file = open(&directory, how, &content);
        let memory = MemoryStorage::from_bytes(&content);
        let mut numbers = Numbers(seed as u64 * 7919 + 1);
        for round in 0..150 {
            step(&mut numbers, &file, &memory);
            let length = memory.len().unwrap();
            assert_eq!(file.len().unwrap(), length, "{how:?}, seed {seed}, round {round}");
        }
        let found = read(&file, 0, to_index(memory.len().unwrap()));
        assert!(found == memory.to_bytes(), "{how:?}, seed {seed}: contents differ");
    }
}

#[test]
fn large_requests_of_any_alignment_pass_in_pieces() {
    let directory = tempfile::tempdir().unwrap();
    for how in EVERY_WAY {
        let storage = open(&directory, how, b"");
        storage.set_len(4 << 20).unwrap();
        let bytes: Vec<u8> = (0..3_000_000u32).map(|i| (i / 511).to_le_bytes()[0]).collect();
        write(&storage, &bytes, 1001);
        assert!(read(&storage, 1001, bytes.len()) == bytes, "{how:?}");
        assert_eq!(read(&storage, 0, 1001), vec![0; 1001]);
        assert_eq!(storage.len().unwrap(), 4 << 20);
    }
}

#[test]
fn reads_past_the_end_give_zeroes() {
    let directory = tempfile::tempdir().unwrap();
    for how in EVERY_WAY {
        let storage = open(&directory, how, &[5; 700]);
        let mut expected = vec![5; 200];
        expected.resize(20_000, 0);
        assert_eq!(read(&storage, 500, 20_000), expected, "{how:?}");
        assert_eq!(read(&storage, 1 << 40, 10), [0; 10]);
        let mut aligned = AlignedBuffer::new(8192);
        aligned.fill(9);
        storage.read(&mut [IoSliceMut::new(&mut aligned)], 0).unwrap();
        assert!(aligned[..700] == [5; 700] && aligned[700..].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn partial_last_block_keeps_the_length() {
    let directory = tempfile::tempdir().unwrap();
    for how in EVERY_WAY {
        let storage = open(&directory, how, &[5; 5000]);
        write(&storage, b"inside", 4500);
        assert_eq!(storage.len().unwrap(), 5000, "{how:?}");
        write(&storage, b"across", 4997);
        assert_eq!(storage.len().unwrap(), 5003, "{how:?}: what was asked for, to the byte");
        let mut expected = vec![5; 5003];
        expected[4500..4506].copy_from_slice(b"inside");
        expected[4997..].copy_from_slice(b"across");
        assert!(read(&storage, 0, 5003) == expected, "{how:?}");
        // A direct write beside the bytes that went through the page cache does not undo them.
        let mut block = AlignedBuffer::new(4096);
        block.fill(6);
        write(&storage, &block, 0);
        expected[..4096].fill(6);
        assert!(read(&storage, 0, 5003) == expected, "{how:?}");
    }
}

/// Rule C8: one thread writes whole blocks, others single sectors of the same blocks. What the
/// first one wrote elsewhere in the block must not be undone by a sector's read-modify-write.
#[cfg(not(feature = "shuttle"))]
#[test]
fn sector_writes_never_undo_writes_of_the_rest_of_the_block() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(&directory, How::Blocks(4096), &[0; 16384]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for sector in [7_u64, 6] {
            let (storage, done) = (&storage, &done);
            scope.spawn(move || {
                let mut version = 0_u8;
                while !done.load(Ordering::Relaxed) {
                    version = version.wrapping_add(1);
                    write(storage, &[version; 512], 4096 + sector * 512);
                }
            });
        }
        let mut block = AlignedBuffer::new(4096);
        let undone = (0..400_u32).find(|round| {
            let version = round.to_le_bytes()[0];
            block.fill(version);
            write(&storage, &block, 4096);
            read(&storage, 4096, 6 * 512) != vec![version; 6 * 512]
        });
        done.store(true, Ordering::Relaxed);
        assert_eq!(undone, None, "the round whose write was undone");
    });
}

#[cfg(not(feature = "shuttle"))]
#[test]
fn sector_writes_to_one_block_all_arrive() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(&directory, How::Blocks(4096), &[0; 8192]);
    std::thread::scope(|scope| {
        for sector in 0..8_u8 {
            let storage = &storage;
            scope.spawn(move || {
                for version in 1..=100 {
                    let offset = u64::from(sector) * 512;
                    write(storage, &[version; 512], offset);
                    assert_eq!(read(storage, offset, 512), [version; 512]);
                }
            });
        }
    });
    assert_eq!(read(&storage, 0, 4096), [100; 4096]);
}

#[test]
fn forced_writes_work_with_and_without_kernel_support() {
    let directory = tempfile::tempdir().unwrap();
    let forced = WriteFlags { fua: true, metadata: true };
    for how in EVERY_WAY {
        let storage = open(&directory, how, &[0; 8192]);
        for (supported, offset) in [(true, 4096), (false, 1000)] {
            storage.forces_writes.store(supported, Ordering::Relaxed);
            let before = storage.syncs.count();
            storage.write(&[IoSlice::new(b"stable")], offset, forced).unwrap();
            assert_eq!(storage.syncs.count(), before + 1, "one sync each, {how:?}");
            assert_eq!(read(&storage, offset, 6), b"stable");
        }
    }
}

#[test]
fn unsafe_mode_neither_syncs_nor_forces() {
    let file = tempfile::tempfile().unwrap();
    let mode = FileMode { ignore_sync: true, ..WRITABLE };
    let storage = FileStorage::new(file, mode).unwrap();
    let forced = WriteFlags { fua: true, metadata: false };
    storage.write(&[IoSlice::new(b"x")], 0, forced).unwrap();
    storage.sync().unwrap();
    assert_eq!(storage.syncs.count(), 0);
}

#[test]
fn runs_and_usage_follow_punch_and_write() {
    let directory = tempfile::tempdir().unwrap();
    for how in EVERY_WAY {
        let storage = open(&directory, how, b"");
        storage.set_len(1 << 20).unwrap();
        let all = storage.stored_extent(0, 1 << 20).unwrap();
        assert_eq!(all, StoredExtent { length: 1 << 20, hole: true }, "{how:?}");
        write(&storage, &[1; 65536], 131_072);
        storage.sync().unwrap();
        let used = storage.disk_usage().unwrap();
        assert!(used >= 65536);
        assert_eq!(
            storage.stored_extent(0, 1 << 20).unwrap(),
            StoredExtent { length: 131_072, hole: true }
        );
        assert_eq!(
            storage.stored_extent(131_072, 1 << 20).unwrap(),
            StoredExtent { length: 65536, hole: false }
        );
        storage.punch(131_072, 65536).unwrap();
        assert_eq!(read(&storage, 131_072, 65536), vec![0; 65536]);
        assert!(storage.disk_usage().unwrap() < used, "{how:?}");
        assert!(storage.stored_extent(131_072, 1000).unwrap().hole);
        assert_eq!(storage.len().unwrap(), 1 << 20);
    }
}

#[test]
fn zero_range_zeroes_or_says_that_it_cannot() {
    for directory in [Path::new("/dev/shm"), &std::env::temp_dir()] {
        let Ok(file) = tempfile::tempfile_in(directory) else { continue };
        let storage = FileStorage::new(file, WRITABLE).unwrap();
        write(&storage, &[1; 16384], 0);
        let expected = match storage.zero_range(4096, 8192) {
            Ok(()) => 0,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::Unsupported);
                1
            }
        };
        assert_eq!(read(&storage, 4096, 8192), [expected; 8192]);
        assert_eq!(storage.len().unwrap(), 16384);
        storage.zero_range(0, 0).unwrap();
    }
}

#[test]
fn read_only_storages_refuse_changes() {
    let file = tempfile::tempfile().unwrap();
    let storage = FileStorage::new(file, FileMode::default()).unwrap();
    let flags = WriteFlags::default();
    for refused in [
        storage.write(&[IoSlice::new(b"x")], 0, flags),
        storage.punch(0, 1),
        storage.zero_range(0, 1),
        storage.set_len(1),
    ] {
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EROFS));
    }
}

#[test]
fn unusable_descriptors_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, b"x").unwrap();
    let options = File::options;
    for (opened, text) in [
        (options().append(true).read(true).open(&path), "appending"),
        (options().write(true).open(&path), "reading"),
        (options().read(true).open(&path), "writing"),
        (options().read(true).custom_flags(libc::O_PATH).open(&path), "reading"),
        (options().read(true).open(directory.path()), "neither a regular file nor a block device"),
        (options().read(true).write(true).open("/dev/null"), "neither a regular file"),
    ] {
        let error = FileStorage::new(opened.unwrap(), WRITABLE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(text), "{error} says {text}");
    }
}

#[test]
fn missing_direct_io_is_named() {
    // A regular file by type, and none that does direct I/O.
    let file = File::open("/proc/self/status").unwrap();
    let mode = FileMode { direct: true, ..FileMode::default() };
    let error = FileStorage::new(file, mode).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    assert!(error.to_string().contains("O_DIRECT"), "{error}");
}

#[test]
fn descriptor_that_has_the_flag_already_is_served_aligned() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, [3; 10_000]).unwrap();
    let opened = File::options().read(true).custom_flags(libc::O_DIRECT).open(&path);
    let Ok(file) = opened else { return println!("skipped: no O_DIRECT here") };
    let storage = FileStorage::new(file, FileMode::default()).unwrap();
    assert_eq!(read(&storage, 77, 9000), [3; 9000]);
}
