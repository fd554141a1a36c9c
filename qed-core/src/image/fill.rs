//! Bringing data from below into the image: reads that copy, and streams.

use std::io::IoSlice;
use std::sync::Arc;

use super::{BackingInfo, Image};
use crate::addr::GuestCluster;
use crate::error::{Error, Result};
use crate::meta::backing::ToCome;
use crate::meta::plan::fill::{FillPiece, Wanted};
use crate::source::{Extent, ExtentKind, Source, read_below, zero_below};
use crate::storage::WriteFlags;

/// Bytes copied at once.
const AT_ONCE: usize = 1 << 20;

/// What one plan has brought in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    /// Guest clusters that are done with.
    pub(crate) clusters: u64,
    /// Bytes of them that came from below.
    pub(crate) bytes: u64,
}

impl Image {
    /// Brings the clusters of a read into the file, where they are not there. What cannot be
    /// brought in is read from below all the same.
    pub(super) fn copy_for_read(&self, offset: u64, length: u64) {
        let Some(backing) = self.meta.backing() else { return };
        let size = self.cluster_size();
        let last = offset.saturating_add(length).div_ceil(size);
        let mut at = offset / size;
        let mut wanted = |start, end| {
            let zero = zero_below(Some(backing), start, end)?;
            Ok(if zero { Wanted::Leave } else { Wanted::Copy })
        };
        while at < last {
            match self.fill(GuestCluster(at), last - at, &mut wanted) {
                Ok(filled) => at += filled.clusters,
                Err(_) => return,
            }
        }
    }

    /// Brings some of the `count` clusters at `first` in, as `wanted` says of each unallocated one.
    /// Says how far that went.
    ///
    /// # Errors
    /// What reading below or writing reports; none of these clusters is then brought in.
    pub(crate) fn fill(
        &self,
        first: GuestCluster,
        count: u64,
        wanted: &mut dyn FnMut(u64, u64) -> Result<Wanted>,
    ) -> Result<Filled> {
        let most = (AT_ONCE as u64 / self.cluster_size()).max(1);
        let plan = self.meta.plan_fill(first, count.min(most), wanted)?;
        if !plan.pieces.is_empty() {
            let mut buffer = self.spare.take(AT_ONCE as u64);
            plan.pieces.iter().try_for_each(|piece| self.bring(*piece, &mut buffer))?;
        }
        let bytes = plan.pieces.iter().map(|piece| piece.length).sum();
        let filled = Filled { clusters: plan.clusters, bytes };
        plan.publish();
        Ok(filled)
    }

    fn bring(&self, piece: FillPiece, buffer: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < piece.length {
            let length = usize::try_from(piece.length - done).unwrap_or(AT_ONCE).min(AT_ONCE);
            let part = &mut buffer[..length];
            let offset = piece.offset + done;
            read_below(self.meta.backing(), part, offset)?;
            let written = self.meta.storage.write(
                &[IoSlice::new(part)],
                piece.file.get() + done,
                WriteFlags::default(),
            );
            written.map_err(|error| Error::io("writing data", error).at(offset))?;
            done += length as u64;
        }
        Ok(())
    }

    /// What lies below, as far as `keep` layers of it go.
    pub(crate) fn below(&self) -> Option<Arc<dyn Source>> {
        self.meta.backing_to_keep()
    }

    /// Lets zeroes hide what the base that is to come would show in place of zeroes, also behind
    /// the end of what lies below now.
    pub(crate) fn expect_backing(&self, base: ToCome) {
        let Some(below) = self.below().filter(|_| self.meta.backing_to_come() != Some(base)) else {
            return;
        };
        let size = base.size;
        let below = if below.size() < size { Arc::new(Longer { below, size }) } else { below };
        self.meta.replace_backing(Some(below), Some(base));
    }

    /// The longest name that [`rename_backing`](Self::rename_backing) takes, in bytes.
    pub(crate) fn room_for_backing(&self) -> u64 {
        self.meta.room_for_backing()
    }

    /// Makes everything stable, then names another backing file, or none, which is `source`. What
    /// is read of the disk is the same with either: that is the caller's to know.
    ///
    /// # Errors
    /// The name has no room; a write or sync that failed.
    pub(crate) fn rename_backing_to(
        &self,
        backing: Option<BackingInfo>,
        source: Option<Arc<dyn Source>>,
    ) -> Result<()> {
        let raw = |info: &BackingInfo| info.format == Some(crate::source::Format::Raw);
        let name = backing.as_ref().map(|info| (&info.name[..], raw(info)));
        self.meta.rename_backing(name)?;
        // Without the source at hand, the old one reads the same: what is to come has come.
        if source.is_some() || backing.is_none() {
            self.meta.replace_backing(source, None);
        }
        *self.backing_info.lock() = backing;
        Ok(())
    }
}

/// A source with zeroes behind its end.
#[derive(Debug)]
struct Longer {
    below: Arc<dyn Source>,
    size: u64,
}

impl Source for Longer {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        read_below(Some(&*self.below), buffer, offset)
    }

    fn extent(&self, offset: u64, length: u64) -> Result<Extent> {
        let present = self.below.size().saturating_sub(offset);
        if present > 0 {
            return self.below.extent(offset, length.min(present));
        }
        Ok(Extent { offset, length, kind: ExtentKind::Zero { file_offset: None }, depth: 0 })
    }
}
