use super::*;
use crate::addr::FileOffset;
use crate::format::{FEATURE_BACKING_FILE, Geometry};
use proptest::prelude::*;

const C: u64 = 4096;
const FILE_CLUSTERS: u64 = 1000;
const TIE: Tie = Tie { file_length: FILE_CLUSTERS * C, l1_checksum: 0x1234_5678_9abc_def0 };

/// Header in clusters 0 and 1, L1 table in 4 and 5.
fn header() -> Header {
    Header {
        geometry: Geometry::new(C, 2).unwrap(),
        header_clusters: 2,
        features: 0,
        compat_features: 0,
        autoclear_features: 0,
        l1_table_offset: FileOffset(4 * C),
        image_size: 1 << 20,
        backing_words: (0, 0),
    }
}

fn set(runs: &[(u64, u64)]) -> RangeSet {
    runs.iter().copied().collect()
}

fn sample() -> RangeSet {
    set(&[(2, 2), (10, 1), (20, 100), (999, 1)])
}

/// A map as any writer could make it: its checksum is right, its words are anything.
fn forged(count: u64, tie: Tie, runs: &[(u64, u64)]) -> Vec<u8> {
    let mut bytes = encode(&RangeSet::new(), true, tie, 512).unwrap();
    bytes[16..24].copy_from_slice(&count.to_le_bytes());
    let words = runs.iter().flat_map(|run| [run.0, run.1]).flat_map(u64::to_le_bytes);
    bytes.splice(FIXED_BYTES.., words);
    bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
    resealed(bytes)
}

fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = own_checksum(&bytes).to_le_bytes();
    bytes[CHECKSUM_AT].copy_from_slice(&checksum);
    bytes
}

#[test]
fn a_map_reads_back_as_it_was_saved() {
    for complete in [false, true] {
        let bytes = encode(&sample(), complete, TIE, 8192).unwrap();
        assert_eq!(bytes.len(), 512);
        let expected = Some(SavedMap { free: sample(), complete });
        assert_eq!(decode(&bytes, &header(), TIE), expected);
        let mut longer = bytes.clone();
        longer.extend([0xaa; 100]);
        assert_eq!(decode(&longer, &header(), TIE), expected, "what follows is not the map's");
    }
}

#[test]
fn an_empty_map_is_a_map() {
    let bytes = encode(&RangeSet::new(), true, TIE, 512).unwrap();
    let expected = SavedMap { free: RangeSet::new(), complete: true };
    assert_eq!(decode(&bytes, &header(), TIE), Some(expected));
    assert_eq!(encode(&RangeSet::new(), true, TIE, 511), None);
}

#[test]
fn the_longest_runs_are_kept_where_not_all_fit() {
    // A sector holds 29 runs: offer 40, alternately of 1 and 3 clusters.
    let free: RangeSet = (0..40).map(|i| (10 + i * 5, 1 + 2 * (i % 2))).collect();
    let bytes = encode(&free, true, TIE, 1000).unwrap();
    assert_eq!(bytes.len(), 512);
    let saved = decode(&bytes, &header(), TIE).unwrap();
    assert!(!saved.complete, "a map that left something out is not complete");
    assert_eq!((saved.free.run_count(), saved.free.len_total()), (29, 20 * 3 + 9));
    assert!(
        saved.free.iter().all(|(start, length)| { free.iter().any(|run| run == (start, length)) })
    );
}

#[test]
fn every_changed_byte_makes_it_no_map() {
    let bytes = encode(&sample(), true, TIE, 8192).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert_eq!(decode(&changed, &header(), TIE), None, "byte {at} bit {bit}");
        }
    }
    for length in 0..bytes.len() {
        assert_eq!(decode(&bytes[..length], &header(), TIE), None, "cut to {length}");
    }
}

#[test]
fn a_map_of_another_state_is_no_map() {
    let bytes = encode(&sample(), true, TIE, 8192).unwrap();
    let longer = Tie { file_length: TIE.file_length + C, ..TIE };
    let other = Tie { l1_checksum: TIE.l1_checksum ^ 1, ..TIE };
    assert_eq!(decode(&bytes, &header(), longer), None);
    assert_eq!(decode(&bytes, &header(), other), None);
}

