//! A session of libqed's on the shared image.

use std::ops::Range;

use qed_core::{
    CacheMode, DetectZeroes, DiscardMode, ErrorKind, ExtentKind, Flags, Image, OpenOptions, Trust,
    open,
};

use crate::case::Case;
use crate::dice::Dice;
use crate::operation::Operation;
use crate::shadow::{assert_same, pieces};

/// Bytes that are read back at most after a request.
const LOOK: u64 = 1 << 20;

/// Carries out `operations`, each of them checked at once, and closes the image.
pub(crate) fn session(case: &mut Case, dice: &mut Dice, operations: &[Operation]) {
    let options = options(dice);
    let discards = options.image.discard == DiscardMode::Unmap;
    case.say(format!("libqed: {:?}", options.image));
    let (mut image, options) = open_for_writing(case, options);
    for operation in operations {
        case.say(format!("libqed: {operation:?}"));
        if let Operation::Reopen = operation {
            image.close().unwrap();
            case.assert_not_dirty();
            image = open(&case.image, &options).unwrap();
        } else {
            perform(&image, operation);
            case.shadow.apply(operation, &case.layout, discards);
        }
        case.assert_not_dirty();
        if let Some(range) = operation.range() {
            look_at(&image, case, range);
        }
    }
    image.close().unwrap();
    case.requests += operations.len();
}

fn options(dice: &mut Dice) -> OpenOptions {
    let mut options = OpenOptions::default();
    let image = &mut options.image;
    let modes = [CacheMode::Writeback, CacheMode::Writeback, CacheMode::Unsafe, CacheMode::Unsafe];
    let rare = [CacheMode::None, CacheMode::Writethrough, CacheMode::Directsync];
    image.cache = if dice.one_in(6) { dice.pick(&rare) } else { dice.pick(&modes) };
    image.detect_zeroes =
        dice.pick(&[DetectZeroes::Off, DetectZeroes::Off, DetectZeroes::On, DetectZeroes::Unmap]);
    image.discard = dice.pick(&[
        DiscardMode::Unmap,
        DiscardMode::Unmap,
        DiscardMode::Unmap,
        DiscardMode::Ignore,
    ]);
    image.trust = dice.pick(&[Trust::Normal, Trust::Normal, Trust::Untrusted]);
    image.background = dice.one_in(2);
    if dice.one_in(2) {
        // As an image of many tables: it is scanned beside the requests.
        image.scan_limit = 0;
    }
    if dice.one_in(3) {
        image.l2_cache_size = 1;
    }
    options
}

/// Where the file system has no O_DIRECT, the page cache serves.
fn open_for_writing(case: &Case, mut options: OpenOptions) -> (Image, OpenOptions) {
    let image = match open(&case.image, &options) {
        Err(error) if options.image.cache.is_direct() && error.kind() == ErrorKind::Unsupported => {
            options.image.cache = CacheMode::Writeback;
            open(&case.image, &options).unwrap()
        }
        opened => opened.unwrap(),
    };
    (image, options)
}

fn perform(image: &Image, operation: &Operation) {
    let flag = |set: bool, flag: Flags| if set { flag } else { Flags::NONE };
    match operation {
        Operation::Write { range, content, forced } => {
            let bytes = content.bytes(range.end - range.start);
            image.pwrite(&bytes, range.start, flag(*forced, Flags::FUA)).unwrap();
        }
        Operation::Zeroes { range, unmap, forced } => {
            let flags = flag(*unmap, Flags::MAY_UNMAP) | flag(*forced, Flags::FUA);
            image.write_zeroes(range.start, range.end - range.start, flags).unwrap();
        }
        Operation::Discard { range } => {
            image.discard(range.start, range.end - range.start).unwrap();
        }
        Operation::Flush => image.flush().unwrap(),
        Operation::Read { .. } | Operation::Reopen => {}
    }
}

/// A request's range reads right, and so do the clusters around it.
fn look_at(image: &Image, case: &Case, range: &Range<u64>) {
    let around = case.layout.clusters(range);
    let start = (around.start * case.layout.cluster).max(range.start.saturating_sub(LOOK / 2));
    let end = (around.end * case.layout.cluster).min(case.layout.size);
    assert_reads(image, case, &(start..end.min(start + LOOK)));
    if end - start > LOOK {
        assert_reads(image, case, &(end - LOOK..end));
    }
}

/// libqed reads the whole disk right: everything that was touched, and nothing elsewhere.
pub(crate) fn assert_content(case: &Case) {
    let mut options = OpenOptions::default();
    options.image.read_only = true;
    let image = open(&case.image, &options).unwrap();
    assert_eq!(image.size(), case.layout.size);
    let touched = case.shadow.neighbourhood(case.layout.cluster, case.layout.size);
    for range in &touched {
        pieces(range).for_each(|piece| assert_reads(&image, case, &piece));
    }
    let extents = image.extents(0, case.layout.size).unwrap();
    for extent in extents.map(Result::unwrap) {
        let lies_in = |range: &Range<u64>| {
            range.start <= extent.offset && extent.offset + extent.length <= range.end
        };
        let known = extent.kind == ExtentKind::Unallocated || touched.iter().any(lies_in);
        assert!(known, "allocated where nothing was written: {extent:?}");
    }
}

fn assert_reads(image: &Image, case: &Case, range: &Range<u64>) {
    let mut found = vec![0xee; usize::try_from(range.end - range.start).unwrap()];
    image.pread(&mut found, range.start).unwrap();
    assert_same(&found, &case.shadow.read(range), range.start, "libqed");
}
