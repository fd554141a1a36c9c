//! An overlay is a copy, and its base stays as it was.

use super::*;
use crate::storage::MemoryStorage;

fn read(storage: &dyn Storage, offset: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0xee; length];
    let (head, tail) = bytes.split_at_mut(length / 3);
    storage.read(&mut [IoSliceMut::new(head), IoSliceMut::new(tail)], offset).unwrap();
    bytes
}

fn write(storage: &dyn Storage, bytes: &[u8], offset: u64) {
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    let parts = [IoSlice::new(head), IoSlice::new(tail)];
    storage.write(&parts, offset, WriteFlags::default()).unwrap();
}

fn over(content: &[u8]) -> (Arc<MemoryStorage>, Overlay) {
    let base = Arc::new(MemoryStorage::from_bytes(content));
    (Arc::clone(&base), Overlay::new(base).unwrap())
}

/// Method: a reproducible sequence of calls on a copy in memory and on two overlays stacked over
/// the original, of which the upper takes the second half.
#[test]
fn overlays_do_what_a_copy_does_and_leave_the_base_alone() {
    let content: Vec<u8> = (0..40_001_u32).map(|i| i.to_le_bytes()[0] | 1).collect();
    for seed in 1..20_u64 {
        let (base, lower) = over(&content);
        let copy = MemoryStorage::from_bytes(&content);
        let mut top: Arc<dyn Storage> = Arc::new(lower);
        let mut state = seed;
        let mut below = |limit: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % limit
        };
        for round in 0..120 {
            if round == 60 {
                top = Arc::new(Overlay::new(top).unwrap());
            }
            let offset = below(copy.len().unwrap() + 1);
            let length = below(9000).min(copy.len().unwrap() - offset);
            let value = below(255).to_le_bytes()[0];
            let (call, new_length) = (below(8), below(60_000));
            for storage in [&*top, &copy] {
                match call {
                    0 => storage.punch(offset, length).unwrap(),
                    1 => storage.zero_range(offset, length).unwrap(),
                    2 => storage.set_len(new_length).unwrap(),
                    _ => write(storage, &vec![value; to_usize(length)], offset),
                }
            }
            assert_eq!(top.len().unwrap(), copy.len().unwrap());
            let at = below(50_000);
            assert!(read(&*top, at, 8000) == read(&copy, at, 8000), "seed {seed}, round {round}");
        }
        let length = to_usize(copy.len().unwrap());
        assert!(read(&*top, 0, length) == copy.to_bytes(), "seed {seed}");
        assert_eq!(base.to_bytes(), content);
    }
}

#[test]
fn what_was_cut_stays_gone_when_the_file_grows_again() {
    let (_, overlay) = over(&[1; 10_000]);
    overlay.set_len(5000).unwrap();
    overlay.set_len(10_000).unwrap();
    write(&overlay, b"x", 6000);
    let mut expected = vec![1; 5000];
    expected.resize(10_000, 0);
    expected[6000] = b'x';
    assert_eq!(read(&overlay, 0, 10_000), expected);
}

#[test]
fn runs_come_from_the_layer_and_from_the_base() {
    let (base, overlay) = over(&[1; 32768]);
    base.punch(16384, 8192).unwrap();
    overlay.set_len(1 << 30).unwrap();
    overlay.punch(0, 4096).unwrap();
    write(&overlay, b"x", 28672);
    let run = |offset| {
        let run = overlay.stored_extent(offset, 1 << 20).unwrap();
        (run.length, run.hole)
    };
    assert_eq!(run(0), (4096, true), "punched here");
    assert_eq!(run(4096), (12288, false), "the base's data");
    assert_eq!(run(16384), (8192, true), "the base's hole");
    assert_eq!(run(24576), (4096, false), "the base's data, up to what is present");
    assert_eq!(run(28672), (4096, false), "written here");
    assert_eq!(run(32768), (1 << 20, true), "past the base's end");
}

#[test]
fn hidden_ranges_merge() {
    let mut hidden = Covered::default();
    for (start, end) in [(10, 20), (30, 40), (20, 25), (5, 6), (24, 30), (50, 50), (0, 5)] {
        hidden.insert(start, end);
    }
    let found: Vec<_> = hidden.iter().collect();
    assert_eq!(found, [(0, 6), (10, 40)]);
}

#[test]
fn failing_base_is_reported_and_nothing_changes() {
    #[derive(Debug)]
    struct Unreadable(MemoryStorage);
    impl Storage for Unreadable {
        fn limits(&self) -> Limits {
            self.0.limits()
        }
        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }
        fn read(&self, _: &mut [IoSliceMut<'_>], _: u64) -> io::Result<()> {
            Err(io::Error::from_raw_os_error(libc::EIO))
        }
        fn write(&self, _: &[IoSlice<'_>], _: u64, _: WriteFlags) -> io::Result<()> {
            panic!("the base must not be written")
        }
        fn zero_range(&self, _: u64, _: u64) -> io::Result<()> {
            panic!("the base must not be changed")
        }
        fn punch(&self, _: u64, _: u64) -> io::Result<()> {
            panic!("the base must not be changed")
        }
        fn set_len(&self, _: u64) -> io::Result<()> {
            panic!("the base must not be changed")
        }
        fn sync(&self) -> io::Result<()> {
            panic!("the base must not be synced")
        }
        fn stored_extent(&self, offset: u64, length: u64) -> io::Result<StoredExtent> {
            self.0.stored_extent(offset, length)
        }
        fn disk_usage(&self) -> io::Result<u64> {
            self.0.disk_usage()
        }
    }
    let base = Arc::new(Unreadable(MemoryStorage::from_bytes(&[1; 8192])));
    let overlay = Overlay::new(base).unwrap();
    let part = [IoSlice::new(b"part of a page")];
    assert!(overlay.write(&part, 0, WriteFlags::default()).is_err());
    let usage = overlay.disk_usage().unwrap();
    assert_eq!(usage, 8192, "no page is present");
    write(&overlay, &[2; 4096], 0);
    assert_eq!(read(&overlay, 0, 4096), [2; 4096], "a whole page needs no base");
    overlay.punch(0, 8192).unwrap();
    overlay.set_len(0).unwrap();
    overlay.sync().unwrap();
}
