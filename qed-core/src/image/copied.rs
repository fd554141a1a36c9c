//! Writes that copy what surrounds them from a plain file below, for whoever moves data himself.
//!
//! Only the simple case: one piece, in one new cluster, filled from one place. All else is for the
//! blocking call.

use super::Image;
use crate::meta::plan::write::{Fill, WriteSegment};
use crate::source::PlainFile;

/// What is read from below before a piece can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Copied {
    /// The file that lies below; open until the request has ended.
    pub(crate) from: PlainFile,
    /// Where in it.
    pub(crate) offset: u64,
    /// Where the bytes stand in the piece, of `whole` bytes.
    pub(crate) at: u64,
    pub(crate) length: u64,
    pub(crate) whole: u64,
}

impl Image {
    /// What `segment` copies, if that is the simple case.
    pub(super) fn copied(&self, segment: &WriteSegment) -> Option<Copied> {
        let fills = [segment.head, segment.tail];
        let [head, tail] = fills.map(|fill| fill.map_or(0, |fill| fill.length));
        let whole = head + segment.length + tail;
        if !copies(segment) || whole > self.cluster_size() || fills.iter().any(is_zeroes) {
            return None;
        }
        // One read of a cluster costs less than two of its parts.
        let at = if head > 0 { 0 } else { segment.length };
        let end = if tail > 0 { whole } else { head };
        let (offset, length) = (segment.offset - head + at, end - at);
        let below = self.meta.below();
        let (from, source) = (below.plain_file()?, below.source()?);
        let fits = offset + length <= source.size() && from.takes(offset | at | length);
        fits.then_some(Copied { from, offset, at, length, whole })
    }
}

/// Whether a part of `segment` comes from below.
pub(super) fn copies(segment: &WriteSegment) -> bool {
    let from_below = |fill: &Fill| fill.from_backing;
    segment.head.as_ref().is_some_and(from_below) || segment.tail.as_ref().is_some_and(from_below)
}

fn is_zeroes(fill: &Option<Fill>) -> bool {
    fill.is_some_and(|fill| !fill.from_backing)
}
