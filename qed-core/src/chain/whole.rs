//! The QED image behind a disk, for work on all of it beside the guest's calls.

use super::disk::Disk;
use super::running::{Driver, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::image::Image;

impl Disk {
    /// Does `work` on the image that the disk runs on, which stays the same meanwhile. `verb` says
    /// what cannot be done to a disk of another format.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a disk of another format; what `work` reports.
    pub(crate) fn with_image<R>(
        &self,
        verb: &str,
        work: impl FnOnce(&Image) -> Result<R>,
    ) -> Result<R> {
        let _inside = self.enter()?;
        match &self.running.load().driver {
            Driver::Qed(image) => work(image),
            Driver::Closed(why) => Err(self.named(closed(why))),
            Driver::Qcow2(_) | Driver::Raw(_) => {
                let text = format!("a disk of the format {} cannot be {verb}", self.format());
                Err(self.named(Error::new(ErrorKind::Unsupported, text)))
            }
        }
    }

    /// Whether somebody waits for all calls to return, to bring the disk to rest.
    pub(crate) fn is_called_to_rest(&self) -> bool {
        self.turnstile.is_closed()
    }
}
