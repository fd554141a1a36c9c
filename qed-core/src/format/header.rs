//! The header (F1): 64 bytes at offset 0, and the backing name behind it.

use super::features::{
    FEATURE_BACKING_FILE, FEATURE_NEED_CHECK, FEATURE_RAW_BACKING, FEATURES_KNOWN,
};
use super::geometry::{Geometry, MAX_FILE_OFFSET};
use crate::addr::FileOffset;
use crate::error::{Corruption, Error, ErrorKind};

/// Bytes of the header proper.
pub const HEADER_BYTES: usize = 64;
/// "QED\0", little-endian.
pub const MAGIC: u32 = 0x0044_4551;
/// The longest backing name any reader accepts, in bytes.
pub const MAX_BACKING_NAME: u32 = 4095;

const SECTOR: u64 = 512;

/// Where the backing file's name stands (F1.3): inside the header clusters, not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackingName {
    /// Bytes from the start of the file.
    pub offset: u32,
    /// Bytes, without a terminator: 1 to [`MAX_BACKING_NAME`].
    pub size: u32,
}

/// A validated header. Feature words keep their unknown compat and autoclear bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Cluster and table sizes.
    pub geometry: Geometry,
    /// Clusters reserved for the header and its strings, at least 1.
    pub header_clusters: u32,
    /// Incompatible features; no unknown bit is ever set here.
    pub features: u64,
    /// Compatible features, preserved as found.
    pub compat_features: u64,
    /// Autoclear features as found.
    pub autoclear_features: u64,
    /// Where the L1 table stands: cluster-aligned, behind the header clusters.
    pub l1_table_offset: FileOffset,
    /// Guest bytes, a multiple of 512.
    pub image_size: u64,
    /// The two name words as found, also where the feature bit says they mean nothing.
    pub backing_words: (u32, u32),
}

