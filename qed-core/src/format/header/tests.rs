use super::*;
use crate::format::MAX_FILE_OFFSET;
use proptest::prelude::*;

const C: u64 = 65536;

/// A header whose every field has its usual value.
fn usual() -> Header {
    Header {
        geometry: Geometry::new(C, 4).unwrap(),
        header_clusters: 1,
        features: 0,
        compat_features: 0,
        autoclear_features: 0,
        l1_table_offset: FileOffset(C),
        image_size: 1 << 30,
        backing_words: (0, 0),
    }
}

fn named(offset: u32, size: u32) -> Header {
    Header { features: FEATURE_BACKING_FILE, backing_words: (offset, size), ..usual() }
}

/// The usual header's bytes with `field` put at `at`.
fn with(at: usize, field: &[u8]) -> [u8; HEADER_BYTES] {
    let mut bytes = usual().encode();
    bytes[at..at + field.len()].copy_from_slice(field);
    bytes
}

fn with_u32(at: usize, value: u32) -> [u8; HEADER_BYTES] {
    with(at, &value.to_le_bytes())
}

fn with_u64(at: usize, value: u64) -> [u8; HEADER_BYTES] {
    with(at, &value.to_le_bytes())
}

#[test]
fn every_geometry_round_trips() {
    let mut count = 0;
    for (c, t) in (12..=26).flat_map(|c| (0..=4).map(move |t| (c, t))) {
        let geometry = Geometry::new(1 << c, 1 << t).unwrap();
        let most_clusters = ((1_u64 << 32) - (1 << c)) >> c;
        for header_clusters in [1, u32::try_from(most_clusters).unwrap()] {
            let header_bytes = u64::from(header_clusters) << c;
            let most = MAX_FILE_OFFSET - (MAX_FILE_OFFSET & ((1 << c) - 1));
            for l1 in [header_bytes, most - geometry.table_bytes()] {
                let header = Header {
                    geometry,
                    header_clusters,
                    features: FEATURES_KNOWN,
                    compat_features: 0x0123_4567_89ab_cdef,
                    autoclear_features: 0xfedc_ba98_7654_3210,
                    l1_table_offset: FileOffset(l1),
                    image_size: geometry.max_image_size(),
                    backing_words: (64, 4095.min(u32::try_from(header_bytes).unwrap() - 64)),
                };
                assert_eq!(Header::decode(&header.encode()), Ok(header));
                count += 1;
            }
        }
    }
    assert_eq!(count, 75 * 4);
}

#[test]
fn fields_stand_where_the_format_says() {
    // Goal: encode and decode do not merely agree with each other. Method: bytes written by hand.
    assert_eq!(MAGIC.to_le_bytes(), *b"QED\0");
    let words: [&[u8]; 11] = [
        b"QED\0",
        &[0, 0, 1, 0],
        &[4, 0, 0, 0],
        &[2, 0, 0, 0],
        &[5, 0, 0, 0, 0, 0, 0, 0],
        &[1, 2, 3, 4, 5, 6, 7, 8],
        &[0, 0, 0, 0, 3, 0, 0, 0],
        &[0, 0, 2, 0, 0, 0, 0, 0],
        &[0, 0, 0, 64, 0, 0, 0, 0],
        &[0, 1, 0, 0],
        &[9, 0, 0, 0],
    ];
    let bytes = words.concat();
    let expected = Header {
        geometry: Geometry::new(65536, 4).unwrap(),
        header_clusters: 2,
        features: 5,
        compat_features: 0x0807_0605_0403_0201,
        autoclear_features: 0x3_0000_0000,
        l1_table_offset: FileOffset(0x20000),
        image_size: 1 << 30,
        backing_words: (256, 9),
    };
    assert_eq!(expected.encode()[..], bytes);
    assert_eq!(expected.backing_name(), Some(BackingName { offset: 256, size: 9 }));
    assert!(expected.backing_is_raw() && !expected.needs_check());
    assert_eq!(Header::decode(&bytes), Ok(expected));
}

#[test]
fn another_magic_is_no_qed_image() {
    let found = u32::from_le_bytes(*b"QFI\xfb");
    let bytes = with(0, b"QFI\xfb");
    for length in 4..=64 {
        assert_eq!(Header::decode(&bytes[..length]), Err(Corruption::BadMagic { found }));
    }
    for length in 0..4 {
        let short = &usual().encode()[..length];
        assert_eq!(Header::decode(short), Err(Corruption::BadMagic { found: 0 }));
    }
}

