//! What the metadata plane needs to know beside its storage and its backing source.

use crate::meta::rules::Rules;

/// How far the image's structure is believed before it is scanned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Nothing: the first change of any kind waits for a scan that finds no damage.
    Untrusted,
    /// Mapped clusters may be written at once; damage that the scan finds stops allocation.
    #[default]
    Normal,
    /// The caller knows that the image is damaged and wants to write to it all the same. What is
    /// freed is then not used again, for another entry may name it.
    Damaged,
}

#[derive(Clone, Debug)]
pub(crate) struct MetaSettings {
    pub(crate) read_only: bool,
    pub(crate) trust: Trust,
    pub(crate) l2_cache_size: u64,
    pub(crate) tolerate_bad_entries: bool,
    pub(crate) background: bool,
    pub(crate) scan_limit: u64,
    pub(crate) rules: Rules,
}
