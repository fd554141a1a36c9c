//! Where a new image goes: built under a name of its own in the same directory, then renamed.
//!
//! So the final name never stands for half an image. A failed create removes what it built; one
//! that is killed leaves a file called `.qed-create-...`, which nobody takes for an image of his.

use std::collections::hash_map::RandomState;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use crate::chain::file::{Access, FileId, open_path};
use crate::chain::sys::rename_exclusive;
use crate::chain::{LockMode, directory_of};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::ImageLock;

/// The final name, and what stands there.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    replaced: Option<Replaced>,
}

/// An existing image that is to be overwritten, and kept from others until it is.
#[derive(Debug)]
struct Replaced {
    file: File,
    _lock: Option<ImageLock>,
}

impl Place {
    /// A place at `path`, where nothing stands.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`].
    pub(super) fn exclusive(path: &Path) -> Result<Self> {
        // A symbolic link, too, stands there, wherever it leads.
        match fs::symlink_metadata(path) {
            Ok(_) => Err(exists()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self { path: path.to_path_buf(), replaced: None })
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// A place at `path`, or where it leads as a symbolic link; a regular file there is replaced.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] where a process uses it, [`ErrorKind::Refused`] for a file of another
    /// type.
    pub(super) fn overwriting(path: &Path, lock: LockMode) -> Result<Self> {
        let path = follow_links(path)?;
        let replaced = match fs::symlink_metadata(&path) {
            Ok(_) => Some(Replaced::take(&path, lock)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        Ok(Self { path, replaced })
    }

    /// The file that stands there.
    pub(super) fn id(&self) -> Result<Option<FileId>> {
        let Some(replaced) = &self.replaced else { return Ok(None) };
        let metadata = replaced.file.metadata().map_err(failed)?;
        Ok(Some(FileId::of(&metadata)))
    }

    /// A new file in the same directory, removed again unless it is [put](Temporary::put) in place.
    ///
    /// # Errors
    /// What the operating system reports.
    pub(super) fn temporary(&self) -> Result<Temporary<'_>> {
        let directory = directory_of(&self.path);
        for _ in 0..ATTEMPTS {
            let random = RandomState::new().build_hasher().finish();
            let path = directory.join(format!(".qed-create-{random:016x}"));
            match File::options().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => {
                    let made = Temporary { place: self, file, path, placed: false };
                    made.take_after_replaced()?;
                    return Ok(made);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(failed(io::ErrorKind::AlreadyExists.into()))
    }
}

impl Replaced {
    fn take(path: &Path, lock: LockMode) -> Result<Self> {
        let access = Access { no_follow: true, ..Access::default() };
        let file = open_path(path, access, "what stands there")?;
        let lock = match lock {
            LockMode::On => Some(ImageLock::writer(&file)?),
            LockMode::Off => None,
        };
        Ok(Self { file, _lock: lock })
    }
}

/// The new image while it is built.
#[derive(Debug)]
pub(super) struct Temporary<'a> {
    place: &'a Place,
    file: File,
    path: PathBuf,
    placed: bool,
}

impl Temporary<'_> {
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Renames the file to its final name: with `stable`, what it holds is stable before that, and
    /// its name after.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] where somebody was faster; what the operating system reports.
    pub(super) fn put(mut self, stable: bool) -> Result<()> {
        let to = &self.place.path;
        if stable {
            let synced = self.file.sync_data();
            synced.map_err(|error| Error::io("syncing the new image", error))?;
        }
        if self.place.replaced.is_some() {
            fs::rename(&self.path, to).map_err(failed)?;
            self.placed = true;
        } else {
            self.placed = rename_or_link(&self.path, to)?;
        }
        if !stable {
            return Ok(());
        }
        sync_directory(directory_of(to)).inspect_err(|_| {
            if self.place.replaced.is_none() {
                // The name may be lost at a crash: then let it be gone now.
                let _ = fs::remove_file(to);
            }
        })
    }

    /// Takes over whose file it was and who may use it; as far as this process may.
    fn take_after_replaced(&self) -> Result<()> {
        let Some(replaced) = &self.place.replaced else { return Ok(()) };
        let metadata = replaced.file.metadata().map_err(failed)?;
        let _ = fchown(&self.file, Some(metadata.uid()), Some(metadata.gid()));
        self.file.set_permissions(metadata.permissions()).map_err(failed)
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.placed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Gives the file its name where that is free. Answers whether its old name is gone.
fn rename_or_link(from: &Path, to: &Path) -> Result<bool> {
    let error = match rename_exclusive(from, to) {
        Ok(()) => return Ok(true),
        Err(error) => error,
    };
    if !matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) {
        return Err(failed(error));
    }
    // A file system without an exclusive rename: a second name is exclusive, too.
    fs::hard_link(from, to).map_err(failed)?;
    Ok(false)
}

pub(in crate::ops) fn sync_directory(directory: &Path) -> Result<()> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    match synced {
        // A file system that syncs no directories.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        synced => synced.map_err(|error| Error::io("syncing the image's directory", error)),
    }
}

/// Where `path` leads through symbolic links, the last of which may lead nowhere.
fn follow_links(path: &Path) -> Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = directory_of(&path).join(target),
            // No link, or nothing at all.
            Err(_) => return Ok(path),
        }
    }
    Err(failed(io::Error::from_raw_os_error(libc::ELOOP)))
}

fn exists() -> Error {
    Error::new(ErrorKind::AlreadyExists, "the file exists; overwrite=on would replace it")
}

fn failed(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::AlreadyExists {
        return exists();
    }
    Error::io("creating the image", error)
}

const ATTEMPTS: u32 = 16;
/// As many as the kernel follows.
const MAX_LINKS: u32 = 40;
