//! Space that a disk has before anything is written to it.

use super::{Storage, WriteFlags, write_zeroes};
use crate::error::{Error, Result};
use std::io;
use std::str::FromStr;

/// What space a new disk has from the start, or what a disk that grows gets for its new part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preallocation {
    /// None.
    #[default]
    Off,
    /// All tables, and no data.
    Metadata,
    /// All clusters: the file system has set their space aside.
    Falloc,
    /// All clusters, written as zeroes.
    Full,
}

impl Preallocation {
    /// All of them, with the names that they have in every language.
    pub const NAMED: [(&str, Self); 4] = [
        ("off", Self::Off),
        ("metadata", Self::Metadata),
        ("falloc", Self::Falloc),
        ("full", Self::Full),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Metadata => "metadata",
            Self::Falloc => "falloc",
            Self::Full => "full",
        }
    }

    /// Whether the guest's data has its space.
    pub(crate) fn has_data(self) -> bool {
        matches!(self, Self::Falloc | Self::Full)
    }

    /// Fails where data would have its space in an image over a backing file.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub(crate) fn check_over_backing(self) -> Result<()> {
        if self.has_data() {
            let text = "preallocation=falloc and full would hide the backing file";
            return Err(Error::invalid(text));
        }
        Ok(())
    }

    /// Fails for what a raw disk cannot have.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub(crate) fn check_raw(self) -> Result<()> {
        if self == Self::Metadata {
            return Err(Error::invalid("a raw disk has no metadata to preallocate"));
        }
        Ok(())
    }
}

impl FromStr for Preallocation {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument), which lists all names.
    fn from_str(name: &str) -> Result<Self> {
        let known = Self::NAMED.into_iter().find(|(known, _)| *known == name);
        known.map(|(_, kind)| kind).ok_or_else(|| {
            let names = Self::NAMED.map(|(name, _)| name).join(", ");
            Error::invalid(format!("preallocation takes {names}, not {name:?}"))
        })
    }
}

/// Gives `length` bytes at `offset`, which read as zeroes, their space.
///
/// # Errors
/// What the storage reports; any part may then have its space.
pub(crate) fn set_aside(
    storage: &dyn Storage,
    offset: u64,
    length: u64,
    kind: Preallocation,
) -> Result<()> {
    let failed = |error| Error::io("preallocating", error).at(offset);
    if kind == Preallocation::Falloc {
        match storage.allocate(offset, length) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            result => return result.map_err(failed),
        }
    }
    write_zeroes(storage, offset, length, WriteFlags::default()).map_err(failed)
}
