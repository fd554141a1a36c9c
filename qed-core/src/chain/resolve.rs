//! From a backing name to an open file, by the caller's policy.
//!
//! Below a directory the kernel resolves (openat2), not a comparison of strings, so that neither
//! `..` nor a link nor a rename that races with us leads out of it. Strings decide one thing alone:
//! an absolute name that begins with the directory's own path is taken as relative to it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{self, Path, PathBuf};
use std::slice;
use std::sync::Arc;

use super::file::{Access, check_file, open_beneath, open_path};
use super::options::OpenOptions;
use super::policy::{BackingPolicy, BackingRequest, BackingSource, Given};
use crate::error::{Error, ErrorKind, Result};
use crate::image::BackingInfo;
use crate::source::Format;

/// Opens the backing files of one chain, one after the other from the top down.
pub(super) struct Resolver<'a> {
    policy: &'a BackingPolicy,
    access: Access,
    /// What is left of an explicit chain.
    given: slice::Iter<'a, BackingSource>,
    /// The directory that names may not leave, once one was needed.
    root: Option<Root>,
}

/// The image that names a backing file.
#[derive(Clone, Debug, Default)]
pub(super) struct Whereabouts {
    /// Its path, where it has one.
    pub(super) path: Option<PathBuf>,
    /// Its directory, relative to the [`Root`].
    pub(super) directory: PathBuf,
}

impl Whereabouts {
    /// `error`, naming this file where it is known by a path.
    pub(super) fn name(&self, error: Error) -> Error {
        match &self.path {
            Some(path) => error.in_file(path),
            None => error,
        }
    }
}

/// A backing file that was found.
pub(super) struct Found {
    pub(super) file: File,
    pub(super) whereabouts: Whereabouts,
    /// What the caller said of its format.
    pub(super) format: Option<Format>,
}

struct Root {
    directory: Arc<OwnedFd>,
    /// What the directory was called, where it was called by a path.
    path: Option<PathBuf>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(options: &'a OpenOptions) -> Self {
        let given = match &options.backing {
            BackingPolicy::Chain(sources) => sources.as_slice(),
            _ => &[],
        };
        let access = Access { block_devices: options.block_devices, ..Access::default() };
        Self { policy: &options.backing, access, given: given.iter(), root: None }
    }

    /// Opens what the image at `from` names, the `depth`th backing file of the chain.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] where the policy does not allow it; what the operating system
    /// reports.
    pub(super) fn open(
        &mut self,
        from: &Whereabouts,
        backing: &BackingInfo,
        depth: u32,
    ) -> Result<Found> {
        let name = Path::new(OsStr::from_bytes(&backing.name));
        let what = format!("backing file {name:?}");
        match self.policy {
            BackingPolicy::Deny => Err(refused(&what, "is not opened: backing_policy=deny")),
            BackingPolicy::Beneath => self.open_beneath(from, name, &what),
            BackingPolicy::BeneathDirectory(directory) => {
                let root = || Root { directory: Arc::clone(directory), path: None };
                self.root.get_or_insert_with(root);
                self.open_beneath(from, name, &what)
            }
            BackingPolicy::Follow => self.follow(from, name, &what),
            BackingPolicy::Chain(_) => match self.given.next() {
                Some(source) => self.take(source),
                None => {
                    let message = format!("{what} is needed, but the chain that was given ends");
                    Err(Error::new(ErrorKind::Refused, message))
                }
            },
            BackingPolicy::Ask(ask) => {
                let image = from.path.as_deref();
                self.take(&ask(&BackingRequest { image, name, format: backing.format, depth })?)
            }
        }
    }

    /// Ends the chain: an explicit one must be used up.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] where it is not.
    pub(super) fn finish(self) -> Result<()> {
        match self.given.len() {
            0 => Ok(()),
            rest => Err(Error::invalid(format!(
                "the chain that was given has {rest} more files than the image has backing files"
            ))),
        }
    }

