//! What lies below a layer: what it leaves to its backing source, or zeroes (F3.3).

use super::{Extent, ExtentKind, Source};
use crate::error::Result;

/// Fills `buffer` from `below`, with zeroes past its end and without one.
///
/// # Errors
/// What reading the source reports.
pub(crate) fn read_below(below: Option<&dyn Source>, buffer: &mut [u8], offset: u64) -> Result<()> {
    let size = below.map_or(0, Source::size);
    let present = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
    let (data, beyond) = buffer.split_at_mut(present.min(buffer.len()));
    beyond.fill(0);
    match below {
        Some(below) if !data.is_empty() => below.read(data, offset),
        _ => Ok(()),
    }
}

/// Whether `start..end` is known to read as zeroes from `below`, as it does past its end.
///
/// # Errors
/// What asking the source reports.
pub(crate) fn zero_below(below: Option<&dyn Source>, start: u64, end: u64) -> Result<bool> {
    let Some(below) = below else { return Ok(true) };
    let (mut at, end) = (start, end.min(below.size()));
    while at < end {
        let extent = below.extent(at, end - at)?;
        if !extent.reads_zero() {
            return Ok(false);
        }
        at += extent.length;
    }
    Ok(true)
}

/// The run that a layer calls `own`, as it is found in the chain: where the layer does not have it,
/// what `below` says, as far as that reaches.
///
/// # Errors
/// What asking the source reports.
pub(crate) fn extent_below(below: Option<&dyn Source>, own: Extent) -> Result<Extent> {
    match below {
        Some(below) if own.kind == ExtentKind::Unallocated && own.offset < below.size() => {
            let present = own.length.min(below.size() - own.offset);
            Ok(below.extent(own.offset, present)?.below(1))
        }
        _ => Ok(own),
    }
}
