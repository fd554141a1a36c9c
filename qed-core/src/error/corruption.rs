//! Every way in which the bytes of an image can break the format, each with its numbers.

/// A broken clause of the format (`docs/format.md`), carrying what was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Corruption {
    /// F1: the first four bytes are not "QED\0".
    #[error("not a QED image: magic is {found:#010x}")]
    BadMagic {
        /// The first four bytes, little-endian.
        found: u32,
    },
    /// F1: the file ends inside the header.
    #[error("file of {length} bytes is too short for a QED header")]
    TruncatedHeader {
        /// Bytes that are there.
        length: u64,
    },
    /// F1: the cluster size is not a power of two from 4 KiB to 64 MiB.
    #[error("cluster size {found} is not a power of two from 4096 to 67108864")]
    ClusterSize {
        /// The header's value.
        found: u64,
    },
    /// F1: the table size is not a power of two from 1 to 16.
    #[error("table size {found} is not a power of two from 1 to 16")]
    TableSize {
        /// The header's value.
        found: u64,
    },
    /// F1: the header size is zero or its bytes pass 2^32.
    #[error("header size of {found} clusters is out of range")]
    HeaderSize {
        /// The header's value, in clusters.
        found: u64,
    },
    /// F1: incompatible features this library does not know.
    #[error("unknown incompatible features {unknown:#x}")]
    UnknownFeatures {
        /// The unknown bits.
        unknown: u64,
    },
    /// F1, F3.4: the L1 table is misaligned, inside the header, or outside the file.
    #[error("L1 table offset {found:#x} is misaligned, inside the header or outside the file")]
    L1Offset {
        /// The header's value.
        found: u64,
    },
    /// F1, F2: the image size is not a multiple of 512 or passes the geometry's maximum.
    #[error("image size {found} is not a multiple of 512 or passes the maximum of {maximum}")]
    ImageSize {
        /// The header's value.
        found: u64,
        /// What this cluster and table size can address.
        maximum: u64,
    },
    /// F1.3: the backing file's name does not lie inside the header clusters.
    #[error("backing name of {size} bytes at {offset} lies outside the header clusters")]
    BackingName {
        /// The name's byte offset.
        offset: u32,
        /// The name's length in bytes.
        size: u32,
    },
    /// F1.3: the backing file's name holds a NUL byte.
    #[error("backing name holds a NUL byte at {at}")]
    BackingNameNul {
        /// The position in the name.
        at: usize,
    },
    /// F3.2, F3.4: an L1 entry is not 0 and not the offset of a table inside the file.
    #[error("L1 entry {index} is {value:#x}, not a table inside the file")]
    L1Entry {
        /// The entry's index.
        index: u64,
        /// Its value.
        value: u64,
    },
    /// F3.3, F3.4: an L2 entry is not 0, not 1 and not the offset of a cluster inside the file.
    #[error("L2 entry of guest cluster {guest_cluster} is {value:#x}, not a cluster in the file")]
    L2Entry {
        /// The guest cluster it maps.
        guest_cluster: u64,
        /// Its value.
        value: u64,
    },
    /// F3.5: an entry names the header, the L1 table or an L2 table.
    #[error("entry of guest cluster {guest_cluster} names metadata at {value:#x}")]
    NamesMetadata {
        /// The guest cluster whose entry it is.
        guest_cluster: u64,
        /// The offset it names.
        value: u64,
    },
    /// F3.5: a cluster is referenced more than once.
    #[error("cluster at {value:#x} is referenced twice, again for guest cluster {guest_cluster}")]
    Duplicate {
        /// The guest cluster of the later reference.
        guest_cluster: u64,
        /// The cluster's offset.
        value: u64,
    },
}