#[test]
fn a_file_that_ends_inside_the_header_is_truncated() {
    for length in 4..64 {
        let error = Err(Corruption::TruncatedHeader { length: length as u64 });
        assert_eq!(Header::decode(&usual().encode()[..length]), error);
    }
}

#[test]
fn a_bad_cluster_size_is_named() {
    for found in [0, 1, 512, 2048, 4097, 65537, 3 << 16, 128 << 20, 1 << 31, u32::MAX] {
        let error = Err(Corruption::ClusterSize { found: found.into() });
        assert_eq!(Header::decode(&with_u32(4, found)), error);
    }
}

#[test]
fn a_bad_table_size_is_named() {
    for found in [0, 3, 5, 15, 17, 32, 1 << 31, u32::MAX] {
        let error = Err(Corruption::TableSize { found: found.into() });
        assert_eq!(Header::decode(&with_u32(8, found)), error);
    }
}

#[test]
fn a_bad_header_size_is_named() {
    for found in [0, 1 << 16, (1 << 16) + 1, u32::MAX] {
        let error = Err(Corruption::HeaderSize { found: found.into() });
        assert_eq!(Header::decode(&with_u32(12, found)), error, "{found} clusters");
    }
}

#[test]
fn each_unknown_feature_is_named() {
    for bit in 3..64 {
        let unknown = 1_u64 << bit;
        let error = Err(Corruption::UnknownFeatures { unknown });
        assert_eq!(Header::decode(&with_u64(16, unknown | FEATURE_NEED_CHECK)), error);
    }
    assert!(Header::decode(&with_u64(16, FEATURE_NEED_CHECK)).unwrap().needs_check());
}

#[test]
fn an_unknown_feature_is_told_before_fields_it_may_have_changed() {
    let mut bytes = with_u64(16, 1 << 32);
    bytes[4..16].fill(0xff);
    let error = Corruption::UnknownFeatures { unknown: 1 << 32 };
    assert_eq!(Header::decode(&bytes), Err(error));
}

#[test]
fn unknown_compat_and_autoclear_bits_are_kept() {
    let header = Header { compat_features: !0, autoclear_features: !0, ..usual() };
    assert_eq!(Header::decode(&header.encode()), Ok(header));
}

#[test]
fn a_bad_l1_offset_is_named() {
    let past_the_end = (1 << 63) - 3 * C;
    for found in [0, 1, 512, C - 1, C + 8, past_the_end, 1 << 63, 0_u64.wrapping_sub(C), u64::MAX] {
        let error = Err(Corruption::L1Offset { found });
        assert_eq!(Header::decode(&with_u64(40, found)), error);
    }
    let inside = Header { header_clusters: 2, ..usual() };
    let error = Err(Corruption::L1Offset { found: C });
    assert_eq!(Header::decode(&inside.encode()), error, "inside the header clusters");
}

#[test]
fn a_bad_image_size_is_named() {
    let maximum = 64 << 40;
    for found in [1, 511, 513, maximum + 512, 1 << 63, u64::MAX - 511, u64::MAX] {
        let error = Err(Corruption::ImageSize { found, maximum });
        assert_eq!(Header::decode(&with_u64(48, found)), error);
    }
    for image_size in [0, 512, maximum] {
        let header = Header { image_size, ..usual() };
        assert_eq!(Header::decode(&header.encode()), Ok(header));
    }
}

#[test]
fn a_bad_backing_name_is_named() {
    let past_the_header = 65536 - 9;
    let bad = [(64, 0), (64, 4096), (64, u32::MAX), (0, 10), (63, 10), (u32::MAX, u32::MAX)];
    for (offset, size) in bad {
        let error = Err(Corruption::BackingName { offset, size });
        assert_eq!(Header::decode(&named(offset, size).encode()), error);
    }
    for (offset, size) in [(past_the_header, 10), (65536, 1), (u32::MAX, 1)] {
        // F8: to be read, never to be written.
        let header = Header::decode(&named(offset, size).encode()).unwrap();
        assert!(header.has_stray_name());
        assert_eq!(header.validate(), Err(Corruption::BackingName { offset, size }));
        let refused = header.check_writable().unwrap_err();
        assert_eq!(refused.kind(), crate::error::ErrorKind::Unsupported);
    }
    for (offset, size) in [(64, 1), (64, 4095), (past_the_header, 9)] {
        let header = Header::decode(&named(offset, size).encode()).unwrap();
        assert_eq!(header.backing_name(), Some(BackingName { offset, size }));
        assert!(!header.has_stray_name() && header.check_writable().is_ok());
    }
}

