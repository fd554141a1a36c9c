//! One image, and what libqed and QEMU do to it in turn.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use qed_core::{CheckReport, CreateOptions, Format, OpenOptions, check, create, open};

use crate::dice::Dice;
use crate::layout::{Layout, working_sizes};
use crate::operation::{Content, requests};
use crate::shadow::{Shadow, name};
use crate::{ours, qemu, theirs};

/// Requests of one session.
const REQUESTS: usize = 14;
/// The header's fields that the test reads, by their offsets.
const FEATURES: u64 = 16;
const COMPAT: u64 = 24;
const AUTOCLEAR: u64 = 32;
const NEED_CHECK: u64 = 2;
/// The autoclear bits that libqed sets.
const OUR_AUTOCLEAR: u64 = 3 << 32;

pub(crate) struct Case {
    pub(crate) layout: Layout,
    pub(crate) image: PathBuf,
    pub(crate) shadow: Shadow,
    pub(crate) base: Option<Base>,
    /// Requests carried out so far.
    pub(crate) requests: usize,
    features: u64,
    history: Vec<String>,
    _directory: tempfile::TempDir,
}

/// The backing file, and what it reads as.
pub(crate) struct Base {
    content: Shadow,
    format: Format,
    path: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Libqed,
    Qemu,
}

/// Plays case `number`: its sizes, its backing file, who does what, all follow from the number.
/// Gives the count of requests.
pub(crate) fn play(number: u64) -> usize {
    let sizes = working_sizes();
    let mut dice = Dice::new(number);
    let turn = number / sizes.len() as u64;
    let (cluster, table) = sizes[usize::try_from(number % sizes.len() as u64).unwrap()];
    let mut case = Case::new(Layout::new(cluster, table, &mut dice), turn % 2 == 1, &mut dice);
    let sessions = dice.pick(&[
        [Who::Libqed, Who::Qemu, Who::Libqed, Who::Qemu],
        [Who::Qemu, Who::Libqed, Who::Qemu, Who::Libqed],
        [Who::Qemu, Who::Libqed, Who::Libqed, Who::Qemu],
        [Who::Libqed, Who::Qemu, Who::Qemu, Who::Libqed],
        [Who::Libqed; 4],
        [Who::Qemu; 4],
    ]);
    let large = dice.below(2 * sessions.len() as u64);
    for (session, who) in (0..).zip(sessions) {
        let dies = session + 1 < sessions.len() && dice.one_in(6);
        let grain = if who == Who::Libqed { 1 } else { 512 };
        let list = requests(&case.layout, &mut dice, grain, REQUESTS, session as u64 == large);
        match who {
            Who::Libqed => ours::session(&mut case, &mut dice, &list),
            Who::Qemu => theirs::session(&mut case, &mut dice, &list, dies),
        }
        case.judge(who, who == Who::Qemu && dies);
    }
    if sessions == [Who::Qemu; 4] {
        assert_eq!(case.check().leaks, 0, "QEMU gives nothing back");
    }
    case.requests
}

impl Case {
    fn new(mut layout: Layout, over_base: bool, dice: &mut Dice) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("image.qed");
        let mut shadow = Shadow::new(directory.path().join("shadow"), layout.size);
        let base = over_base.then(|| Base::new(directory.path().join("base"), &mut layout, dice));
        if let Some(base) = &base {
            shadow.begin_with(&base.content);
        }
        let mut history = vec![format!("{layout:x?}")];
        if dice.one_in(2) {
            history.push("created by libqed".into());
            let mut options = CreateOptions::default();
            (options.cluster_size, options.table_size) = (Some(layout.cluster), Some(layout.table));
            options.size = Some(layout.size);
            options.backing = base.as_ref().map(|base| name(&base.path).into());
            options.backing_format = base.as_ref().map(|base| base.format);
            create(&image, &options).unwrap();
        } else {
            history.push("created by QEMU".into());
            let base = base.as_ref().map(|base| (name(&base.path), base.format));
            let more = base.map_or(vec![], |(name, format)| {
                let format = if format == Format::Raw { "raw" } else { "qed" };
                vec!["-b", name, "-F", format]
            });
            let size = layout.size.to_string();
            qemu::create(&image, layout.cluster, layout.table, &size, &more);
        }
        let features = word(&image, FEATURES);
        Self { layout, image, shadow, base, requests: 0, features, history, _directory: directory }
    }

    /// Notes what is about to happen, for the report of a failure.
    pub(crate) fn say(&mut self, what: String) {
        self.history.push(what);
    }

    /// libqed never announces a check (F5).
    pub(crate) fn assert_not_dirty(&self) {
        assert_eq!(word(&self.image, FEATURES) & NEED_CHECK, 0, "NEED_CHECK is set");
    }

    /// After a session: the structure by both, the content by libqed, and by QEMU where it was not
    /// QEMU that wrote.
    fn judge(&mut self, last: Who, dirty: bool) {
        let expected = if dirty { self.features | NEED_CHECK } else { self.features };
        // Over a backing file QEMU does not set the bit.
        let features = word(&self.image, FEATURES);
        assert!(features == expected || dirty && features == self.features, "{features:#x}");
        assert_eq!(word(&self.image, COMPAT), 0);
        let autoclear = word(&self.image, AUTOCLEAR);
        match last {
            Who::Libqed => assert_eq!(autoclear & !OUR_AUTOCLEAR, 0, "{autoclear:#x}"),
            Who::Qemu => assert_eq!(autoclear, 0, "QEMU left {autoclear:#x}"),
        }
        self.assert_same_check();
        ours::assert_content(self);
        if last == Who::Libqed {
            theirs::assert_content(self);
        }
        self.say(format!("all is well: {:?}", self.check()));
    }

    fn check(&self) -> CheckReport {
        check(&self.image, &OpenOptions::default()).unwrap()
    }

    fn assert_same_check(&self) {
        let (ours, theirs) = (self.check(), qemu::check(&self.image));
        assert_eq!((theirs.corruptions, theirs.check_errors), (0, 0), "QEMU: {theirs:?}");
        assert!(ours.is_clean() && ours.corruptions == 0, "libqed: {ours:?}");
        let sums = [ours.total_clusters, ours.allocated_clusters, ours.fragmented_clusters];
        assert_eq!(sums, [theirs.total, theirs.allocated, theirs.fragmented]);
        if std::fs::metadata(&self.image).unwrap().len() <= self.layout.countable() {
            assert_eq!(ours.leaks, theirs.leaks);
        }
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.history.join("\n"));
        }
    }
}