    fn open_beneath(&mut self, from: &Whereabouts, name: &Path, what: &str) -> Result<Found> {
        let root = match &mut self.root {
            Some(root) => root,
            none => match &from.path {
                Some(path) => none.insert(Root::of_image(path)?),
                None => return Err(no_directory(what)),
            },
        };
        let Some(below) = root.relative(&from.directory, name) else {
            return Err(refused(what, OUTSIDE));
        };
        let file = open_beneath(root.directory.as_fd(), &below, self.access, what)?;
        let directory = below.parent().map(Path::to_path_buf).unwrap_or_default();
        let path = match &root.path {
            Some(root) => root.join(&below),
            None => below,
        };
        Ok(Found { file, whereabouts: Whereabouts { path: Some(path), directory }, format: None })
    }

    fn follow(&self, from: &Whereabouts, name: &Path, what: &str) -> Result<Found> {
        let Some(image) = &from.path else { return Err(no_directory(what)) };
        let path = directory_of(image).join(name);
        let file = open_path(&path, self.access, what)?;
        let directory = PathBuf::new();
        Ok(Found { file, whereabouts: Whereabouts { path: Some(path), directory }, format: None })
    }

    fn take(&self, source: &BackingSource) -> Result<Found> {
        let (file, path) = match &source.place {
            Given::Path(path) => {
                let opened = open_path(path, self.access, "the backing file");
                (opened.map_err(|error| error.in_file(path))?, Some(path.clone()))
            }
            Given::File(file) => {
                let what = "the backing file given";
                check_file(file, self.access, what)?;
                (reopened(file)?, None)
            }
        };
        let whereabouts = Whereabouts { path, directory: PathBuf::new() };
        Ok(Found { file, whereabouts, format: source.format })
    }
}

impl Root {
    /// The directory of the image at `path`.
    fn of_image(path: &Path) -> Result<Self> {
        let directory = directory_of(path);
        let opened = fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
            .open(directory);
        let opened = opened
            .map_err(|error| Error::io("opening the image's directory", error).in_file(path))?;
        let directory = directory.to_path_buf();
        Ok(Self { directory: Arc::new(opened.into()), path: Some(directory) })
    }

    /// `name`, found in an image in `directory`, relative to the root. None: it cannot lie below
    /// it.
    fn relative(&self, directory: &Path, name: &Path) -> Option<PathBuf> {
        if !name.is_absolute() {
            return Some(directory.join(name));
        }
        let called = self.path.as_ref().and_then(|path| path::absolute(path).ok());
        let descriptor = format!("/proc/self/fd/{}", self.directory.as_raw_fd());
        let canonical = match &self.path {
            Some(path) => fs::canonicalize(path).ok(),
            None => fs::read_link(descriptor).ok(),
        };
        let prefixes = [called, canonical];
        let below = prefixes.iter().flatten().find_map(|prefix| name.strip_prefix(prefix).ok())?;
        let itself = below.as_os_str().is_empty();
        Some(if itself { PathBuf::from(".") } else { below.to_path_buf() })
    }
}

/// The directory to which the names in the image at `path` are relative.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The same file for reading, with a position and with locks of its own where this process may open
/// it.
fn reopened(file: &File) -> Result<File> {
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .or_else(|_| file.try_clone())
        .map_err(|error| Error::io("duplicating a descriptor", error))
}

fn refused(what: &str, why: &str) -> Error {
    let message = format!("{what} {why}; backing_policy=follow would allow it");
    Error::new(ErrorKind::Refused, message)
}

fn no_directory(what: &str) -> Error {
    let message = format!(
        "{what} is not opened: an image opened by descriptor has no directory; a chain of backing \
         files or a directory descriptor would allow it"
    );
    Error::new(ErrorKind::Refused, message)
}

const OUTSIDE: &str = "lies outside the image's directory";