impl Header {
    /// Reads and validates the first [`HEADER_BYTES`] bytes of an image.
    ///
    /// # Errors
    /// The first clause of F1 or F2 that `bytes` break.
    pub fn decode(bytes: &[u8]) -> Result<Self, Corruption> {
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(decode_short(bytes));
        };
        let magic = u32_at(bytes, 0);
        if magic != MAGIC {
            return Err(Corruption::BadMagic { found: magic });
        }
        let features = u64_at(bytes, 16);
        let unknown = features & !FEATURES_KNOWN;
        if unknown != 0 {
            return Err(Corruption::UnknownFeatures { unknown });
        }
        let header = Self {
            geometry: Geometry::new(u32_at(bytes, 4).into(), u32_at(bytes, 8).into())?,
            header_clusters: u32_at(bytes, 12),
            features,
            compat_features: u64_at(bytes, 24),
            autoclear_features: u64_at(bytes, 32),
            l1_table_offset: FileOffset(u64_at(bytes, 40)),
            image_size: u64_at(bytes, 48),
            backing_words: (u32_at(bytes, 56), u32_at(bytes, 60)),
        };
        header.validate_layout()?;
        Ok(header)
    }

    /// Checks every clause that needs nothing but the header: the same rules for create and open.
    ///
    /// # Errors
    /// The first clause that is broken.
    pub fn validate(&self) -> Result<(), Corruption> {
        self.validate_layout()?;
        if self.has_stray_name() {
            let (offset, size) = self.backing_words;
            return Err(Corruption::BackingName { offset, size });
        }
        Ok(())
    }

    /// The same, but that the backing name may be [stray](Self::has_stray_name): such an image can
    /// be read.
    fn validate_layout(&self) -> Result<(), Corruption> {
        let header_bytes = self.header_bytes();
        if self.header_clusters == 0 || header_bytes > u64::from(u32::MAX) {
            return Err(Corruption::HeaderSize { found: self.header_clusters.into() });
        }
        let l1 = self.l1_table_offset.get();
        let l1_end = l1.checked_add(self.geometry.table_bytes());
        let l1_fits = l1_end.is_some_and(|end| end <= MAX_FILE_OFFSET);
        if !self.geometry.is_cluster_aligned(l1) || l1 < header_bytes || !l1_fits {
            return Err(Corruption::L1Offset { found: l1 });
        }
        let maximum = self.geometry.max_image_size();
        if !self.image_size.is_multiple_of(SECTOR) || self.image_size > maximum {
            return Err(Corruption::ImageSize { found: self.image_size, maximum });
        }
        if self.has_backing_file() {
            let (offset, size) = self.backing_words;
            let legal = (1..=MAX_BACKING_NAME).contains(&size);
            if !legal || u64::from(offset) < HEADER_BYTES as u64 {
                return Err(Corruption::BackingName { offset, size });
            }
        }
        Ok(())
    }

    /// The header's 64 bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        // A legal geometry's sizes fit in 32 bits by F1: the low four bytes hold them whole.
        let low = |value: u64| value.to_le_bytes();
        put(0, &MAGIC.to_le_bytes());
        put(4, &low(self.geometry.cluster_size())[..4]);
        put(8, &low(self.geometry.table_clusters())[..4]);
        put(12, &self.header_clusters.to_le_bytes());
        put(16, &self.features.to_le_bytes());
        put(24, &self.compat_features.to_le_bytes());
        put(32, &self.autoclear_features.to_le_bytes());
        put(40, &self.l1_table_offset.get().to_le_bytes());
        put(48, &self.image_size.to_le_bytes());
        put(56, &self.backing_words.0.to_le_bytes());
        put(60, &self.backing_words.1.to_le_bytes());
        bytes
    }

    /// Bytes reserved for the header and its strings; saturates only where invalid.
    #[must_use]
    pub fn header_bytes(&self) -> u64 {
        u64::from(self.header_clusters).saturating_mul(self.geometry.cluster_size())
    }

    /// Whether the image has a backing file.
    #[must_use]
    pub fn has_backing_file(&self) -> bool {
        self.features & FEATURE_BACKING_FILE != 0
    }

    /// Whether the backing name reaches past the header clusters, as in VirtualBox's difference
    /// images (F8): nothing keeps those bytes from being allocated, so nobody may write.
    #[must_use]
    pub fn has_stray_name(&self) -> bool {
        let (offset, size) = self.backing_words;
        let end = u64::from(offset) + u64::from(size);
        self.has_backing_file() && end > self.header_bytes()
    }

    /// Fails where nobody may write to the image.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a [stray name](Self::has_stray_name).
    pub(crate) fn check_writable(&self) -> Result<(), Error> {
        if !self.has_stray_name() {
            return Ok(());
        }
        let text = "the backing name stands past the header clusters, as VirtualBox writes it: the \
                    image can be opened read-only alone, until qed lint --fix has moved the name";
        Err(Error::new(ErrorKind::Unsupported, text))
    }

    /// Whether the backing file is raw by declaration (meaningless without a backing file, F1.3).
    #[must_use]
    pub fn backing_is_raw(&self) -> bool {
        self.has_backing_file() && self.features & FEATURE_RAW_BACKING != 0
    }

    /// Whether another writer left the image unchecked (F5).
    #[must_use]
    pub fn needs_check(&self) -> bool {
        self.features & FEATURE_NEED_CHECK != 0
    }

    /// Where the backing name stands; `None` without a backing file, whatever the words say (F1.3).
    #[must_use]
    pub fn backing_name(&self) -> Option<BackingName> {
        let (offset, size) = self.backing_words;
        self.has_backing_file().then_some(BackingName { offset, size })
    }
}

/// Short input is "not QED" where the magic is missing, truncated where it is there.
fn decode_short(bytes: &[u8]) -> Corruption {
    match bytes.first_chunk::<4>() {
        Some(magic) if u32::from_le_bytes(*magic) != MAGIC => {
            Corruption::BadMagic { found: u32::from_le_bytes(*magic) }
        }
        Some(_) => Corruption::TruncatedHeader { length: bytes.len() as u64 },
        None => Corruption::BadMagic { found: 0 },
    }
}

fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests;
