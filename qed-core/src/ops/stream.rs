//! Streaming: what an overlay has from below is brought into its own file, while it runs, and then
//! the backing file's name is dropped, or a lower one's is put in its place.
//!
//! A cluster that the guest has written is left alone: both claim it, and who comes second finds it
//! allocated (`qed-core/src/meta/plan/fill.rs`). The name changes when everything is stable (C18),
//! so a crash or a stop on the way leaves an overlay over the file it had.

use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::rate::Rate;
use super::stint::{Stint, in_stints};
use super::work::{Job, Progress};
use crate::addr::GuestCluster;
use crate::chain::{Disk, directory_of};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{BackingInfo, Image};
use crate::meta::backing::ToCome;
use crate::meta::plan::fill::Wanted;
use crate::source::{Format, Source};

/// How an overlay is streamed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamOptions {
    /// The file of the chain that is to stay below, by any path to it; nothing stays where it is
    /// not given.
    pub base: Option<PathBuf>,
    /// Bytes a second at most; as fast as it goes where it is not given.
    pub rate: Option<u64>,
}

/// What is to stay below the overlay.
#[derive(Clone, Debug)]
pub(crate) struct StreamBase {
    /// How many layers below the overlay's own backing file it is.
    pub(crate) depth: u32,
    /// Its bytes as a disk.
    pub(crate) size: u64,
    /// What the overlay calls it.
    pub(crate) info: BackingInfo,
    /// The layer, where it is at hand: the disk lies over it at once.
    pub(crate) source: Option<Arc<dyn Source>>,
}

/// Brings what `disk`, a QED image that is open for writing, has from below into its own file, down
/// to [`StreamOptions::base`], which is its backing file from then on. Guest I/O may go on beside
/// it.
///
/// `progress` is called as [`convert`](crate::convert()) calls it, with bytes of the disk; where it
/// breaks off, the overlay keeps its backing file, and what was brought in.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a disk of another format, [`ErrorKind::InvalidArgument`] where
/// the base is not in the chain or its name has no room in the header's sector, [`ErrorKind::Busy`]
/// where the disk is being streamed already (nothing has happened then), [`ErrorKind::ReadOnly`],
/// [`ErrorKind::NoSpace`], [`ErrorKind::Cancelled`]; what reading and writing report.
pub fn stream(disk: &Disk, options: &StreamOptions, progress: &mut Progress<'_>) -> Result<()> {
    let _only = disk.begin_streaming()?;
    let rate = Rate::new(options.rate);
    let stream = |ends: End, progress: &mut Progress<'_>| {
        let job = Job::new(disk.size());
        job.run(1, progress, &|| {
            in_stints(disk, &job, "streamed", |image, stint| {
                let done = stream_once(disk, image, options, stint, &rate, ends);
                done.map_err(|error| image.named_error(error))
            })
        })
    };
    stream(End::Open, progress)?;
    // Nobody can break off any more: the backing file goes, or the call fails.
    stream(End::Renamed, &mut |_, _| ControlFlow::Continue(()))
}

/// How one run over the disk ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Everything is in, and the backing file is still named.
    Open,
    /// It is named no more.
    Renamed,
}

/// What one stint of a stream does. The base is looked for each time: at rest, the chain may have
/// been opened anew.
fn stream_once(
    disk: &Disk,
    image: &Image,
    options: &StreamOptions,
    stint: &Stint<'_>,
    rate: &Rate,
    ends: End,
) -> Result<()> {
    let base = match &options.base {
        Some(path) => Some(StreamBase::find(disk, path)?),
        None => None,
    };
    let above = base.as_ref().map(|base| base.depth);
    if above == Some(0) {
        // It is the backing file already.
        return Ok(());
    }
    bring_in(image, base.as_ref(), stint, rate, ends)?;
    if ends == End::Renamed {
        disk.forget_layers(above);
    }
    Ok(())
}

/// As [`stream`], for an image by itself, until nothing is left below it.
///
/// # Errors
/// As there.
pub fn stream_image(image: &Image, progress: &mut Progress<'_>) -> Result<()> {
    stream_by_itself(image, None, progress)
}

/// As [`stream`], for an image by itself, down to a layer of its chain.
///
/// # Errors
/// As there.
#[cfg(feature = "crash")]
pub(crate) fn stream_image_to(
    image: &Image,
    base: &StreamBase,
    progress: &mut Progress<'_>,
) -> Result<()> {
    stream_by_itself(image, Some(base), progress)
}

fn stream_by_itself(
    image: &Image,
    base: Option<&StreamBase>,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let job = Job::new(image.size());
    let (alone, rate) = (Stint::alone(&job), Rate::new(None));
    job.run(1, progress, &|| {
        let done = bring_in(image, base, &alone, &rate, End::Renamed);
        done.map_err(|error| image.named_error(error))
    })
}

