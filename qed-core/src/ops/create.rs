//! Creating images: what is asked for is judged first, then the image appears under its name at
//! once.
//!
//! A failed create leaves nothing behind (F4). The names and sizes are the caller's; the backing
//! file is opened only where its size or its format has to be found out, and nothing it names is
//! opened.

mod format;
mod place;
mod preallocate;

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use format::cut_off;
pub use format::{CreateSpec, format_storage};
pub(super) use place::sync_directory;
use place::{Place, Temporary};

use crate::chain::file::{Access, FileId, check_file, open_path};
use crate::chain::qcow2::{self, Qcow2CreateSpec, format_qcow2};
use crate::chain::{LockMode, Purpose, directory_of, file_mode, lock_and_wrap, probe_storage};
use crate::error::{Error, ErrorKind, Result};
use crate::format::{DEFAULT_CLUSTER_SIZE, DEFAULT_TABLE_SIZE, Geometry};
use crate::image::{CacheMode, read_header};
use crate::source::Format;
use crate::storage::{FileMode, FileStorage, ImageLock, Preallocation, Storage, set_aside};

/// What a new disk is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreateOptions {
    /// The new file's format.
    pub format: Format,
    /// Guest bytes, rounded up to 512; the backing file's size where it is not given.
    pub size: Option<u64>,
    /// Bytes in a cluster: a power of two from 4 KiB to 64 MiB (qcow2: from 512 to 2 MiB); 64 KiB
    /// where it is not given.
    pub cluster_size: Option<u64>,
    /// Clusters in a table: a power of two from 1 to 16; 4 where it is not given.
    pub table_size: Option<u64>,
    /// The backing file's name, stored as it is. A relative one is relative to the new image's
    /// directory.
    pub backing: Option<PathBuf>,
    /// The backing file's format; found by its magic where it is not given.
    pub backing_format: Option<Format>,
    /// The space that the disk has from the start.
    pub preallocation: Preallocation,
    /// An existing file is replaced.
    pub overwrite: bool,
    /// How the file is written; [`CacheMode::Unsafe`] leaves every sync out.
    pub cache: CacheMode,
    /// Whether an image that others use is left alone.
    pub lock: LockMode,
    /// The backing file may be a block device.
    pub block_devices: bool,
}

/// Creates an image at `path`. It appears there whole; on failure nothing does, and a file that was
/// to be replaced stays. When this returns, image and name are stable, unless the cache mode is
/// [`CacheMode::Unsafe`]: that takes two syncs, of the file before it is named and of its
/// directory.
///
/// With [`CreateOptions::overwrite`] a symbolic link is followed, and the file it leads to is
/// replaced by a new one with the same owner and permissions.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] for options that make no legal image,
/// [`ErrorKind::AlreadyExists`], [`ErrorKind::Locked`] where a process uses the image to be
/// replaced or writes to the backing file; what the operating system reports.
pub fn create(path: impl AsRef<Path>, options: &CreateOptions) -> Result<()> {
    create_filled(path.as_ref(), options, |_| Ok(()))
}

/// Creates an image as [`create`] does, and has `fill` put something into its file, and make that
/// stable, before the file appears at `path`. Where `fill` fails nothing appears.
///
/// # Errors
/// As [`create`]; what `fill` reports.
pub(super) fn create_filled(
    path: &Path,
    options: &CreateOptions,
    fill: impl FnOnce(&File) -> Result<()>,
) -> Result<()> {
    let named = |error: Error| error.in_file(path);
    Shape::of(options).map_err(named)?;
    let place = match options.overwrite {
        true => Place::overwriting(path, options.lock),
        false => Place::exclusive(path),
    };
    let place = place.map_err(named)?;
    let temporary = begin(path, &place, options).map_err(named)?;
    fill(temporary.file())?;
    temporary.put(options.cache != CacheMode::Unsafe).map_err(named)
}

/// The new image under a name of its own.
fn begin<'a>(path: &Path, place: &'a Place, options: &CreateOptions) -> Result<Temporary<'a>> {
    check_not_its_own_backing(path, place.id()?, options)?;
    let spec = Shape::of(options)?.plan(Some(directory_of(path)), options)?;
    let temporary = place.temporary()?;
    // Nothing has a name that anybody knows: one sync before it gets one is enough.
    let mode = FileMode { ignore_sync: true, ..file_mode(options.cache, true) };
    format_file(temporary.file(), &spec, mode)?;
    Ok(temporary)
}