impl Base {
    /// A raw file or a QED image, shorter than the overlay, as long, or longer, with data near the
    /// overlay's points. One of the overlay's new points is its end.
    fn new(path: PathBuf, layout: &mut Layout, dice: &mut Dice) -> Self {
        let format = dice.pick(&[Format::Raw, Format::Qed]);
        let near =
            dice.pick(&layout.points).max(3 * layout.cluster) - dice.below(2 * layout.cluster);
        let size = match dice.below(4) {
            0 | 1 => near.min(layout.size),
            2 => layout.size,
            _ => layout.size + 512 * (1 + dice.below(4 * layout.cluster / 512)),
        };
        // Whoever names it a disk makes sectors of it; a raw file may end anywhere.
        let size = if format == Format::Qed { size.div_ceil(512) * 512 } else { size };
        layout.points.push(size.min(layout.size));
        let writes = base_writes(layout, size, dice);
        let content = match format {
            Format::Raw => path.clone(),
            _ => path.with_extension("content"),
        };
        let mut base = Self { content: Shadow::new(content, size), format, path };
        for (range, content) in &writes {
            base.content.write(range, *content);
        }
        if format == Format::Qed {
            base.write_image(&writes, dice);
        }
        base
    }

    fn write_image(&self, writes: &[(std::ops::Range<u64>, Content)], dice: &mut Dice) {
        // Large enough tables for whatever the overlay's size is.
        let (cluster, table) = dice.pick(&[(1 << 16, 16), (1 << 17, 4), (1 << 20, 2)]);
        if dice.one_in(2) {
            let mut options = CreateOptions::default();
            (options.cluster_size, options.table_size) = (Some(cluster), Some(table));
            options.size = Some(self.content.size);
            create(&self.path, &options).unwrap();
            let image = open(&self.path, &OpenOptions::default()).unwrap();
            for (range, content) in writes {
                let bytes = content.bytes(range.end - range.start);
                image.pwrite(&bytes, range.start, qed_core::Flags::NONE).unwrap();
            }
            return image.close().unwrap();
        }
        qemu::create(&self.path, cluster, table, &self.content.size.to_string(), &[]);
        let mut commands = Vec::new();
        for (number, (range, content)) in (0..).zip(writes) {
            let pattern = self.path.with_extension(format!("{number}.pattern"));
            std::fs::write(&pattern, content.period()).unwrap();
            let (at, length) = (range.start, range.end - range.start);
            commands.push(format!("write -s {} {at} {length}", pattern.display()));
        }
        qemu::io_succeeds(&["-f", "qed", qemu::text(&self.path)], &commands);
    }
}

/// Some data near every point, in whole sectors, the last one perhaps in part.
fn base_writes(
    layout: &Layout,
    size: u64,
    dice: &mut Dice,
) -> Vec<(std::ops::Range<u64>, Content)> {
    let longest = (3 * layout.cluster).min(1 << 20);
    let mut writes = Vec::new();
    for point in layout.points.iter().chain(&layout.points) {
        let start = (point.saturating_sub(dice.below(2 * longest))) / 512 * 512;
        let end = (start + 512 * (1 + dice.below(longest / 512))).min(size);
        // Outside the windows nobody looks.
        if start < end && layout.windows.iter().any(|w| w.start <= start && end <= w.end) {
            writes.push((start..end, Content::Mixed(dice.throw())));
        }
    }
    writes
}

fn word(path: &std::path::Path, offset: u64) -> u64 {
    let mut bytes = [0; 8];
    File::open(path).unwrap().read_exact_at(&mut bytes, offset).unwrap();
    u64::from_le_bytes(bytes)
}
