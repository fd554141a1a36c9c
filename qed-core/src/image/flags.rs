//! Flags of requests.

use std::ops::BitOr;

use crate::error::{Error, Result};

/// What a request asks for beside its range. The bits are the same in C.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// The request is stable when it returns (forced unit access).
    pub const FUA: Self = Self(1);
    /// Zeroing may free whole clusters.
    pub const MAY_UNMAP: Self = Self(2);
    /// Zeroing fails where only writing zeroes as data would do it.
    pub const NO_FALLBACK: Self = Self(4);

    /// The flags of `bits`.
    ///
    /// # Errors
    /// An unknown bit.
    pub fn from_bits(bits: u32) -> Result<Self> {
        let known = Self::FUA.0 | Self::MAY_UNMAP.0 | Self::NO_FALLBACK.0;
        if bits & !known != 0 {
            return Err(Error::invalid(format!("unknown flags {:#x}", bits & !known)));
        }
        Ok(Self(bits))
    }

    /// The bits.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of `other` is set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Fails where a flag is set that `allowed` lacks.
    pub(crate) fn check(self, allowed: Self, request: &str) -> Result<()> {
        if self.0 & !allowed.0 != 0 {
            let bits = self.0 & !allowed.0;
            return Err(Error::invalid(format!("flags {bits:#x} do not apply to {request}")));
        }
        Ok(())
    }
}

impl BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
