//! From an image's file to the image over its chain.
//!
//! First downward: each file is opened, locked and asked for its backing file, to the end. Then
//! upward: each layer is built over the one below it. Nothing is written before the whole chain is
//! there, for the image itself is built last. A loop does both, so a long chain costs no stack to
//! open; reading through it does, and so its depth has a limit.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::disk::Disk;
use super::file::{Access, FileId, open_path};
use super::link::Link;
use super::options::{MAX_DEPTH, OpenOptions};
use super::recipe::{Kept, Recipe};
use super::resolve::{Resolver, Whereabouts};
use super::running::Running;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{Image, ImageSettings};
use crate::source::Source;

/// Opens the QED image at `path` and its backing files.
///
/// # Errors
/// [`ErrorKind::NotQed`] and [`ErrorKind::Corrupt`] for what is no sound image,
/// [`ErrorKind::Locked`] where another process holds one of the files, [`ErrorKind::Refused`] where
/// [`OpenOptions::backing`] does not allow a backing file, the chain names itself or is too long,
/// [`ErrorKind::Unsupported`] for features and formats that are not built in; and what the
/// operating system reports.
pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Image> {
    let path = path.as_ref();
    let image = open_path_as_disk(path, options).and_then(image_alone);
    image.map_err(|error| error.in_file(path))
}

/// As [`open`], for a disk of any format.
///
/// # Errors
/// As there.
pub(super) fn open_path_as_disk(path: &Path, options: &OpenOptions) -> Result<Disk> {
    let access = Access {
        writable: !options.image.read_only,
        no_follow: options.no_follow,
        block_devices: options.block_devices,
    };
    open_path(path, access, "the image")
        .and_then(|file| open_chain(file, Some(path), options))
        .map_err(|error| error.in_file(path))
}

/// Opens the QED image in `file`, which is open for reading, and for writing unless
/// [`ImageSettings::read_only`] says otherwise. Its backing file is opened only where the policy is
/// an explicit chain, a directory, or a function.
///
/// The image locks `file`, and sets O_DIRECT on it where the cache mode asks for that: both are
/// shared with duplicates of it.
///
/// # Errors
/// As [`open`].
pub fn open_file(file: File, options: &OpenOptions) -> Result<Image> {
    open_chain(file, None, options).and_then(image_alone)
}

fn image_alone(disk: Disk) -> Result<Image> {
    if disk.is_observed() {
        return Err(Error::invalid("an observer watches a disk, and an image alone is none"));
    }
    let format = disk.format();
    disk.into_image().ok_or_else(|| {
        let text = format!("format={format} makes no QED image; a disk of any format would do it");
        Error::invalid(text)
    })
}

pub(super) fn open_chain(file: File, path: Option<&Path>, options: &OpenOptions) -> Result<Disk> {
    if options.max_depth > MAX_DEPTH {
        let text = format!("max_depth is {}, and may be {MAX_DEPTH} at most", options.max_depth);
        return Err(Error::invalid(text));
    }
    let path = path.map(Path::to_path_buf);
    let recipe = Recipe::File { path, options: options.clone(), base: None };
    let disk = Disk::new(recipe.open(&Kept::File(Arc::new(file)))?);
    Ok(disk.reopened_by(recipe).observed_by(options.observer.clone()))
}

/// The disk that `top` is, over what it names as its backing file.
///
/// # Errors
/// As [`open`].
pub(super) fn open_below(top: Link, options: &OpenOptions) -> Result<Running> {
    let below = build(collect(&top, options)?, options)?;
    top.into_top_of(below, options.image.clone())
}

/// The files below `top`, from its own backing file to the base.
pub(super) fn collect(top: &Link, options: &OpenOptions) -> Result<Vec<Link>> {
    let mut resolver = Resolver::new(options);
    let mut links: Vec<Link> = Vec::new();
    while let Some(link) = next(links.last().unwrap_or(top), &links, top, &mut resolver, options)? {
        links.push(link);
    }
    resolver.finish()?;
    Ok(links)
}

/// What `above`, the last of a chain that began with `top`, names as its backing file.
fn next(
    above: &Link,
    links: &[Link],
    top: &Link,
    resolver: &mut Resolver<'_>,
    options: &OpenOptions,
) -> Result<Option<Link>> {
    let Some(backing) = &above.backing else { return Ok(None) };
    let named = |error: Error| above.whereabouts.name(error);
    let depth = u32::try_from(links.len()).unwrap_or(u32::MAX).saturating_add(1);
    if depth > options.max_depth {
        let message = format!(
            "the chain has more than {} backing files; a greater max_depth would allow it",
            options.max_depth
        );
        return Err(named(Error::new(ErrorKind::Refused, message)));
    }
    let found = resolver.open(&above.whereabouts, backing, depth).map_err(named)?;
    let id = file_id(&found.file).map_err(named)?;
    // Before it is locked: our own lock would only say that the file is in use.
    if let Some(earlier) = std::iter::once(top).chain(links).find(|earlier| earlier.id == Some(id))
    {
        return Err(named(names_itself(&found.whereabouts, &earlier.whereabouts)));
    }
    let whereabouts = found.whereabouts.clone();
    // A file without a path is told apart by who names it.
    let link = Link::below(found, id, backing, options);
    link.map(Some).map_err(|error| named(whereabouts.name(error)))
}

fn file_id(file: &File) -> Result<FileId> {
    let metadata = file.metadata();
    metadata
        .map(|metadata| FileId::of(&metadata))
        .map_err(|error| Error::io("asking about the backing file", error))
}

fn names_itself(again: &Whereabouts, earlier: &Whereabouts) -> Error {
    let show = |whereabouts: &Whereabouts| match &whereabouts.path {
        Some(path) => path.display().to_string(),
        None => "a file given by descriptor".into(),
    };
    let (again, earlier) = (show(again), show(earlier));
    let message = format!("the backing chain names itself: {again} is {earlier} again");
    Error::new(ErrorKind::Refused, message)
}

/// The layers of `links`, each over those behind it.
pub(super) fn build(links: Vec<Link>, options: &OpenOptions) -> Result<Vec<Arc<Disk>>> {
    let settings = settings_below(&options.image, links.len() as u64);
    let mut built: Vec<Arc<Disk>> = Vec::with_capacity(links.len());
    for link in links.into_iter().rev() {
        let whereabouts = link.whereabouts.clone();
        let below = built.last().map(|disk| Arc::clone(disk) as Arc<dyn Source>);
        let running = link.into_running(below, settings.clone());
        built.push(Arc::new(Disk::new(running.map_err(|error| whereabouts.name(error))?)));
    }
    built.reverse();
    Ok(built)
}

/// Backing images change nothing, and share one more cache of the image's size.
pub(super) fn settings_below(image: &ImageSettings, layers: u64) -> ImageSettings {
    let share = image.l2_cache_size / layers.max(1);
    let l2_cache_size = share.max(LEAST_CACHE.min(image.l2_cache_size));
    ImageSettings {
        read_only: true,
        background: false,
        copy_on_read: false,
        l2_cache_size,
        ..image.clone()
    }
}

/// A cache that is worth having: 1 MiB maps 8 GiB at 64 KiB clusters.
const LEAST_CACHE: u64 = 1 << 20;
