//! One image file by itself: what its header says and where its data lies.
//!
//! Looking changes nothing and never opens a backing file, whatever the image names. The locks are
//! those of a reader that needs nothing but an unchanging file (F7).

use std::fs::File;
use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskInfo};
use super::file::{Access, open_path};
use super::link::{Link, Purpose};
use super::options::OpenOptions;
use super::resolve::Whereabouts;
use crate::error::Result;
use crate::image::ImageSettings;
use crate::source::Extents;

/// An image file that is looked at. Its backing file is a name and no more.
#[derive(Debug)]
pub struct Layer {
    disk: Disk,
}

impl Layer {
    /// What the image is.
    ///
    /// # Errors
    /// The operating system could not tell about the file.
    pub fn info(&self) -> Result<DiskInfo> {
        self.disk.info()
    }

    /// The extents of `length` bytes at `offset`, of this layer only.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) where the range passes the
    /// end of the disk.
    pub fn extents(&self, offset: u64, length: u64) -> Result<Extents<'_>> {
        self.disk.extents(offset, length)
    }

    /// Guest bytes of the disk.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.disk.size()
    }

    /// The path it was opened by, where it was opened by one.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        self.disk.path()
    }
}

/// Looks at the image at `path`. Of `options`, `backing` and `max_depth` have no meaning here, and
/// the image is opened read-only in any case.
///
/// # Errors
/// As [`open`](super::open()) of an image without a backing file.
pub fn inspect(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Layer> {
    let path = path.as_ref();
    let (no_follow, block_devices) = (options.no_follow, options.block_devices);
    let access = Access { writable: false, no_follow, block_devices };
    let opened = open_path(path, access, "the image");
    opened.and_then(|file| look(file, Some(path), options)).map_err(|error| error.in_file(path))
}

/// Looks at the image in `file`, as [`inspect`] does.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_file(file: File, options: &OpenOptions) -> Result<Layer> {
    look(file, None, options)
}

fn look(file: File, path: Option<&Path>, options: &OpenOptions) -> Result<Layer> {
    let whereabouts = Whereabouts { path: path.map(Path::to_path_buf), ..Whereabouts::default() };
    let settings = ImageSettings {
        read_only: true,
        background: false,
        copy_on_read: false,
        ..options.image.clone()
    };
    let link = Link::top(file, whereabouts, Purpose::Look, options)?;
    Ok(Layer { disk: Disk::new(link.into_running(None, settings)?) })
}
