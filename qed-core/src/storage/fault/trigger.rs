//! Which calls a rule is for.

use super::WriteFlags;
use std::ops::Range;

/// The calls that rules can be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// A read.
    Read,
    /// A write of data or of metadata.
    Write,
    /// Zeroing in place.
    ZeroRange,
    /// Giving space back.
    Punch,
    /// A change of the length.
    SetLen,
    /// A sync.
    Sync,
}

impl CallKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Read, Self::Write, Self::ZeroRange, Self::Punch, Self::SetLen, Self::Sync];

    /// Its place in [`ALL`](Self::ALL).
    pub(super) fn number(self) -> usize {
        match self {
            Self::Read => 0,
            Self::Write => 1,
            Self::ZeroRange => 2,
            Self::Punch => 3,
            Self::SetLen => 4,
            Self::Sync => 5,
        }
    }
}

/// One call on a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which call.
    pub kind: CallKind,
    /// First byte of the file it touches; the new length for `set_len`; 0 for a sync.
    pub offset: u64,
    /// Bytes it touches; 0 for `set_len` and sync.
    pub length: u64,
    /// A write's flags.
    pub flags: WriteFlags,
}

/// Which calls a rule is for, and at which of them it applies: the first one, unless more is said.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Trigger {
    pub(super) kinds: Vec<CallKind>,
    pub(super) metadata: Option<bool>,
    pub(super) fua: Option<bool>,
    pub(super) range: Option<Range<u64>>,
    /// The first match that it applies to, from 1.
    pub(super) first: u64,
    pub(super) for_ever: bool,
    pub(super) afterwards: bool,
}

impl Trigger {
    /// Calls of one kind.
    pub fn on(kind: CallKind) -> Self {
        Self::on_any(&[kind])
    }

    /// Calls of several kinds.
    pub fn on_any(kinds: &[CallKind]) -> Self {
        Self {
            kinds: kinds.to_vec(),
            metadata: None,
            fua: None,
            range: None,
            first: 1,
            for_ever: false,
            afterwards: false,
        }
    }

    /// Only writes whose metadata flag is this.
    pub fn metadata(mut self, metadata: bool) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// Only writes whose flag for forced unit access is this.
    pub fn fua(mut self, fua: bool) -> Self {
        self.fua = Some(fua);
        self
    }

    /// Only calls that touch a byte of this range of the file, or set the length to a place in it.
    /// Syncs touch none.
    pub fn within(mut self, range: Range<u64>) -> Self {
        self.range = Some(range);
        self
    }

    /// Applies at the `n`th match, from 1.
    pub fn nth(mut self, n: u64) -> Self {
        self.first = n;
        self
    }

    /// Applies at every later match as well.
    pub fn for_ever(mut self) -> Self {
        self.for_ever = true;
        self
    }

    /// Applies once the call has been done, before it returns.
    pub fn afterwards(mut self) -> Self {
        self.afterwards = true;
        self
    }

    pub(super) fn is_afterwards(&self) -> bool {
        self.afterwards
    }

    pub(super) fn matches(&self, call: &Call) -> bool {
        let is_write = call.kind == CallKind::Write;
        let flag = |wanted: Option<bool>, is: bool| wanted.is_none_or(|w| is_write && w == is);
        self.kinds.contains(&call.kind)
            && flag(self.metadata, call.flags.metadata)
            && flag(self.fua, call.flags.fua)
            && self.range.as_ref().is_none_or(|range| touches(call, range))
    }

    /// Whether it applies at its `matched`th match.
    pub(super) fn fires_at(&self, matched: u64) -> bool {
        matched == self.first || (self.for_ever && matched > self.first)
    }
}

fn touches(call: &Call, range: &Range<u64>) -> bool {
    match call.kind {
        CallKind::Sync => false,
        CallKind::SetLen => range.contains(&call.offset),
        _ => call.offset < range.end && range.start < call.offset.saturating_add(call.length),
    }
}
