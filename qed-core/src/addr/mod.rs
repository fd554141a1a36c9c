//! A type for every kind of address, so that a guest offset can never be used as a file offset.
//!
//! Conversions that need the cluster size are methods of [`Geometry`](crate::format::Geometry).

use std::fmt;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident, $unit:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl $name {
            /// The plain number, in the unit of this type.
            #[must_use]
            pub fn get(self) -> u64 {
                self.0
            }

            /// This address moved forward by `distance` of its own unit, unless that overflows.
            #[must_use]
            pub fn checked_add(self, distance: u64) -> Option<Self> {
                self.0.checked_add(distance).map(Self)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($unit, " {:#x}"), self.0)
            }
        }
    };
}

address!(
    /// A byte offset on the disk the guest sees.
    GuestOffset,
    "guest offset"
);
address!(
    /// A byte offset in the image file.
    FileOffset,
    "file offset"
);
address!(
    /// The index of a cluster of the guest's disk: guest offset / cluster size.
    GuestCluster,
    "guest cluster"
);
address!(
    /// The index of a cluster of the image file: file offset / cluster size.
    FileCluster,
    "file cluster"
);
