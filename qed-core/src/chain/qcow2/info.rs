//! What a qcow2 image says of itself.

/// The facts in a qcow2 header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Qcow2Info {
    /// 2 or 3.
    pub version: u32,
    /// Guest bytes of the disk.
    pub virtual_size: u64,
    /// Bytes in a cluster.
    pub cluster_size: u64,
    /// Bits of a reference count: 1 to 64.
    pub refcount_bits: u32,
    /// Feature bits that a reader must know.
    pub incompatible_features: u64,
    /// Feature bits that may be ignored.
    pub compatible_features: u64,
    /// Feature bits that a writer clears.
    pub autoclear_features: u64,
    /// How compressed clusters are compressed.
    pub compression: Qcow2Compression,
    /// How the clusters are encrypted, where they are.
    pub encryption: Option<Qcow2Encryption>,
    /// Snapshots inside the image.
    pub snapshots: u32,
    /// The backing file, as the header names it.
    pub backing: Option<Qcow2Backing>,
}

/// A backing file's name and format, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qcow2Backing {
    /// The bytes of its path.
    pub name: Vec<u8>,
    /// The name of its format, where the image says it.
    pub format: Option<Vec<u8>>,
}

/// How compressed clusters are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Qcow2Compression {
    /// Deflate, the default.
    Zlib,
    /// Zstandard.
    Zstd,
    /// A type that is not known here.
    Unknown(u8),
}

/// How clusters are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Qcow2Encryption {
    /// AES-CBC, long deprecated.
    Aes,
    /// LUKS.
    Luks,
}

impl Qcow2Info {
    /// The version as QEMU's tools name it: "0.10" or "1.1".
    #[must_use]
    pub fn compat(&self) -> &'static str {
        if self.version < 3 { "0.10" } else { "1.1" }
    }

    /// A writer was interrupted; reference counts may be wrong.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.incompatible_features & INCOMPATIBLE_DIRTY != 0
    }

    /// Some reader found damage and said so.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        self.incompatible_features & INCOMPATIBLE_CORRUPT != 0
    }

    /// The guest's data lies in another file.
    #[must_use]
    pub fn has_data_file(&self) -> bool {
        self.incompatible_features & INCOMPATIBLE_DATA_FILE != 0
    }

    /// Clusters have subclusters.
    #[must_use]
    pub fn has_extended_l2(&self) -> bool {
        self.incompatible_features & INCOMPATIBLE_EXTENDED_L2 != 0
    }

    /// Writers may leave reference counts for later.
    #[must_use]
    pub fn has_lazy_refcounts(&self) -> bool {
        self.compatible_features & COMPATIBLE_LAZY_REFCOUNTS != 0
    }

    /// The known features that are set, in the words that feature name tables use.
    #[must_use]
    pub fn feature_names(&self) -> Vec<&'static str> {
        let sets = [
            (self.incompatible_features, &INCOMPATIBLE_NAMES[..]),
            (self.compatible_features, &COMPATIBLE_NAMES[..]),
            (self.autoclear_features, &AUTOCLEAR_NAMES[..]),
        ];
        let named = |(bits, names): (u64, &'static [(u64, &'static str)])| {
            names.iter().filter(move |(bit, _)| bits & bit != 0).map(|(_, name)| *name)
        };
        sets.into_iter().flat_map(named).collect()
    }
}

impl Qcow2Compression {
    /// The name in QEMU's tools.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Zlib => "zlib",
            Self::Zstd => "zstd",
            Self::Unknown(_) => "unknown",
        }
    }
}

pub(super) const INCOMPATIBLE_DIRTY: u64 = 1;
const INCOMPATIBLE_CORRUPT: u64 = 1 << 1;
const INCOMPATIBLE_DATA_FILE: u64 = 1 << 2;
pub(super) const INCOMPATIBLE_COMPRESSION: u64 = 1 << 3;
const INCOMPATIBLE_EXTENDED_L2: u64 = 1 << 4;
const COMPATIBLE_LAZY_REFCOUNTS: u64 = 1;
/// Bits that have a meaning here, whether or not it can be served.
pub(super) const KNOWN_INCOMPATIBLE: u64 = (1 << 5) - 1;

const INCOMPATIBLE_NAMES: [(u64, &str); 5] = [
    (INCOMPATIBLE_DIRTY, "dirty bit"),
    (INCOMPATIBLE_CORRUPT, "corrupt bit"),
    (INCOMPATIBLE_DATA_FILE, "external data file"),
    (INCOMPATIBLE_COMPRESSION, "compression type"),
    (INCOMPATIBLE_EXTENDED_L2, "extended L2 entries"),
];
const COMPATIBLE_NAMES: [(u64, &str); 1] = [(COMPATIBLE_LAZY_REFCOUNTS, "lazy refcounts")];
const AUTOCLEAR_NAMES: [(u64, &str); 2] = [(1, "bitmaps"), (1 << 1, "raw external data")];