#[test]
fn without_a_backing_file_its_fields_mean_nothing() {
    let stray =
        Header { features: FEATURE_RAW_BACKING, backing_words: (u32::MAX, u32::MAX), ..usual() };
    assert_eq!(Header::decode(&stray.encode()).as_ref(), Ok(&stray));
    assert_eq!(stray.backing_name(), None);
    assert!(!stray.has_backing_file() && !stray.backing_is_raw());
}

#[test]
fn create_and_open_share_one_validator() {
    let bad = Header { image_size: 1, ..usual() };
    assert_eq!(bad.validate(), Header::decode(&bad.encode()).map(|_| ()));
    assert!(bad.validate().is_err());
}

/// Whatever is decoded is legal, loses nothing, and overflows nowhere.
fn judge(bytes: &[u8; HEADER_BYTES]) -> Result<(), Corruption> {
    let header = Header::decode(bytes)?;
    assert_eq!(&header.encode(), bytes);
    let geometry = header.geometry;
    assert!(header.header_bytes() <= header.l1_table_offset.get());
    assert!(header.l1_table_offset.get() + geometry.table_bytes() <= MAX_FILE_OFFSET);
    assert!(geometry.l1_entries_for(header.image_size) <= geometry.table_entries());
    Ok(())
}

#[test]
fn hostile_words_give_errors_or_legal_headers() {
    // Method: every aligned word and pair of words takes the values at which arithmetic breaks.
    let hostile = [0, 1, 2, 63, 511, 4095, 4096, 65536, 1 << 26, 1 << 27, 1 << 31, !511, !0];
    let words = (4..HEADER_BYTES).step_by(4);
    let (mut legal, mut refused) = (0, 0);
    for (first, second) in words.clone().flat_map(|a| words.clone().map(move |b| (a, b))) {
        for (low, high) in hostile.iter().flat_map(|a| hostile.iter().map(move |b| (a, b))) {
            let mut bytes = with_u32(first, *low);
            bytes[second..second + 4].copy_from_slice(&u32::to_le_bytes(*high));
            match judge(&bytes) {
                Ok(()) => legal += 1,
                Err(_) => refused += 1,
            }
        }
    }
    assert!(legal > 1000 && refused > 1000, "{legal} legal, {refused} refused");
}

proptest! {
    #[test]
    fn random_bytes_behind_the_magic_are_judged(random in any::<[u8; HEADER_BYTES - 4]>()) {
        let mut bytes = usual().encode();
        bytes[4..].copy_from_slice(&random);
        prop_assert!(judge(&bytes).is_err(), "2^61 features are unknown");
        // The fields one by one, so that what is behind the first refusal is reached as well.
        for at in (4..HEADER_BYTES).step_by(4) {
            let _ = judge(&with(at, &random[at - 4..at]));
        }
    }

    #[test]
    fn any_legal_header_round_trips(
        (c, t) in (12_u32..=26, 0_u32..=4),
        header_clusters in 1_u32..64,
        features in 0..=FEATURES_KNOWN,
        (compat_features, autoclear_features) in any::<(u64, u64)>(),
        (l1, size) in (0_u64..1 << 20, 0_u64..=512),
        backing_words in (64_u32..2048, 1_u32..=2048),
    ) {
        let geometry = Geometry::new(1 << c, 1 << t).unwrap();
        prop_assume!(u64::from(header_clusters) << c < 1 << 32);
        let header = Header {
            geometry,
            header_clusters,
            features,
            compat_features,
            autoclear_features,
            l1_table_offset: FileOffset((u64::from(header_clusters) + l1) << c),
            image_size: geometry.max_image_size() / 512 * size / 512 * 512,
            backing_words,
        };
        prop_assert_eq!(Header::decode(&header.encode()), Ok(header));
    }
}
