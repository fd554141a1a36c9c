//! Changing the size of a disk, whatever its format.

use super::disk::Disk;
use super::observe::GuestCall;
use super::running::{Driver, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ResizeOptions;
use crate::source::Format;

impl Disk {
    /// As [`Image::resize`](crate::Image::resize). A raw disk may have any number of bytes; while
    /// its size changes, other calls wait.
    ///
    /// # Errors
    /// As there; [`ErrorKind::Unsupported`] for a qcow2 image.
    pub fn resize(&self, size: u64, options: ResizeOptions) -> Result<()> {
        let call = GuestCall::Resize { size };
        if self.format() == Format::Raw {
            return self.observe(call, || self.while_empty(|| self.resize_driver(size, options)));
        }
        self.observe(call, || {
            let _inside = self.enter()?;
            self.resize_driver(size, options)
        })
    }

    fn resize_driver(&self, size: u64, options: ResizeOptions) -> Result<()> {
        match &self.running.load().driver {
            Driver::Qed(image) => image.resize(size, options),
            Driver::Raw(disk) => disk.resize(size, options),
            Driver::Qcow2(_) => {
                let text = "a qcow2 image cannot be resized; qed and raw disks can";
                Err(self.named(Error::new(ErrorKind::Unsupported, text)))
            }
            Driver::Closed(why) => Err(self.named(closed(why))),
        }
    }
}
