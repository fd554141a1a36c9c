//! Streaming and reads that copy, through chains of files.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests
#![allow(clippy::field_reassign_with_default)]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use qed_core::{
    BackingPolicy, BackingSource, CreateOptions, Disk, ErrorKind, Flags, Format, OpenOptions,
    StreamOptions, add_overlay, create, stream,
};
use tempfile::TempDir;

const C: u64 = 65536;
const SIZE: u64 = 40 * C;

/// base.raw (shorter), middle.qed (shorter still), top.qed: data of its own in each, zeroes over
/// data, and what only the base has.
struct Chain {
    directory: TempDir,
    content: Vec<u8>,
}

impl Chain {
    fn new(base_clusters: u64, middle_clusters: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let base: Vec<u8> = (0..base_clusters * C)
            .map(|byte| if byte / C % 5 == 3 { 0 } else { u8::try_from(byte / C).unwrap() + 1 })
            .collect();
        std::fs::write(at("base.raw"), &base).unwrap();
        overlay(&at("middle.qed"), "base.raw", Format::Raw, middle_clusters * C);
        let middle = open(&at("middle.qed"));
        middle.pwrite(&[0xaa; 3000], 2 * C + 100, Flags::NONE).unwrap();
        middle.write_zeroes(5 * C, 2 * C, Flags::MAY_UNMAP).unwrap();
        middle.close().unwrap();
        overlay(&at("top.qed"), "middle.qed", Format::Qed, SIZE);
        let top = open(&at("top.qed"));
        top.pwrite(&[0xbb; 5000], 9 * C, Flags::NONE).unwrap();
        let mut content = vec![0; usize::try_from(SIZE).unwrap()];
        top.pread(&mut content, 0).unwrap();
        top.close().unwrap();
        Self { directory, content }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn top(&self) -> Disk {
        open(&self.path("top.qed"))
    }

    /// The disk reads as before, by whatever lies below it now.
    fn assert_same(&self, disk: &Disk) {
        let mut found = vec![0xee; self.content.len()];
        disk.pread(&mut found, 0).unwrap();
        let differs = found.iter().zip(&self.content).position(|(a, b)| a != b);
        assert_eq!(differs, None, "the first byte that differs");
    }
}

fn overlay(path: &Path, backing: &str, format: Format, size: u64) {
    let mut options = CreateOptions::default();
    options.size = Some(size);
    options.backing = Some(backing.into());
    options.backing_format = Some(format);
    create(path, &options).unwrap();
}

fn open(path: &Path) -> Disk {
    Disk::open(path, &OpenOptions::default()).unwrap()
}

fn streamed(disk: &Disk, base: Option<PathBuf>) -> qed_core::Result<()> {
    let mut options = StreamOptions::default();
    options.base = base;
    stream(disk, &options, &mut |_, _| ControlFlow::Continue(()))
}

#[test]
fn a_streamed_overlay_needs_no_other_file() {
    for (base, middle) in [(30, 20), (12, 35), (40, 40)] {
        let chain = Chain::new(base, middle);
        let disk = chain.top();
        streamed(&disk, None).unwrap();
        assert_eq!(disk.info().unwrap().backing, None);
        chain.assert_same(&disk);
        // Discards and new writes belong to a disk that has nothing below.
        disk.discard(20 * C, C).unwrap();
        disk.flush().unwrap();
        disk.close().unwrap();
        std::fs::remove_file(chain.path("base.raw")).unwrap();
        std::fs::remove_file(chain.path("middle.qed")).unwrap();
        let disk = chain.top();
        let mut found = vec![0xee; usize::try_from(20 * C).unwrap()];
        disk.pread(&mut found, 0).unwrap();
        assert!(found == chain.content[..found.len()]);
        disk.close().unwrap();
        let report = qed_core::check(chain.path("top.qed"), &OpenOptions::default()).unwrap();
        assert!(report.is_clean() && report.leaks <= 1, "{report:?}");
    }
}

#[test]
fn a_stream_down_to_a_base_leaves_what_only_the_base_has() {
    // Goal: the base's own data is not copied, zeroes above it go on hiding it, also behind the end
    // of a shorter layer in between.
    for (base, middle) in [(30, 20), (12, 35), (40, 40)] {
        let chain = Chain::new(base, middle);
        let disk = chain.top();
        streamed(&disk, Some(chain.path("base.raw"))).unwrap();
        let backing = disk.info().unwrap().backing.unwrap();
        assert_eq!((&backing.name[..], backing.format), (&b"base.raw"[..], Some(Format::Raw)));
        disk.discard(25 * C, C).unwrap();
        disk.close().unwrap();
        std::fs::remove_file(chain.path("middle.qed")).unwrap();
        let disk = chain.top();
        assert_eq!(disk.layers().len(), 2);
        let mut expected = chain.content.clone();
        let freed = usize::try_from(25 * C).unwrap()..usize::try_from(26 * C).unwrap();
        expected[freed].fill(0);
        let mut found = vec![0xee; expected.len()];
        disk.pread(&mut found, 0).unwrap();
        assert!(found == expected, "base {base}, middle {middle}");
        let of_base = disk.map(7 * C, C).unwrap().next().unwrap().unwrap();
        assert_eq!(of_base.depth, 1, "nothing above the base had this");
    }
}

#[test]
fn what_cannot_be_streamed_is_refused_before_anything_happens() {
    let chain = Chain::new(30, 20);
    let before = std::fs::read(chain.path("top.qed")).unwrap();
    let disk = chain.top();
    let stranger = streamed(&disk, Some(chain.path("other.raw"))).unwrap_err();
    assert_eq!(stranger.kind(), ErrorKind::InvalidArgument);
    streamed(&disk, Some(chain.path("middle.qed"))).unwrap();
    disk.close().unwrap();
    assert!(before == std::fs::read(chain.path("top.qed")).unwrap());
    let mut options = OpenOptions::default();
    options.image.read_only = true;
    let disk = Disk::open(chain.path("top.qed"), &options).unwrap();
    assert_eq!(streamed(&disk, None).unwrap_err().kind(), ErrorKind::ReadOnly);
    options.image.copy_on_read = true;
    let refused = Disk::open(chain.path("top.qed"), &options).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
    drop(disk);
    let mut raw = OpenOptions::default();
    raw.format = Format::Raw;
    let disk = Disk::open(chain.path("base.raw"), &raw).unwrap();
    assert_eq!(streamed(&disk, None).unwrap_err().kind(), ErrorKind::Unsupported);
    drop(disk);
    raw.image.copy_on_read = true;
    let refused = Disk::open(chain.path("base.raw"), &raw).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}

#[test]
fn a_cancelled_stream_leaves_a_sound_overlay() {
    let chain = Chain::new(30, 20);
    let disk = chain.top();
    let mut options = StreamOptions::default();
    // So slow that it cannot be through before anybody asks.
    options.rate = Some(1);
    let cancelled = stream(&disk, &options, &mut |_, _| ControlFlow::Break(()));
    assert_eq!(cancelled.unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(disk.info().unwrap().backing.is_some());
    chain.assert_same(&disk);
    disk.close().unwrap();
    chain.assert_same(&chain.top());
    let report = qed_core::check(chain.path("top.qed"), &OpenOptions::default()).unwrap();
    assert!(report.is_clean(), "{report:?}");
}

#[test]
fn guest_writes_win_over_the_stream() {
    // Goal: what the guest writes while a stream runs is what is read afterwards. Method: a thread
    // writes parts of clusters all over the disk meanwhile.
    let chain = Chain::new(40, 40);
    let disk = chain.top();
    std::thread::scope(|scope| {
        let guest = scope.spawn(|| {
            for cluster in (0..40).rev() {
                disk.pwrite(&[0x77; 512], cluster * C + 1024, Flags::NONE).unwrap();
            }
        });
        streamed(&disk, None).unwrap();
        guest.join().unwrap();
    });
    let mut expected = chain.content.clone();
    for cluster in 0..40 {
        let at = usize::try_from(cluster * C + 1024).unwrap();
        expected[at..at + 512].fill(0x77);
    }
    let mut found = vec![0; expected.len()];
    disk.pread(&mut found, 0).unwrap();
    assert!(found == expected);
    disk.close().unwrap();
    let mut alone = OpenOptions::default();
    alone.backing = BackingPolicy::Deny;
    let disk = Disk::open(chain.path("top.qed"), &alone).unwrap();
    disk.pread(&mut found, 0).unwrap();
    assert!(found == expected);
}

#[test]
fn reads_copy_what_they_read_where_that_is_asked_for() {
    let chain = Chain::new(40, 20);
    let mut options = OpenOptions::default();
    options.image.copy_on_read = true;
    let disk = Disk::open(chain.path("top.qed"), &options).unwrap();
    let depth = |at| disk.map(at, C).unwrap().next().unwrap().unwrap().depth;
    assert_eq!((depth(0), depth(2 * C), depth(15 * C)), (2, 1, 2));
    let mut buffer = vec![0; 600];
    disk.pread(&mut buffer, 100).unwrap();
    disk.pread(&mut buffer, 2 * C + 60_000).unwrap();
    // The whole clusters, and no others.
    assert_eq!((depth(0), depth(2 * C), depth(15 * C)), (0, 0, 2));
    chain.assert_same(&disk);
    disk.close().unwrap();
    chain.assert_same(&chain.top());
}

/// The top of the chain over files that are given, the middle one by descriptor.
fn over_given_files(chain: &Chain) -> Disk {
    let middle = std::fs::File::open(chain.path("middle.qed")).unwrap();
    let mut options = OpenOptions::default();
    options.backing = BackingPolicy::Chain(vec![
        BackingSource::file(middle),
        BackingSource::path(chain.path("base.raw")).with_format(Format::Raw),
    ]);
    Disk::open(chain.path("top.qed"), &options).unwrap()
}

/// Brings the disk to rest and back; then frees what only the base has, which must stay zeroes.
fn assert_goes_on(chain: &Chain, disk: &Disk) {
    disk.quiesce().unwrap();
    disk.resume().unwrap();
    chain.assert_same(disk);
    disk.discard(15 * C, C).unwrap();
    disk.quiesce().unwrap();
    disk.resume().unwrap();
    let mut found = [0xee; 512];
    disk.pread(&mut found, 15 * C).unwrap();
    assert_eq!(found, [0; 512]);
}

#[test]
fn a_chain_that_was_given_goes_on_shorter_after_a_stream() {
    // Goal: a disk over given files comes to rest and back as what the stream has left. Method: the
    // same chain streamed to nothing, and to its base, and to its base and then to nothing.
    for bases in [vec![None], vec![Some("base.raw")], vec![Some("base.raw"), None]] {
        let chain = Chain::new(30, 20);
        let disk = over_given_files(&chain);
        assert_eq!(disk.layers().len(), 3);
        for base in &bases {
            streamed(&disk, base.map(|name| chain.path(name))).unwrap();
        }
        let left = if bases.ends_with(&[None]) { 1 } else { 2 };
        assert_eq!(disk.layers().len(), left, "{bases:?}");
        let depths = disk.map(0, SIZE).unwrap().map(|extent| extent.unwrap().depth as usize);
        assert_eq!(depths.max(), Some(left - 1), "{bases:?}");
        assert_goes_on(&chain, &disk);
        assert_eq!(disk.layers().len(), left, "{bases:?}: at rest and back");
        disk.close().unwrap();
    }
}

#[test]
fn a_layer_given_by_descriptor_can_be_the_base_of_a_stream() {
    let chain = Chain::new(30, 20);
    let disk = over_given_files(&chain);
    // It is the backing file already, whatever it is called.
    streamed(&disk, Some(chain.path("./middle.qed"))).unwrap();
    assert_eq!(disk.layers().len(), 3);
    add_overlay(&disk, chain.path("over.qed"), &CreateOptions::default()).unwrap();
    streamed(&disk, Some(chain.path("middle.qed"))).unwrap();
    assert_eq!(disk.info().unwrap().backing.unwrap().name, b"middle.qed");
    assert_eq!(disk.layers().len(), 3);
    chain.assert_same(&disk);
    assert_goes_on(&chain, &disk);
    disk.close().unwrap();
    // By the names in the headers as well.
    let disk = open(&chain.path("over.qed"));
    assert_eq!(disk.layers().len(), 3);
}

#[test]
fn an_overlay_of_a_running_disk_goes_on_alone_after_a_stream() {
    // Goal: what lay below an overlay taken at run time is forgotten with the stream. Method: every
    // way of opening the disk below; the base's data must not come back where it was freed.
    for given in [false, true] {
        let chain = Chain::new(30, 20);
        let disk = if given { over_given_files(&chain) } else { chain.top() };
        add_overlay(&disk, chain.path("over.qed"), &CreateOptions::default()).unwrap();
        streamed(&disk, None).unwrap();
        assert_eq!(disk.layers().len(), 1);
        assert_goes_on(&chain, &disk);
        // And may be put under an overlay again.
        add_overlay(&disk, chain.path("last.qed"), &CreateOptions::default()).unwrap();
        assert_eq!(disk.layers().len(), 2);
        disk.close().unwrap();
    }
}

#[test]
fn a_disk_that_copies_what_it_reads_takes_an_overlay() {
    let chain = Chain::new(40, 20);
    let mut options = OpenOptions::default();
    options.image.copy_on_read = true;
    let disk = Disk::open(chain.path("top.qed"), &options).unwrap();
    add_overlay(&disk, chain.path("over.qed"), &CreateOptions::default()).unwrap();
    let top = std::fs::read(chain.path("top.qed")).unwrap();
    chain.assert_same(&disk);
    let depth = disk.map(0, C).unwrap().next().unwrap().unwrap().depth;
    assert_eq!(depth, 0, "read, and copied into the overlay");
    disk.close().unwrap();
    assert!(std::fs::read(chain.path("top.qed")).unwrap() == top, "what lies below is only read");
}

#[test]
fn there_is_one_stream_at_a_time_and_a_slow_one_keeps_nobody_waiting() {
    // Goal: a second stream is refused; a disk comes to rest beside a stream whose rate makes it
    // wait for hours. Method: both from the progress function of the first, which then breaks off.
    let chain = Chain::new(30, 20);
    let disk = chain.top();
    let mut options = StreamOptions::default();
    options.rate = Some(1);
    let mut second = None;
    let first = stream(&disk, &options, &mut |_, _| {
        second = Some(streamed(&disk, None).unwrap_err().kind());
        for _ in 0..3 {
            disk.quiesce().unwrap();
            disk.resume().unwrap();
        }
        ControlFlow::Break(())
    });
    assert_eq!(first.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(second, Some(ErrorKind::Busy));
    streamed(&disk, None).unwrap();
    chain.assert_same(&disk);
}
