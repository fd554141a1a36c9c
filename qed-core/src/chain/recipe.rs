//! How a disk was opened, so that the same can be opened again after it was closed for a while.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, LayerName};
use super::link::{Link, Purpose, driver};
use super::open::open_below;
use super::options::OpenOptions;
use super::policy::BackingPolicy;
use super::resolve::Whereabouts;
use super::running::Running;
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageSettings;
use crate::source::{Format, Source};
use crate::storage::Storage;

/// What a disk's own file and its backing files were opened with.
#[derive(Clone, Debug)]
pub(super) enum Recipe {
    /// A file, over what it names as its backing file, or over a disk that was given.
    File { path: Option<PathBuf>, options: OpenOptions, base: Option<Arc<Base>> },
    /// A storage, over a source that was given.
    Storage { format: Format, below: Option<Arc<dyn Source>>, settings: ImageSettings },
}

/// A disk that another one was put over. Its file stays open, so that no name decides what it is.
#[derive(Debug)]
pub(super) struct Base {
    file: Arc<File>,
    recipe: Recipe,
}

/// The file of a disk that is closed for a while.
#[derive(Debug)]
pub(super) enum Kept {
    /// A duplicate of the descriptor: the file is unlocked, and may be anybody's meanwhile.
    File(Arc<File>),
    /// The storage: in memory, or recorded.
    Storage(Arc<dyn Storage>),
}

impl Kept {
    /// The file behind `storage`, or the storage where no plain file stands directly behind it.
    ///
    /// # Errors
    /// The process has no descriptor to spare.
    pub(super) fn of(storage: &Arc<dyn Storage>) -> Result<Self> {
        let Some(descriptor) = storage.bypass().map(|bypass| bypass.descriptor()) else {
            return Ok(Self::Storage(Arc::clone(storage)));
        };
        let file = descriptor.try_clone_to_owned().map_err(duplicating)?;
        Ok(Self::File(Arc::new(file.into())))
    }
}

impl Recipe {
    /// Opens the disk whose own file is `kept`.
    ///
    /// # Errors
    /// As [`open`](super::open()).
    pub(super) fn open(&self, kept: &Kept) -> Result<Running> {
        match self {
            Self::File { path, options, base } => {
                let top = top(kept, path.clone(), options)?;
                let Some(base) = base else { return open_below(top, options) };
                let base = base.open()?;
                let further = base.running.load().disks_below().to_vec();
                let below = std::iter::once(Arc::new(base)).chain(further).collect();
                top.into_top_of(below, options.image.clone())
            }
            Self::Storage { format, below, settings } => {
                let Kept::Storage(storage) = kept else {
                    return Err(Error::invalid("a disk in a storage has no file of its own"));
                };
                let below = below.clone();
                let driver = driver(Arc::clone(storage), *format, below, settings.clone(), None)?;
                let name = LayerName { path: None, format: *format };
                Ok(Running::new(driver, name, Arc::clone(storage)))
            }
        }
    }

    /// The recipe of a new overlay of this format at `path`, over this disk, whose own file is
    /// `kept`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a disk that is recorded or was opened in a storage.
    pub(super) fn under(&self, kept: &Kept, path: &Path, format: Format) -> Result<Self> {
        let (Self::File { options, .. }, Kept::File(file)) = (self, kept) else {
            let text = "only a disk in a file of its own, not recorded, takes an overlay";
            return Err(Error::new(ErrorKind::Unsupported, text));
        };
        let base = Base { file: Arc::clone(file), recipe: self.for_reading() };
        let options = OpenOptions { format, ..options.clone() };
        let path = Some(path.to_path_buf());
        Ok(Self::File { path, options, base: Some(Arc::new(base)) })
    }

    /// The recipe of the same disk, over what a stream has left of the chain below `running`.
    ///
    /// # Errors
    /// The process has no descriptor to spare.
    pub(super) fn shortened(&self, running: &Running) -> Result<Self> {
        let mut recipe = self.clone();
        if running.dropped() == 0 {
            return Ok(recipe);
        }
        match &mut recipe {
            Self::File { options, base, .. } => {
                // Names are those of the header, which is up to date; what was given is not.
                if let BackingPolicy::Chain(given) = &mut options.backing {
                    given.drain(..running.dropped().min(given.len()));
                }
                if base.is_some() {
                    *base = Base::of(running.disks_below(), options)?;
                }
            }
            Self::Storage { below, .. } => *below = None,
        }
        Ok(recipe)
    }

    /// The same, for a disk that only serves another one as its backing file.
    fn for_reading(&self) -> Self {
        let mut recipe = self.clone();
        let (Self::File { options: OpenOptions { image: settings, .. }, .. }
        | Self::Storage { settings, .. }) = &mut recipe;
        settings.read_only = true;
        settings.background = false;
        settings.copy_on_read = false;
        recipe
    }
}

impl Base {
    /// The running chain `disks`, from its top to its base, for a disk that has these options.
    fn of(disks: &[Arc<Disk>], options: &OpenOptions) -> Result<Option<Arc<Self>>> {
        let mut base = None;
        for disk in disks.iter().rev() {
            let running = disk.running.load();
            let Some(Kept::File(file)) = running.storage.as_ref().map(Kept::of).transpose()? else {
                let text = "a layer of the chain is in no file of its own";
                return Err(Error::new(ErrorKind::Unsupported, text));
            };
            // The last of them names nothing, and nothing may be opened for it.
            let backing = BackingPolicy::Deny;
            let options = OpenOptions { format: running.format(), backing, ..options.clone() };
            let recipe = Recipe::File { path: running.path(), options, base };
            base = Some(Arc::new(Self { file, recipe: recipe.for_reading() }));
        }
        Ok(base)
    }

    fn open(&self) -> Result<Disk> {
        Ok(Disk::new(self.recipe.open(&Kept::File(Arc::clone(&self.file)))?))
    }
}

fn top(kept: &Kept, path: Option<PathBuf>, options: &OpenOptions) -> Result<Link> {
    let whereabouts = Whereabouts { path, ..Whereabouts::default() };
    let purpose = if options.image.read_only { Purpose::Read } else { Purpose::Write };
    match kept {
        Kept::File(file) => {
            let file = file.try_clone().map_err(duplicating)?;
            Link::top(file, whereabouts, purpose, options)
        }
        // An observer's storage, which holds the file and its lock all the time.
        Kept::Storage(storage) => Link::new(whereabouts, None, options.format, Arc::clone(storage)),
    }
}

fn duplicating(error: std::io::Error) -> Error {
    Error::io("duplicating a descriptor", error)
}
