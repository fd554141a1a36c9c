//! How a disk lies in its file, summed up in as many bins as a picture has room for.
//!
//! Walks the extents once and keeps sums alone, so a disk of a million runs costs no more memory
//! than an empty one. Guest and file are each cut into bins of equal length; a cell of the table is
//! how many bytes of a guest bin lie in a bin of the file.

use crate::error::{Error, ErrorKind, Result};
use crate::ops::work::Progress;
use crate::source::{Extent, ExtentKind};

/// Bytes of a guest bin by what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// Stored.
    pub data: u64,
    /// Read as zeroes, whatever lies below.
    pub zero: u64,
    /// Left to the backing file, zeroes without one.
    pub unallocated: u64,
}

/// The sums over a disk's extents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layout {
    /// Bytes of a guest bin; the last one may be shorter.
    pub guest_bin: u64,
    /// Bytes of a bin of the file; the last one may be shorter.
    pub file_bin: u64,
    /// All guest bins together.
    pub total: Shares,
    /// Runs of data that lie in one piece, in the guest's order.
    pub runs: u64,
    /// The longest of them, bytes.
    pub longest_run: u64,
    /// Runs that lie before the one that the guest has before them.
    pub backward: u64,
    /// The guest bins, from the disk's start.
    pub guest: Vec<Shares>,
    /// Bytes of each bin of the file that hold the guest's space.
    pub file: Vec<u64>,
    /// Bytes of each guest bin in each bin of the file, a row for each bin of the file.
    pub cells: Vec<u64>,
}

/// How often whoever waits is told.
const EXTENTS_PER_CALL: usize = 1 << 16;

/// Sums up the extents of a disk of `disk` bytes in a file of `file` bytes, in at most so many bins
/// each. What an image says lies behind the file's end counts to the file's last bin.
///
/// # Errors
/// No bins; the first error among the extents; [`ErrorKind::Cancelled`] where `progress` breaks
/// off, which hears now and then how much of the disk is done.
pub fn layout(
    extents: impl Iterator<Item = Result<Extent>>,
    (disk, guest_bins): (u64, u64),
    (file, file_bins): (u64, u64),
    progress: &mut Progress<'_>,
) -> Result<Layout> {
    let mut layout = Layout::new((disk, guest_bins), (file, file_bins))?;
    let mut last_end = None;
    for (number, extent) in extents.enumerate() {
        let extent = extent?;
        if number % EXTENTS_PER_CALL == EXTENTS_PER_CALL - 1
            && progress(extent.offset, disk).is_break()
        {
            return Err(Error::new(
                ErrorKind::Cancelled,
                "the walk over the extents was cancelled",
            ));
        }
        layout.add(&extent, &mut last_end);
    }
    for shares in &layout.guest {
        layout.total.data += shares.data;
        layout.total.zero += shares.zero;
        layout.total.unallocated += shares.unallocated;
    }
    Ok(layout)
}

impl Layout {
    fn new((disk, guest_bins): (u64, u64), (file, file_bins): (u64, u64)) -> Result<Self> {
        if guest_bins == 0 || file_bins == 0 {
            return Err(Error::invalid(format!("{guest_bins} by {file_bins} bins: none")));
        }
        let cut = |length: u64, bins: u64| {
            let bin = length.div_ceil(bins).max(1);
            let count = usize::try_from(length.div_ceil(bin));
            count.map(|count| (bin, count)).map_err(|_| Error::invalid(format!("{bins} bins")))
        };
        let ((guest_bin, columns), (file_bin, rows)) =
            (cut(disk, guest_bins)?, cut(file, file_bins)?);
        let cells = columns.checked_mul(rows).filter(|cells| *cells <= MAX_CELLS);
        let cells = cells.ok_or_else(|| {
            Error::invalid(format!("{columns} by {rows} bins: at most {MAX_CELLS} cells"))
        })?;
        Ok(Self {
            guest_bin,
            file_bin,
            guest: vec![Shares::default(); columns],
            file: vec![0; rows],
            cells: vec![0; cells],
            ..Self::default()
        })
    }

    fn add(&mut self, extent: &Extent, last_end: &mut Option<u64>) {
        let place = match extent.kind {
            ExtentKind::Data { file_offset } | ExtentKind::Zero { file_offset } => file_offset,
            ExtentKind::Unallocated => None,
        };
        if let (ExtentKind::Data { .. }, Some(place)) = (extent.kind, place) {
            self.runs += 1;
            self.longest_run = self.longest_run.max(extent.length);
            self.backward += u64::from(last_end.is_some_and(|end| place < end));
            *last_end = Some(place.saturating_add(extent.length));
        }
        let (mut at, mut left) = (extent.offset, extent.length);
        let mut place = place;
        while left > 0 {
            // As far as neither the guest's bin nor the file's ends.
            let in_guest = self.guest_bin - at % self.guest_bin;
            let in_file = place.map_or(u64::MAX, |place| self.file_bin - place % self.file_bin);
            let length = left.min(in_guest).min(in_file);
            self.add_piece(at, length, extent.kind, place);
            at = at.saturating_add(length);
            left -= length;
            place = place.map(|place| place.saturating_add(length));
        }
    }