/// Makes an image of `file`, which is open for reading and writing, and empty unless
/// [`CreateOptions::overwrite`] is set. On failure it is empty. A relative backing name has no
/// directory here, so its size and format must be given. A cache mode that asks for O_DIRECT sets
/// it on `file`.
///
/// # Errors
/// As [`create`].
pub fn create_file(file: &File, options: &CreateOptions) -> Result<()> {
    let spec = Shape::of(options)?.plan(None, options)?;
    let metadata = check_file(file, Access::default(), "the file")?;
    let _lock = match options.lock {
        LockMode::On => Some(ImageLock::writer(file)?),
        LockMode::Off => None,
    };
    if metadata.len() > 0 && !options.overwrite {
        let message = "the file is not empty; overwrite=on would replace its content";
        return Err(Error::new(ErrorKind::AlreadyExists, message));
    }
    format_file(file, &spec, file_mode(options.cache, true)).inspect_err(|_| {
        // The first error is the one that counts.
        let _ = file.set_len(0);
    })
}

fn format_file(file: &File, spec: &Spec, mode: FileMode) -> Result<()> {
    let copy = file.try_clone().map_err(|error| Error::io("duplicating a descriptor", error))?;
    let storage =
        FileStorage::new(copy, mode).map_err(|error| Error::io("opening the new image", error))?;
    match spec {
        Spec::Qed(spec) => format_storage(&storage, spec),
        Spec::Qcow2(spec) => format_qcow2(&storage, spec),
        Spec::Raw(size, preallocation) => format_raw(&storage, *size, *preallocation),
    }
}

/// Makes a raw disk of zeroes of `storage`.
fn format_raw(storage: &dyn Storage, size: u64, kind: Preallocation) -> Result<()> {
    cut_off(storage)?;
    let failed = |error| Error::io("setting the file's length", error);
    storage.set_len(size).map_err(failed)?;
    if kind.has_data() && size > 0 {
        set_aside(storage, 0, size, kind)?;
    }
    storage.sync().map_err(failed)
}

/// What the options say of the new file without looking at any other.
pub(super) enum Shape {
    Qed(Geometry),
    /// With clusters of so many bytes.
    Qcow2(u64),
    Raw,
}

/// A new file, ready to be written.
enum Spec {
    Qed(CreateSpec),
    Qcow2(Qcow2CreateSpec),
    /// A raw disk of so many bytes, with that space from the start.
    Raw(u64, Preallocation),
}

impl Shape {
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for options that make no legal image.
    pub(super) fn of(options: &CreateOptions) -> Result<Self> {
        match options.format {
            Format::Qed => {
                if options.backing.is_some() {
                    options.preallocation.check_over_backing()?;
                }
                geometry_of(options).map(Self::Qed)
            }
            Format::Qcow2 => {
                if options.table_size.is_some() {
                    return Err(Error::invalid("a qcow2 image has no table_size"));
                }
                if options.preallocation != Preallocation::Off {
                    let text = "qcow2 images are not preallocated by this library";
                    return Err(Error::new(ErrorKind::Unsupported, text));
                }
                let cluster_size = options.cluster_size.unwrap_or(DEFAULT_CLUSTER_SIZE);
                Qcow2CreateSpec::new(0, cluster_size).map(|_| Self::Qcow2(cluster_size))
            }
            Format::Raw => check_raw(options).map(|()| Self::Raw),
        }
    }

    /// What is to be created in `directory`, once the backing file was asked for what the caller
    /// left open.
    fn plan(self, directory: Option<&Path>, options: &CreateOptions) -> Result<Spec> {
        match self {
            Self::Qed(geometry) => {
                let shaped = |size, backing: Option<(&[u8], Option<Format>)>| {
                    let spec = CreateSpec::new(geometry, size)?
                        .with_preallocation(options.preallocation)?;
                    match backing {
                        Some((name, format)) => {
                            spec.with_backing(name, format == Some(Format::Raw))
                        }
                        None => Ok(spec),
                    }
                };
                plan(shaped, directory, options).map(Spec::Qed)
            }
            Self::Qcow2(cluster_size) => {
                let shaped = |size, backing: Option<(&[u8], Option<Format>)>| {
                    let spec = Qcow2CreateSpec::new(size, cluster_size)?;
                    match backing {
                        // The longest name there is stands for one not known yet.
                        Some((name, format)) => {
                            spec.with_backing(name, format.unwrap_or(Format::Qcow2))
                        }
                        None => Ok(spec),
                    }
                };
                plan(shaped, directory, options).map(Spec::Qcow2)
            }
            Self::Raw => {
                let size = options.size.ok_or_else(no_size)?;
                let size = size.checked_next_multiple_of(512).unwrap_or(u64::MAX);
                Ok(Spec::Raw(size, options.preallocation))
            }
        }
    }
}

