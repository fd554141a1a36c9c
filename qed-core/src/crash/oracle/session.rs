//! A state opened by the engine: what every oracle that does so has in common.

use super::subject::Subject;
use crate::crash::medium::{Medium, SECTOR};
use crate::crash::medium_storage::MediumStorage;
use crate::crash::random::to_usize;
use crate::crash::recording::GuestDisk;
use crate::image::{Flags, Image, ImageSettings};
use crate::storage::Storage;
use std::collections::BTreeSet;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// An image that is not closed by its drop after it panicked: that could panic again.
pub(super) struct Session(Option<Image>);

impl Session {
    /// Opens the image in `storage` as the recording's was.
    pub(super) fn open(
        subject: &Subject,
        storage: Arc<dyn Storage>,
        read_only: bool,
    ) -> Result<Self, String> {
        let known = &subject.recording.settings;
        let copy_on_read = known.copy_on_read && !read_only;
        let settings = ImageSettings { read_only, copy_on_read, ..known.clone() };
        let backing = subject.recording.below(&*storage);
        let image = Image::from_storage(storage, backing, settings);
        image.map(|image| Self(Some(image))).map_err(told("opening"))
    }

    pub(super) fn close(mut self) -> Result<(), String> {
        self.0.take().map_or(Ok(()), Image::close).map_err(told("closing"))
    }
}

impl Deref for Session {
    type Target = Image;
    fn deref(&self) -> &Image {
        // It is there until it is closed, and closing takes the session.
        match &self.0 {
            Some(image) => image,
            None => unreachable!("a session without an image"),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::mem::forget(self.0.take());
        }
    }
}

/// `medium` as the disk that the recording ran on.
pub(super) fn storage(subject: &Subject, medium: &Medium) -> Arc<MediumStorage> {
    Arc::new(MediumStorage::new(medium.clone(), subject.recording.log.limits))
}

/// Runs what calls the engine; a panic is a finding.
pub(super) fn guarded(run: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("the engine panicked: {}", text.unwrap_or("no text")))
        }
    }
}

/// Clusters that the engine is asked for: all that were touched, and at most so many others.
const OTHERS: usize = 64;

/// The guest clusters that tell most of a state.
pub(super) fn clusters(subject: &Subject, disk: &GuestDisk) -> BTreeSet<u64> {
    let mut clusters: BTreeSet<u64> = subject.touched_clusters().into_iter().collect();
    let mapped = disk.tables.iter().flat_map(|tables| &tables.entries).map(|(cluster, _)| *cluster);
    clusters.extend(
        mapped.filter(|cluster| !clusters.contains(cluster)).take(OTHERS).collect::<Vec<_>>(),
    );
    clusters
}

/// What `image` reads in these clusters is what `disk` holds.
pub(super) fn compare(
    image: &Image,
    disk: &GuestDisk,
    clusters: &BTreeSet<u64>,
    size: u64,
) -> Result<(), String> {
    let (mut found, mut expected) = (vec![0; to_usize(size)], vec![0; to_usize(size)]);
    for cluster in clusters {
        let offset = cluster * size;
        let length = to_usize(size.min(image.size().saturating_sub(offset)));
        if length == 0 {
            continue;
        }
        image.pread(&mut found[..length], offset).map_err(told("reading"))?;
        disk.read_cluster(*cluster, &mut expected[..length]);
        if found[..length] != expected[..length] {
            let same = |(one, two): (&u8, &u8)| one == two;
            let byte = found.iter().zip(&expected).take_while(|pair| same(*pair)).count() as u64;
            let sector = to_usize(byte / SECTOR * SECTOR);
            let end = (sector + to_usize(SECTOR)).min(length);
            let named = |bytes: &[u8]| crate::crash::guest::identify(&bytes[sector..end]);
            let (found, expected) = (named(&found), named(&expected));
            return Err(format!("guest byte {}: {found} instead of {expected}", offset + byte));
        }
    }
    Ok(())
}

/// Writes what the guest writes after a crash.
pub(super) fn write_spare(subject: &Subject, image: &Image) -> Result<(), String> {
    for (offset, bytes) in &subject.spare {
        image.pwrite(bytes, *offset, Flags::NONE).map_err(told("writing afterwards"))?;
    }
    Ok(())
}

/// The same fact about an error of the engine's, with what was being done.
pub(super) fn told(doing: &str) -> impl Fn(crate::error::Error) -> String {
    move |error| format!("{doing}: {error}")
}