    /// Counts bytes that lie in one bin of the guest and in one of the file.
    fn add_piece(&mut self, at: u64, length: u64, kind: ExtentKind, place: Option<u64>) {
        let last_row = self.file.len().saturating_sub(1);
        let row = place.map(|place| index(place / self.file_bin).min(last_row));
        let (column, columns) = (index(at / self.guest_bin), self.guest.len());
        if let Some(shares) = self.guest.get_mut(column) {
            match kind {
                ExtentKind::Data { .. } => shares.data += length,
                ExtentKind::Zero { .. } => shares.zero += length,
                ExtentKind::Unallocated => shares.unallocated += length,
            }
        }
        let Some(row) = row else { return };
        if let Some(bytes) = self.file.get_mut(row) {
            *bytes += length;
        }
        if let Some(bytes) = self.cells.get_mut(row * columns + column) {
            *bytes += length;
        }
    }
}

/// Cells of a table at most: 32 MiB.
const MAX_CELLS: usize = 1 << 22;

fn index(bin: u64) -> usize {
    usize::try_from(bin).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;

    const GO_ON: fn(u64, u64) -> ControlFlow<()> = |_, _| ControlFlow::Continue(());

    fn extent(offset: u64, length: u64, kind: ExtentKind) -> Result<Extent> {
        Ok(Extent { offset, length, kind, depth: 0 })
    }

    fn data(file_offset: u64) -> ExtentKind {
        ExtentKind::Data { file_offset: Some(file_offset) }
    }

    #[test]
    fn extents_are_cut_at_the_edges_of_both_kinds_of_bins() {
        // A disk of 100 bytes in 4 bins, a file of 60 in 3: bins of 25 and 20 bytes.
        let extents = [
            extent(0, 10, ExtentKind::Unallocated),
            extent(10, 30, data(15)),
            extent(40, 20, ExtentKind::Zero { file_offset: None }),
            extent(60, 10, data(5)),
            extent(70, 30, ExtentKind::Data { file_offset: None }),
        ];
        let layout = layout(extents.into_iter(), (100, 4), (60, 3), &mut { GO_ON }).unwrap();
        assert_eq!((layout.guest_bin, layout.file_bin), (25, 20));
        let shares = |data, zero, unallocated| Shares { data, zero, unallocated };
        assert_eq!(
            layout.guest,
            [shares(15, 0, 10), shares(15, 10, 0), shares(15, 10, 0), shares(25, 0, 0)]
        );
        assert_eq!(layout.total, shares(70, 20, 10));
        assert_eq!(layout.file, [5 + 10, 20, 5]);
        // Guest 10..25 lies at 15..30, guest 25..40 at 30..45, guest 60..70 at 5..15.
        assert_eq!(layout.cells, [5, 0, 10, 0, 10, 10, 0, 0, 0, 5, 0, 0]);
        assert_eq!((layout.runs, layout.longest_run, layout.backward), (2, 30, 1));
    }

    #[test]
    fn small_disks_have_fewer_bins_and_long_ones_no_more() {
        for (disk, bins, bin, count) in
            [(3, 10, 1, 3), (11, 10, 2, 6), (1 << 50, 10, 112_589_990_684_263, 10)]
        {
            let all = extent(0, disk, ExtentKind::Unallocated);
            let layout = layout([all].into_iter(), (disk, bins), (1, 1), &mut { GO_ON }).unwrap();
            assert_eq!((layout.guest_bin, layout.guest.len()), (bin, count), "{disk}");
            assert_eq!(layout.total.unallocated, disk);
        }
    }

    #[test]
    fn what_lies_behind_the_file_counts_to_its_last_bin() {
        let far = extent(0, 100, data(u64::MAX - 3));
        let layout = layout([far].into_iter(), (100, 1), (40, 4), &mut { GO_ON }).unwrap();
        assert_eq!(layout.file, [0, 0, 0, 100]);
    }

    #[test]
    fn no_bins_too_many_and_an_early_end_are_errors() {
        let none = || std::iter::empty::<Result<Extent>>();
        assert!(layout(none(), (10, 0), (10, 1), &mut { GO_ON }).is_err());
        assert!(layout(none(), (u64::MAX, u64::MAX), (10, 10), &mut { GO_ON }).is_err());
        let many = (0..1 << 17).map(|at| extent(at, 1, data(at)));
        let mut stop = |_, _| ControlFlow::Break(());
        let error = layout(many, (1 << 17, 4), (1 << 17, 4), &mut stop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }
}
