//! Disks and queues for the tests.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use qed_core::{
    Aio, Buffers, CacheMode, Completion, CreateOptions, Disk, Flags, Format, OpenOptions, Queue,
    QueueOptions, create,
};
use tempfile::TempDir;

/// Every engine: what holds of one has to hold of all.
pub(crate) const ENGINES: [Aio; 2] = [Aio::IoUring, Aio::Threads];

pub(crate) const CLUSTER: u64 = 4096;

/// A folder with a disk in it.
pub(crate) struct Rig {
    pub(crate) folder: TempDir,
    pub(crate) path: PathBuf,
    pub(crate) disk: Arc<Disk>,
}

impl Rig {
    /// An empty QED image of `size` bytes in small clusters.
    pub(crate) fn new(size: u64, cache: CacheMode) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.qed");
        create(&path, &image_of(size)).unwrap();
        Self::open(folder, path, Format::Qed, cache)
    }

    /// A raw file of `size` bytes.
    pub(crate) fn raw(size: u64, cache: CacheMode) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.raw");
        std::fs::File::create(&path).unwrap().set_len(size).unwrap();
        Self::open(folder, path, Format::Raw, cache)
    }

    pub(crate) fn open(folder: TempDir, path: PathBuf, format: Format, cache: CacheMode) -> Self {
        let disk = Arc::new(Disk::open(&path, &options(format, cache)).unwrap());
        Self { folder, path, disk }
    }

    pub(crate) fn queue(&self, aio: Aio, depth: usize) -> Queue {
        queue(&self.disk, aio, depth)
    }

    pub(crate) fn content(&self) -> Vec<u8> {
        let mut content = vec![0xee; self.disk.size() as usize];
        self.disk.pread(&mut content, 0).unwrap();
        content
    }

    /// Closes the disk, which no queue uses any more, and gives its folder and path.
    pub(crate) fn close(self) -> (TempDir, PathBuf) {
        Arc::into_inner(self.disk).unwrap().close().unwrap();
        (self.folder, self.path)
    }
}

pub(crate) fn image_of(size: u64) -> CreateOptions {
    let mut options = CreateOptions::default();
    options.size = Some(size);
    options.cluster_size = Some(CLUSTER);
    options
}

pub(crate) fn options(format: Format, cache: CacheMode) -> OpenOptions {
    let mut options = OpenOptions::default();
    options.format = format;
    options.image.cache = cache;
    options
}

pub(crate) fn queue(disk: &Arc<Disk>, aio: Aio, depth: usize) -> Queue {
    Queue::new(Arc::clone(disk), &queue_options(depth, aio, 3)).unwrap()
}

pub(crate) fn queue_options(depth: usize, aio: Aio, workers: usize) -> QueueOptions {
    let mut options = QueueOptions::default();
    (options.depth, options.aio, options.workers) = (depth, aio, workers);
    options
}

/// Fetches everything that is pending.
pub(crate) fn drain(queue: &mut Queue) -> Vec<Completion> {
    let mut completions = Vec::new();
    let pending = queue.pending();
    let count = queue.do_io(&mut completions, pending, pending, Some(LONG)).unwrap();
    assert_eq!((count, queue.pending()), (pending, 0), "something hangs");
    completions
}

/// Fetches everything, all of which has to have succeeded.
pub(crate) fn finish(queue: &mut Queue) -> Vec<Completion> {
    let completions = drain(queue);
    for done in &completions {
        assert!(done.result.is_ok(), "{}: {:?}", done.user_data, done.result);
    }
    completions
}

/// Writes and waits for it.
pub(crate) fn write(queue: &mut Queue, offset: u64, length: usize, byte: u8) {
    queue.writev(vec![byte; length], offset, 0, Flags::NONE).unwrap();
    finish(queue);
}

/// Reads and waits for it.
pub(crate) fn read(queue: &mut Queue, offset: u64, length: usize) -> Vec<u8> {
    queue.readv(vec![0xee; length], offset, 0, Flags::NONE).unwrap();
    finish(queue).remove(0).buffers.into_bytes()
}

pub(crate) fn several(parts: &[&[u8]]) -> Buffers {
    parts.iter().map(|part| part.to_vec()).collect()
}

/// Far longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(100);

/// The number in an environment variable, or `default`.
pub(crate) fn number<T: std::str::FromStr>(name: &str, default: T) -> T
where
    T::Err: std::fmt::Debug,
{
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}