fn bring_in(
    image: &Image,
    base: Option<&StreamBase>,
    stint: &Stint<'_>,
    rate: &Rate,
    ends: End,
) -> Result<()> {
    if image.is_read_only() {
        return Err(Error::new(ErrorKind::ReadOnly, "the image was opened read-only"));
    }
    let Some(base) = base else {
        if let Some(below) = image.below() {
            walk(image, &*below, None, stint, rate)?;
            if ends == End::Renamed {
                image.rename_backing_to(None, None)?;
            }
        }
        return Ok(());
    };
    let room = image.room_for_backing();
    if base.info.name.len() as u64 > room {
        let text = format!(
            "the base's name of {} bytes is too long for the header: {room} have room",
            base.info.name.len()
        );
        return Err(Error::invalid(text));
    }
    image.expect_backing(ToCome { depth: base.depth, size: base.size });
    if let Some(below) = image.below() {
        walk(image, &*below, Some(base), stint, rate)?;
    }
    match ends {
        End::Open => Ok(()),
        End::Renamed => image.rename_backing_to(Some(base.info.clone()), base.source.clone()),
    }
}

/// Brings in every cluster that the chain has above `base`.
fn walk(
    image: &Image,
    below: &dyn Source,
    base: Option<&StreamBase>,
    stint: &Stint<'_>,
    rate: &Rate,
) -> Result<()> {
    let size = image.cluster_size();
    let mut wanted = |start, end| wanted(below, base, start, end);
    let mut at = 0;
    // What an earlier stint has not waited for.
    rate.take_while(0, &|| stint.check_idle())?;
    // The disk may become longer meanwhile: what is new of it hides what lies below.
    while at < image.size().div_ceil(size) {
        stint.check()?;
        let left = image.size().div_ceil(size) - at;
        let filled = image.fill(GuestCluster(at), left, &mut wanted)?;
        at += filled.clusters;
        stint.advance(filled.clusters * size);
        if filled.bytes > 0 {
            stint.note_moved();
        }
        rate.take_while(filled.bytes, &|| stint.check_idle())?;
    }
    Ok(())
}

/// What is to become of an unallocated cluster, the guest bytes `start..end`.
fn wanted(below: &dyn Source, base: Option<&StreamBase>, start: u64, end: u64) -> Result<Wanted> {
    let base_size = base.map_or(0, |base| base.size);
    let (mut at, end) = (start, end.min(below.size()));
    // Zeroes above the base that would no longer hide it, and what of it there is to hide or see.
    let (mut hides, mut sees) = (false, false);
    while at < end {
        let extent = below.extent(at, end - at)?;
        let of_base = base.is_some_and(|base| extent.depth >= base.depth);
        match (of_base, extent.reads_zero()) {
            (false, false) => return Ok(Wanted::Copy),
            (false, true) => hides |= at < base_size,
            (true, zero) => sees |= !zero,
        }
        at += extent.length;
    }
    Ok(match (hides, sees) {
        (true, true) => Wanted::Copy,
        (true, false) => Wanted::Zero,
        (false, _) => Wanted::Leave,
    })
}

impl StreamBase {
    /// The layer of the chain that is the file at `path`.
    fn find(disk: &Disk, path: &Path) -> Result<Self> {
        let layers = disk.layers();
        let found = disk
            .place_of(path)
            .and_then(|place| Some((place, layers.get(place)?, disk.source_below(place)?)));
        let Some((place, layer, source)) = found else {
            let text = format!("{} is no backing file of this chain", path.display());
            return Err(Error::invalid(text));
        };
        // What it was called when it was opened, where it still is called so.
        let known = layer.path.as_deref().filter(|known| disk.place_of(known) == Some(place));
        let name = name_from(disk.path().as_deref(), known.unwrap_or(path))?;
        let format = (layer.format == Format::Raw).then_some(Format::Raw);
        let info = BackingInfo { name: name.as_os_str().as_bytes().to_vec(), format };
        let depth = u32::try_from(place - 1).unwrap_or(u32::MAX);
        Ok(Self { depth, size: source.size(), info, source: Some(source) })
    }
}

/// What an image at `overlay` calls the file at `path`: a name relative to its directory where the
/// file lies below that, else an absolute one.
fn name_from(overlay: Option<&Path>, path: &Path) -> Result<PathBuf> {
    let absolute = |path: &Path| {
        let found = std::path::absolute(path);
        found.map_err(|error| Error::io("finding the base's path", error).in_file(path))
    };
    let path = absolute(path)?;
    let Some(overlay) = overlay else { return Ok(path) };
    let directory = absolute(directory_of(overlay))?;
    let directory = directory.components().collect::<PathBuf>();
    Ok(path.strip_prefix(directory).map(Path::to_path_buf).unwrap_or(path))
}
