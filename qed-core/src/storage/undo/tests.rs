use super::*;
use crate::storage::MemoryStorage;
use proptest::prelude::*;

/// What is done to a file.
#[derive(Clone, Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Zero(u64, u64),
    Punch(u64, u64),
    Length(u64),
    Announce(u64, u64),
}

fn change() -> impl Strategy<Value = Change> {
    let at = 0..40_000_u64;
    let long = 0..9000_u64;
    prop_oneof![
        (at.clone(), prop::collection::vec(any::<u8>(), 0..5000))
            .prop_map(|(a, b)| Change::Write(a, b)),
        (at.clone(), long.clone()).prop_map(|(at, length)| Change::Zero(at, length)),
        (at.clone(), long.clone()).prop_map(|(at, length)| Change::Punch(at, length)),
        (0..60_000_u64).prop_map(Change::Length),
        (at, long).prop_map(|(at, length)| Change::Announce(at, length)),
    ]
}

fn apply(storage: &Undo, change: &Change) {
    match change {
        Change::Write(at, bytes) => {
            let at = (*at).min(storage.len().unwrap().saturating_sub(bytes.len() as u64));
            if at + bytes.len() as u64 <= storage.len().unwrap() {
                storage.write(&[IoSlice::new(bytes)], at, WriteFlags::default()).unwrap();
            }
        }
        Change::Zero(at, length) => storage.zero_range(*at, *length).unwrap(),
        Change::Punch(at, length) => storage.punch(*at, *length).unwrap(),
        Change::Length(length) => storage.set_len(*length).unwrap(),
        Change::Announce(at, length) => {
            storage.announce(slice::from_ref(&(*at..at + length))).unwrap()
        }
    }
}

fn original() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..40_000_u32).map(|at| at.to_le_bytes()[0] ^ 0x5a).collect();
    bytes[8192..16384].fill(0);
    bytes
}

proptest! {
    #[test]
    fn what_was_done_is_taken_back_bit_by_bit(changes in prop::collection::vec(change(), 0..12)) {
        let file = Arc::new(MemoryStorage::from_bytes(&original()));
        let journal = Arc::new(MemoryStorage::new());
        let undo = Undo::new(file.clone(), journal.clone()).unwrap();
        for change in &changes {
            apply(&undo, change);
        }
        undo.finish().unwrap();
        let (done, kept) = (file.to_bytes(), journal.to_bytes());
        restore(&*file, journal.clone()).unwrap();
        prop_assert_eq!(file.to_bytes(), original());
        let again = restore(&*file, journal).unwrap_err();
        prop_assert_eq!(again.kind(), io::ErrorKind::InvalidInput);
        // A restore that was broken off anywhere is made again: begun, and nothing else is known.
        for cut in [kept.len(), kept.len() - 512] {
            let journal = Arc::new(MemoryStorage::from_bytes(&kept[..cut]));
            let mut writer = Writer::resume(journal.clone(), cut as u64);
            writer.add(Kind::Restoring, 0, 0, &[]).unwrap();
            let half = Arc::new(MemoryStorage::from_bytes(&done));
            half.set_len(40_000).unwrap();
            restore(&*half, journal).unwrap();
            prop_assert_eq!(half.to_bytes(), original());
        }
    }

    #[test]
    fn a_torn_journal_takes_back_what_it_holds(cut in 0_usize..6000, byte in any::<u8>()) {
        // Goal: U1: a record that is not whole belongs to a change that was not made. Method: the
        // journal of one change, cut off and spoilt behind the last whole record.
        let file = Arc::new(MemoryStorage::from_bytes(&original()));
        let journal = Arc::new(MemoryStorage::new());
        let undo = Undo::new(file.clone(), journal.clone()).unwrap();
        apply(&undo, &Change::Write(100, vec![7; 3000]));
        let (changed, whole) = (file.to_bytes(), journal.to_bytes());
        apply(&undo, &Change::Write(20_000, vec![8; 5000]));
        let mut torn = journal.to_bytes();
        torn.truncate(whole.len() + cut.min(torn.len() - whole.len() - 1));
        if let Some(last) = torn[whole.len()..].last_mut() {
            *last = byte;
        }
        let file = MemoryStorage::from_bytes(&changed);
        restore(&file, Arc::new(MemoryStorage::from_bytes(&torn))).unwrap();
        prop_assert_eq!(file.to_bytes(), original());
    }
}

#[test]
fn another_file_is_left_alone() {
    let file = Arc::new(MemoryStorage::from_bytes(&original()));
    let journal = Arc::new(MemoryStorage::new());
    let undo = Undo::new(file.clone(), journal.clone()).unwrap();
    apply(&undo, &Change::Write(100, vec![7; 3000]));
    undo.finish().unwrap();
    for at in [100, 3099] {
        let other = MemoryStorage::from_bytes(&file.to_bytes());
        other.write(&[IoSlice::new(&[1])], at, WriteFlags::default()).unwrap();
        let before = other.to_bytes();
        let journal = Arc::new(MemoryStorage::from_bytes(&journal.to_bytes()));
        let error = restore(&other, journal).unwrap_err();
        assert!(error.to_string().contains("changed since"), "{error}");
        assert_eq!(other.to_bytes(), before);
    }
    let none = Arc::new(MemoryStorage::from_bytes(b"QED\0 and so on"));
    assert_eq!(restore(&*file, none).unwrap_err().kind(), io::ErrorKind::InvalidData);
    let used = Undo::new(file, journal).unwrap_err();
    assert_eq!(used.kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn nothing_changes_before_its_record_is_stable() {
    // Goal: U1. Method: the journal cannot be synced; the file stays as it is.
    use crate::storage::{CallKind, Fault, Trigger};
    let file = Arc::new(MemoryStorage::from_bytes(&original()));
    let journal = Arc::new(Fault::new(Arc::new(MemoryStorage::new())));
    let undo = Undo::new(file.clone(), journal.clone()).unwrap();
    journal.fail(Trigger::on(CallKind::Sync).for_ever(), libc::EIO);
    let write = undo.write(&[IoSlice::new(&[1; 512])], 0, WriteFlags::default());
    assert!(write.is_err() && undo.punch(0, 512).is_err() && undo.set_len(5).is_err());
    assert_eq!(file.to_bytes(), original());
}
