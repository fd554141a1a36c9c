//! How an image treats caching, discards and damage. Names and meanings are the same in every face.

use crate::error::{Error, Result};
use crate::meta::{MetaSettings, Rules, Trust};

/// How durable a completed write is, and whether the page cache is used (QEMU's meanings).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheMode {
    /// Through the page cache; stable at the next flush.
    #[default]
    Writeback,
    /// Past the page cache (O_DIRECT); stable at the next flush.
    None,
    /// Through the page cache; every write is stable when it completes.
    Writethrough,
    /// Past the page cache; every write is stable when it completes.
    Directsync,
    /// Through the page cache; flushes are ignored: a crash may lose or damage everything.
    Unsafe,
}

impl CacheMode {
    /// Whether files are opened with O_DIRECT.
    #[must_use]
    pub fn is_direct(self) -> bool {
        matches!(self, Self::None | Self::Directsync)
    }

    /// Whether every write is stable when it completes.
    #[must_use]
    pub fn writes_through(self) -> bool {
        matches!(self, Self::Writethrough | Self::Directsync)
    }
}

/// What a discard does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiscardMode {
    /// Whole clusters are freed.
    #[default]
    Unmap,
    /// Nothing.
    Ignore,
}

/// What a write of nothing but zeroes becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DetectZeroes {
    /// A write.
    #[default]
    Off,
    /// A write of zeroes that keeps allocated clusters.
    On,
    /// A write of zeroes that frees whole clusters.
    Unmap,
}

/// What an `Image` needs to know beside its storage and its backing source.
#[derive(Clone, Debug)]
pub struct ImageSettings {
    /// No change to the file whatever.
    pub read_only: bool,
    /// See [`CacheMode`]. The storage was opened to match.
    pub cache: CacheMode,
    /// See [`DiscardMode`].
    pub discard: DiscardMode,
    /// See [`DetectZeroes`].
    pub detect_zeroes: DetectZeroes,
    /// See [`Trust`].
    pub trust: Trust,
    /// Clusters that are read from the backing file are written into the image, which must be open
    /// for writing.
    pub copy_on_read: bool,
    /// Bytes of L2 tables kept in memory.
    pub l2_cache_size: u64,
    /// Entries that cannot be right read as unallocated instead of failing (read-only images).
    pub tolerate_bad_entries: bool,
    /// A thread of the image's own extends the file ahead, writes dirty entries back and frees
    /// space. Without it the same work is done by the calls that need it.
    pub background: bool,
    /// Tables of at most so many bytes are scanned for free space before a session's first
    /// allocation, larger ones beside the requests.
    pub scan_limit: u64,
    /// The rules of the commit protocol that hold: all of them, but in tests that break one.
    pub rules: Rules,
}

/// The default for [`ImageSettings::l2_cache_size`]: 32 MiB maps 256 GiB at 64 KiB clusters.
pub const DEFAULT_L2_CACHE_SIZE: u64 = 32 << 20;

/// The default for [`ImageSettings::scan_limit`]: 16 MiB of tables map 128 GiB at 64 KiB clusters,
/// and are read in a few milliseconds.
pub const DEFAULT_SCAN_LIMIT: u64 = 16 << 20;

impl Default for ImageSettings {
    fn default() -> Self {
        Self {
            read_only: false,
            cache: CacheMode::default(),
            discard: DiscardMode::default(),
            detect_zeroes: DetectZeroes::default(),
            trust: Trust::default(),
            copy_on_read: false,
            l2_cache_size: DEFAULT_L2_CACHE_SIZE,
            tolerate_bad_entries: false,
            background: true,
            scan_limit: DEFAULT_SCAN_LIMIT,
            rules: Rules::default(),
        }
    }
}

impl ImageSettings {
    /// Fails where they contradict each other.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub(crate) fn check(&self) -> Result<()> {
        if self.copy_on_read && self.read_only {
            let text = "copy_on_read writes what is read: it needs an image open for writing";
            return Err(Error::invalid(text));
        }
        Ok(())
    }

    pub(super) fn for_meta(&self) -> MetaSettings {
        MetaSettings {
            read_only: self.read_only,
            trust: self.trust,
            l2_cache_size: self.l2_cache_size,
            tolerate_bad_entries: self.tolerate_bad_entries,
            background: self.background,
            scan_limit: self.scan_limit,
            rules: self.rules,
        }
    }
}
