//! Images to repair: a sound one, and what can be done to it.

use proptest::prelude::*;
use qed_core::format::Geometry;
use qed_core::storage::MemoryStorage;
use qed_core::{CreateSpec, Flags, Image, ImageSettings, format_storage};
use std::sync::Arc;

pub(crate) const C: u64 = 4096;
const SIZE: u64 = 5 << 20;

/// Something that is put into an image.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    Header {
        at: u64,
        byte: u8,
    },
    Table {
        cluster: u64,
        entry: u64,
        word: u64,
    },
    Length(u64),
    /// NEED_CHECK or an autoclear bit.
    Bit {
        word: u64,
        bit: u64,
    },
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let word = prop_oneof![
        1 => Just(0),
        1 => Just(1),
        6 => (0..40_u64).prop_map(|cluster| cluster * C),
        1 => any::<u64>(),
        1 => (0..64_u32).prop_map(|bit| 1 << bit),
        1 => Just(!(C - 1)),
    ];
    let entry = prop_oneof![3 => 0..24_u64, 1 => 0..512_u64];
    prop_oneof![
        1 => (4..64_u64, any::<u8>()).prop_map(|(at, byte)| Damage::Header { at, byte }),
        9 => (1..14_u64, entry, word)
            .prop_map(|(cluster, entry, word)| Damage::Table { cluster, entry, word }),
        1 => (0..40 * C).prop_map(Damage::Length),
        1 => (prop_oneof![Just((16, 2)), Just((32, 1 << 32)), Just((32, 1 << 33)), Just((32, 5))])
            .prop_map(|(word, bit)| Damage::Bit { word, bit }),
    ]
}

/// An image of some 20 clusters with three tables, data in each, and a hole inside.
pub(crate) fn sound() -> Vec<u8> {
    sound_with(1)
}

/// The same, with tables of so many clusters.
pub(crate) fn sound_with(table_size: u64) -> Vec<u8> {
    let storage = Arc::new(MemoryStorage::new());
    let spec = CreateSpec::new(Geometry::new(C, table_size).unwrap(), SIZE).unwrap();
    format_storage(&*storage, &spec).unwrap();
    let settings = ImageSettings { background: false, ..ImageSettings::default() };
    let image = Image::from_storage(storage.clone(), None, settings).unwrap();
    for (number, cluster) in (1..).zip([0, 1, 2, 3, 7, 512, 513, 515, 1024, 1030]) {
        image.pwrite(&[number; 4096], cluster * C, Flags::NONE).unwrap();
        image.flush().unwrap();
    }
    image.discard(C, 2 * C).unwrap();
    image.close().unwrap();
    storage.to_bytes()
}

pub(crate) fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let mut put = |at: u64, new: &[u8]| {
        let at = usize::try_from(at).unwrap();
        if let Some(place) = bytes.get_mut(at..at + new.len()) {
            place.copy_from_slice(new);
        }
    };
    match *damage {
        Damage::Header { at, byte } => put(at, &[byte]),
        Damage::Table { cluster, entry, word } => put(cluster * C + 8 * entry, &word.to_le_bytes()),
        Damage::Bit { word, bit } => put(word, &u64::to_le_bytes(bit)),
        Damage::Length(length) => bytes.resize(usize::try_from(length).unwrap(), 0),
    }
}
