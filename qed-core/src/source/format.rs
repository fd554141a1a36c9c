//! The formats of disks.

use std::fmt;

/// The format of a disk's file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// An image of our own.
    #[default]
    Qed,
    /// QEMU's copy-on-write format, versions 2 and 3.
    Qcow2,
    /// The bytes of the disk and nothing else.
    Raw,
}

impl Format {
    /// Every format, by the names that options have for them.
    pub const ALL: [Self; 3] = [Self::Qed, Self::Qcow2, Self::Raw];

    /// The format's name in options.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Qed => "qed",
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
        }
    }

    /// The format of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
