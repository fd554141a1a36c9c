//! Ends of a session that leave another image behind: an empty one, or one over another backing
//! file.

use super::{Flags, Image};
use crate::addr::GuestCluster;
use crate::error::Result;
use crate::meta::plan::zero::Allocated;

impl Image {
    /// Leaves every cluster to the backing file again, cuts the file back, and closes the image.
    /// The backing file must hold, stable, what the guest reads.
    ///
    /// # Errors
    /// As [`close`](Self::close), and as a first write.
    pub(crate) fn reset(mut self) -> Result<()> {
        self.closed = true;
        self.meta.reset().map_err(|error| self.named_error(error))
    }

    /// Names another backing file, raw by declaration or not, or none, and closes the image. What
    /// the guest is to read must not depend on which of the two lies below.
    ///
    /// # Errors
    /// As [`close`](Self::close), and as a first write; a name that the header has no room for.
    pub(crate) fn set_backing(self, name: Option<(&[u8], bool)>) -> Result<()> {
        let renamed = self.meta.rebase_header(name).map_err(|error| self.named_error(error));
        let closed = self.close();
        renamed.and(closed)
    }

    /// Turns what is unallocated of whole clusters into zero clusters: zeroes whatever lies below.
    ///
    /// # Errors
    /// As [`write_zeroes`](Self::write_zeroes).
    pub(crate) fn hide_backing(&self, offset: u64, length: u64) -> Result<()> {
        self.hide(offset, length).map_err(|error| self.named_error(error))
    }

    fn hide(&self, offset: u64, length: u64) -> Result<()> {
        Flags::NONE.check(Flags::NONE, "zeroing")?;
        let (first, count) = self.whole_clusters(offset, offset + length);
        let mut done = 0;
        while done < count {
            let next = GuestCluster(first.get() + done);
            let plan =
                self.meta.plan_zeroes(next, count - done, offset + length, Allocated::Hide)?;
            done += plan.clusters.max(1);
        }
        Ok(())
    }
}
