//! A chain of which two files are written: the image on top, and the backing file that it is
//! committed to. And what becomes of the image then.

use std::path::Path;
use std::sync::Arc;

use super::disk::Disk;
use super::file::{Access, FileId, open_path};
use super::link::{Link, Purpose};
use super::open::{build, collect, settings_below};
use super::options::OpenOptions;
use super::resolve::{Whereabouts, directory_of};
use super::running::Driver;
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageSettings;
use crate::source::Source;

/// An open chain, whose top and base may be written to.
#[derive(Debug)]
pub(crate) struct Committing {
    pub(crate) top: Disk,
    pub(crate) base: Arc<Disk>,
    /// How many layers the base lies below the top.
    pub(crate) depth: u32,
}

/// Opens the image at `path` over its chain, and its backing file, or the one further down that
/// `base` names, for writing.
///
/// # Errors
/// As [`open`](super::open()); [`ErrorKind::InvalidArgument`] where there is no such backing file.
pub(crate) fn open_committing(
    path: &Path,
    options: &OpenOptions,
    base: Option<&Path>,
) -> Result<Committing> {
    let access = Access {
        writable: true,
        no_follow: options.no_follow,
        block_devices: options.block_devices,
    };
    let file = open_path(path, access, "the image")?;
    let whereabouts = Whereabouts { path: Some(path.into()), ..Whereabouts::default() };
    let top = Link::top(file, whereabouts, Purpose::Write, options)?;
    let mut above = collect(&top, options)?;
    let place = match base {
        None if above.is_empty() => return Err(Error::invalid("the image has no backing file")),
        None => 0,
        Some(base) => place_of(&above, path, base)?,
    };
    let below = above.split_off(place + 1);
    let base = above.pop().ok_or_else(|| Error::invalid("the image has no backing file"))?;
    let depth = u32::try_from(place + 1).unwrap_or(u32::MAX);
    let settings = ImageSettings { read_only: false, ..options.image.clone() };
    let whereabouts = base.whereabouts.clone();
    let named = |error| whereabouts.name(error);
    let base = base.for_writing(options).map_err(named)?;
    let below = build(below, options)?;
    let base = base.into_top_of(below, settings).map_err(named)?;
    let base = Arc::new(Disk::new(base));
    let reading = settings_below(&options.image, above.len() as u64);
    let mut source = Arc::clone(&base) as Arc<dyn Source>;
    for link in above.into_iter().rev() {
        source = Arc::new(Disk::new(link.into_running(Some(source), reading.clone())?));
    }
    let top = top.into_running(Some(source), options.image.clone())?;
    Ok(Committing { top: Disk::new(top), base, depth })
}

/// Which of `links` the caller means by `base`, a path of the caller's or a name like those in the
/// images.
fn place_of(links: &[Link], image: &Path, base: &Path) -> Result<usize> {
    let paths = [base.to_path_buf(), directory_of(image).join(base)];
    let ids = paths.iter().filter_map(|path| std::fs::metadata(path).ok());
    let ids: Vec<FileId> = ids.map(|metadata| FileId::of(&metadata)).collect();
    let found = links.iter().position(|link| link.id.is_some_and(|id| ids.contains(&id)));
    found
        .ok_or_else(|| Error::invalid(format!("{base:?} is not in the backing chain of {image:?}")))
}

impl Disk {
    /// Opens the disk at `path` alone: what it names as its backing file is not looked for.
    ///
    /// # Errors
    /// As [`open`](super::open()) of an image without a backing file.
    pub(crate) fn open_without_backing(path: &Path, options: &OpenOptions) -> Result<Self> {
        let access = Access {
            writable: true,
            no_follow: options.no_follow,
            block_devices: options.block_devices,
        };
        let opened = open_path(path, access, "the image").and_then(|file| {
            let whereabouts = Whereabouts { path: Some(path.into()), ..Whereabouts::default() };
            let link = Link::top(file, whereabouts, Purpose::Write, options)?;
            link.into_running(None, options.image.clone())
        });
        opened.map(Self::new).map_err(|error| error.in_file(path))
    }

    /// Fails where the disk is none that [`empty`](Self::empty) or
    /// [`set_backing`](Self::set_backing) can serve.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`].
    pub(crate) fn check_is_qed(&self, doing: &str) -> Result<()> {
        let format = self.format();
        if format == crate::source::Format::Qed {
            return Ok(());
        }
        let text = format!("{doing} is not possible for a {format} disk, only for a QED image");
        Err(self.named(Error::new(ErrorKind::Unsupported, text)))
    }

    /// As [`Image::reset`](crate::Image::reset).
    ///
    /// # Errors
    /// As there.
    pub(crate) fn empty(self) -> Result<()> {
        match self.into_driver()? {
            Driver::Qed(image) => image.reset(),
            _ => Err(Error::new(ErrorKind::Unsupported, "only a QED image can be emptied")),
        }
    }

    /// As [`Image::set_backing`](crate::Image::set_backing).
    ///
    /// # Errors
    /// As there.
    pub(crate) fn set_backing(self, name: Option<(&[u8], bool)>) -> Result<()> {
        match self.into_driver()? {
            Driver::Qed(image) => image.set_backing(name),
            _ => Err(Error::new(ErrorKind::Unsupported, "only a QED image can be rebased")),
        }
    }

    /// As [`Image::hide_backing`](crate::Image::hide_backing).
    ///
    /// # Errors
    /// As there.
    pub(crate) fn hide_backing(&self, offset: u64, length: u64) -> Result<()> {
        let _inside = self.enter()?;
        match &self.running.load().driver {
            Driver::Qed(image) => image.hide_backing(offset, length),
            _ => Err(Error::new(ErrorKind::Unsupported, "only a QED image has zero clusters")),
        }
    }
}