/// The geometry of a new QED image.
///
/// # Errors
/// The sizes make none.
pub(super) fn geometry_of(options: &CreateOptions) -> Result<Geometry> {
    let cluster_size = options.cluster_size.unwrap_or(DEFAULT_CLUSTER_SIZE);
    let table_size = options.table_size.unwrap_or(DEFAULT_TABLE_SIZE);
    let legal = Geometry::new(cluster_size, table_size);
    legal.map_err(|illegal| Error::invalid(illegal.to_string()))
}

/// Fails where a raw disk is asked for what only an image has.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`], with the option's name.
pub(super) fn check_raw(options: &CreateOptions) -> Result<()> {
    let given = [
        ("cluster_size", options.cluster_size.is_some()),
        ("table_size", options.table_size.is_some()),
        ("backing", options.backing.is_some()),
        ("backing_format", options.backing_format.is_some()),
    ];
    options.preallocation.check_raw()?;
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((name, _)) => Err(Error::invalid(format!("a raw disk has no {name}"))),
    }
}

fn no_size() -> Error {
    Error::invalid("no size is given, and no backing file to take it from")
}

/// The spec of size and backing file that `shaped` makes, which is asked first with what is known
/// before the backing file is opened.
fn plan<S>(
    shaped: impl Fn(u64, Option<(&[u8], Option<Format>)>) -> Result<S>,
    directory: Option<&Path>,
    options: &CreateOptions,
) -> Result<S> {
    let Some(backing) = &options.backing else {
        if options.backing_format.is_some() {
            return Err(Error::invalid("a backing format is given, but no backing file"));
        }
        return shaped(options.size.ok_or_else(no_size)?, None);
    };
    // The name is judged before anything of that name is opened.
    let name = backing.as_os_str().as_bytes();
    shaped(0, Some((name, options.backing_format)))?;
    let (size, format) = match (options.size, options.backing_format) {
        (Some(size), Some(format)) => (size, format),
        _ => ask_backing(backing, directory, options)?,
    };
    shaped(size, Some((name, Some(format))))
}

/// Size and format: what the caller says, else what the backing file says.
fn ask_backing(
    name: &Path,
    directory: Option<&Path>,
    options: &CreateOptions,
) -> Result<(u64, Format)> {
    let path = match directory {
        Some(directory) => directory.join(name),
        None if name.is_absolute() => name.to_path_buf(),
        None => {
            return Err(Error::invalid(format!(
                "backing file {name:?} has no directory to be relative to: give its size and format"
            )));
        }
    };
    let asked = || -> Result<(u64, Format)> {
        let access = Access { block_devices: options.block_devices, ..Access::default() };
        let file = open_path(&path, access, "the backing file")?;
        let mode = file_mode(CacheMode::Writeback, false);
        let storage = lock_and_wrap(file, mode, Purpose::Look, options.lock)?;
        let format = match options.backing_format {
            Some(format) => format,
            None => probe_storage(&*storage)?.ok_or_else(unknown_format)?,
        };
        let size = match (options.size, format) {
            (Some(size), _) => size,
            (None, Format::Qed) => read_header(&*storage)?.image_size,
            (None, Format::Qcow2) => qcow2::read_virtual_size(&*storage)?,
            (None, Format::Raw) => {
                storage.len().map_err(|error| Error::io("asking the file's length", error))?
            }
        };
        Ok((size, format))
    };
    asked().map_err(|error| error.in_file(&path))
}

fn unknown_format() -> Error {
    Error::invalid(
        "the backing file has the magic of no known format; backing_format=raw says that it is raw",
    )
}

/// An image over itself could never be opened.
fn check_not_its_own_backing(
    path: &Path,
    replaced: Option<FileId>,
    options: &CreateOptions,
) -> Result<()> {
    let Some(name) = &options.backing else { return Ok(()) };
    let backing = directory_of(path).join(name);
    let same_file = || {
        let metadata = std::fs::metadata(&backing).ok()?;
        Some(FileId::of(&metadata) == replaced?)
    };
    if backing == directory_of(path).join(path.file_name().unwrap_or_default())
        || same_file().unwrap_or(false)
    {
        return Err(Error::invalid(format!("the image would be its own backing file {name:?}")));
    }
    Ok(())
}