#[test]
fn sealed_maps_that_lie_are_refused() {
    // Goal: no clause leans on the checksum. Method: broken maps whose checksum is right.
    assert!(
        decode(&forged(1, TIE, &[(6, 1)]), &header(), TIE).is_some(),
        "the forger's tool works"
    );
    type Lie<'a> = (&'a str, u64, &'a [(u64, u64)]);
    let lies: [Lie<'_>; 13] = [
        ("more runs than bytes", 1 << 40, &[(6, 1)]),
        ("a count that overflows", u64::MAX, &[(6, 1)]),
        ("an empty run", 1, &[(6, 0)]),
        ("unsorted", 2, &[(20, 1), (10, 1)]),
        ("overlapping", 2, &[(10, 5), (14, 2)]),
        ("touching", 2, &[(10, 5), (15, 2)]),
        ("into the header", 1, &[(1, 1)]),
        ("into the L1 table", 1, &[(5, 1)]),
        ("across the L1 table", 1, &[(3, 5)]),
        ("past the file", 1, &[(999, 2)]),
        ("behind the file", 1, &[(1000, 1)]),
        ("an end that overflows", 1, &[(10, u64::MAX)]),
        ("a start that overflows", 1, &[(u64::MAX, 1)]),
    ];
    for (lie, count, runs) in lies {
        assert_eq!(decode(&forged(count, TIE, runs), &header(), TIE), None, "{lie}");
    }
    let fields = [("magic", 0), ("version", 8), ("flags", 12), ("flags", 15)];
    for (field, at) in fields {
        let mut bytes = forged(1, TIE, &[(6, 1)]);
        bytes[at] ^= 2;
        assert_eq!(decode(&resealed(bytes), &header(), TIE), None, "{field}");
    }
}

#[test]
fn the_area_lies_between_the_name_and_the_tables() {
    assert_eq!(area(&header()), Some(512..2 * C));
    let named = |offset, size| {
        area(&Header { features: FEATURE_BACKING_FILE, backing_words: (offset, size), ..header() })
    };
    assert_eq!(named(64, 448), Some(512..2 * C));
    assert_eq!(named(64, 449), Some(1024..2 * C));
    assert_eq!(named(4096, 3000), Some(7168..2 * C));
    assert_eq!(named(4096, 4000), None);
    assert_eq!(named(64, 7617), None);
    let ignored = Header { backing_words: (64, 4000), ..header() };
    assert_eq!(area(&ignored), Some(512..2 * C), "F1.3: a name without the bit is no name");
    let huge = Header { header_clusters: (1 << 20) - 1, ..header() };
    assert_eq!(area(&huge), Some(512..512 + MAX_AREA), "never as much as a header claims");
}

#[test]
fn only_blank_space_and_old_maps_are_replaced() {
    let bytes = encode(&sample(), true, TIE, 8192).unwrap();
    assert!(may_replace(&bytes) && may_replace(&[0; 512]) && may_replace(&[]));
    let mut foreign = [0; 512];
    foreign[511] = 1;
    assert!(!may_replace(&foreign));
}

#[test]
fn the_l1_checksum_sees_every_word_and_its_place() {
    let sum = |words: &[u64]| l1_checksum(words.iter().copied());
    assert_ne!(sum(&[1, 2]), sum(&[2, 1]));
    assert_ne!(sum(&[0, 0]), sum(&[0, 0, 0]));
    assert_eq!(sum(&[3, 4]), sum(&[3, 4]));
}

proptest! {
    #[test]
    fn any_set_that_fits_round_trips(
        clusters in prop::collection::btree_set(6..FILE_CLUSTERS, 0..200),
    ) {
        let mut free = RangeSet::new();
        for cluster in clusters {
            free.insert(cluster, 1);
        }
        let bytes = encode(&free, true, TIE, 8192).unwrap();
        prop_assert_eq!(decode(&bytes, &header(), TIE), Some(SavedMap { free, complete: true }));
    }

    #[test]
    fn any_sealed_runs_are_refused_or_sound(
        runs in prop::collection::vec((0..FILE_CLUSTERS + 2, 0_u64..40), 0..6),
        count in 0_u64..40,
    ) {
        // Goal: no forged map hands out what it must not. Method: random runs, right checksum.
        let count = if count < 30 { runs.len() as u64 } else { count };
        if let Some(saved) = decode(&forged(count, TIE, &runs), &header(), TIE) {
            prop_assert_eq!(saved.free.iter().collect::<Vec<_>>(), runs);
            prop_assert!(!saved.free.overlaps(0, 2) && !saved.free.overlaps(4, 2));
            prop_assert!(!saved.free.overlaps(FILE_CLUSTERS, u64::MAX - FILE_CLUSTERS));
        }
    }
}
