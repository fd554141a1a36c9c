//! Who decides which backing files are opened: the caller, by one of these policies.
//!
//! The names in images are bytes of a path and nothing else: no prefix has a meaning. How a policy
//! finds the file is in [`resolve`](super::resolve).

use std::fmt;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Result;
use crate::source::Format;

/// Which backing files an image may make us open. They are opened for reading alone, and they are
/// regular files, or block devices where [`OpenOptions::block_devices`](super::OpenOptions) says
/// so.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum BackingPolicy {
    /// None: an image that names one is refused.
    Deny,
    /// Those inside the directory of the image that is opened: names, relative or absolute, that
    /// resolve below it in every step. No `..` and no symbolic link leads out of it; an absolute
    /// link counts as leading out. An image opened by descriptor has no directory: as `Deny`.
    #[default]
    Beneath,
    /// As `Beneath`, below this directory, to which the image's names are then relative.
    BeneathDirectory(Arc<OwnedFd>),
    /// Any that the process may read: for the operator's own images. A relative name is relative to
    /// the directory of the image that holds it. An image opened by descriptor has no directory: as
    /// `Deny`.
    Follow,
    /// These, from the image's backing file downward; the names in the images are not looked at.
    /// There must be as many as the chain needs.
    Chain(Vec<BackingSource>),
    /// What the function answers, which is called once for each backing file.
    Ask(Arc<AskBacking>),
}

/// A function that answers a [`BackingPolicy::Ask`].
pub type AskBacking = dyn Fn(&BackingRequest<'_>) -> Result<BackingSource> + Send + Sync;

/// What an image asks for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BackingRequest<'a> {
    /// The image that names the backing file, where it has a path.
    pub image: Option<&'a Path>,
    /// The name as stored, not resolved.
    pub name: &'a Path,
    /// The file's format, where the image names it.
    pub format: Option<Format>,
    /// 1 for the backing file of the image that is opened, and so on downward.
    pub depth: u32,
}

/// A backing file as the caller gives it, with its format where the caller knows it. Without one
/// the image's word counts, then the magic.
#[derive(Clone, Debug)]
pub struct BackingSource {
    pub(super) place: Given,
    pub(super) format: Option<Format>,
}

#[derive(Clone, Debug)]
pub(super) enum Given {
    Path(PathBuf),
    File(Arc<File>),
}

impl BackingSource {
    /// The file at `path`, relative to the working directory as any path of the caller's.
    #[must_use]
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self { place: Given::Path(path.into()), format: None }
    }

    /// An open file. It is opened anew where the process may do that; else a duplicate is used,
    /// which shares position, locks and O_DIRECT with `file`.
    #[must_use]
    pub fn file(file: impl Into<Arc<File>>) -> Self {
        Self { place: Given::File(file.into()), format: None }
    }

    /// The same file, known to have this format.
    #[must_use]
    pub fn with_format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }
}

impl fmt::Debug for BackingPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deny => f.write_str("Deny"),
            Self::Beneath => f.write_str("Beneath"),
            Self::BeneathDirectory(fd) => f.debug_tuple("BeneathDirectory").field(fd).finish(),
            Self::Follow => f.write_str("Follow"),
            Self::Chain(sources) => f.debug_tuple("Chain").field(sources).finish(),
            Self::Ask(_) => f.write_str("Ask(..)"),
        }
    }
}
