//! The storage in memory behaves as a file does.

use super::*;

fn read(storage: &MemoryStorage, offset: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0xee; length];
    storage.read(&mut [IoSliceMut::new(&mut bytes)], offset).unwrap();
    bytes
}

fn write(storage: &MemoryStorage, bytes: &[u8], offset: u64) {
    storage.write(&[IoSlice::new(bytes)], offset, WriteFlags::default()).unwrap();
}

#[test]
fn scattered_reads_return_what_scattered_writes_stored() {
    let storage = MemoryStorage::new();
    let parts = [IoSlice::new(b"abc"), IoSlice::new(b""), IoSlice::new(b"defgh")];
    storage.write(&parts, 4094, WriteFlags::default()).unwrap();
    let (mut one, mut two) = ([0; 5], [9; 6]);
    storage.read(&mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)], 4093).unwrap();
    assert_eq!(&one, b"\0abcd");
    assert_eq!(&two, b"efgh\0\0");
    assert_eq!(storage.len().unwrap(), 4102);
}

#[test]
fn bytes_go_in_and_out() {
    let bytes: Vec<u8> =
        (0..10_000u32).map(|i| if i < 5000 { 0 } else { i.to_le_bytes()[0] }).collect();
    let storage = MemoryStorage::from_bytes(&bytes);
    assert_eq!(storage.to_bytes(), bytes);
    assert_eq!(storage.disk_usage().unwrap(), 2 * 4096, "the page of zeroes is a hole");
}

#[test]
fn what_was_cut_is_gone_when_the_file_grows_again() {
    let storage = MemoryStorage::from_bytes(&[1; 9000]);
    storage.set_len(5000).unwrap();
    storage.set_len(20_000).unwrap();
    let mut expected = vec![1; 5000];
    expected.resize(20_000, 0);
    assert_eq!(storage.to_bytes(), expected);
}

#[test]
fn punched_and_zeroed_ranges_read_as_zeroes_to_the_byte() {
    for punch in [false, true] {
        let storage = MemoryStorage::from_bytes(&[1; 16384]);
        let change = if punch { MemoryStorage::punch } else { MemoryStorage::zero_range };
        change(&storage, 100, 9000).unwrap();
        let mut expected = vec![1; 16384];
        expected[100..9100].fill(0);
        assert_eq!(storage.to_bytes(), expected);
        assert_eq!(storage.disk_usage().unwrap(), if punch { 3 * 4096 } else { 4 * 4096 });
    }
}

#[test]
fn runs_tell_holes_from_data() {
    let storage = MemoryStorage::new();
    storage.set_len(1 << 40).unwrap();
    write(&storage, &[1; 8192], 1 << 20);
    let hole = storage.stored_extent(0, 1 << 40).unwrap();
    assert_eq!(hole, StoredExtent { length: 1 << 20, hole: true });
    let data = storage.stored_extent(1 << 20, 1 << 30).unwrap();
    assert_eq!(data, StoredExtent { length: 8192, hole: false });
    let part = storage.stored_extent((1 << 20) + 10, 100).unwrap();
    assert_eq!(part, StoredExtent { length: 100, hole: false });
    let rest = storage.stored_extent((1 << 20) + 8192, 4096).unwrap();
    assert_eq!(rest, StoredExtent { length: 4096, hole: true });
}

#[test]
fn stale_space_reads_as_junk_until_it_is_written_or_zeroed() {
    let storage = MemoryStorage::new().with_stale_space();
    assert!(!storage.limits().zeroes_new_space);
    storage.set_len(300_000).unwrap();
    write(&storage, &[1; 10], 50);
    assert_eq!(read(&storage, 49, 3), [STALE, 1, 1]);
    storage.zero_range(100, 200_000).unwrap();
    assert_eq!(read(&storage, 99, 2), [STALE, 0]);
    assert_eq!(read(&storage, 200_099, 2), [0, STALE]);
    assert_eq!(read(&storage, 299_999, 2), [STALE, 0], "past the end are zeroes always");
    storage.punch(0, 4096).unwrap();
    assert_eq!(read(&storage, 50, 2), [STALE, STALE]);
    assert!(!storage.stored_extent(250_000, 10).unwrap().hole);
}

#[test]
fn a_disk_that_cannot_punch_says_so_and_changes_nothing() {
    let storage = MemoryStorage::from_bytes(&[1; 4096]).without_punch();
    let error = storage.punch(0, 4096).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    assert_eq!(storage.to_bytes(), [1; 4096]);
}

#[test]
fn ranges_past_the_largest_offset_are_refused() {
    let storage = MemoryStorage::new();
    let error = storage.zero_range(u64::MAX, 1).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(storage.set_len(1 << 63).is_err());
    assert!(storage.write(&[IoSlice::new(b"x")], i64::MAX as u64, WriteFlags::default()).is_err());
}
