//! A session of QEMU's on the shared image: one qemu-io process that is fed commands.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;

use qed_core::{ExtentKind, OpenOptions, inspect};

use crate::case::Case;
use crate::dice::Dice;
use crate::operation::{Content, Operation};
use crate::qemu;

/// Carries out `operations`; with `dies`, the process aborts at the end and leaves the image dirty.
pub(crate) fn session(case: &mut Case, dice: &mut Dice, operations: &[Operation], dies: bool) {
    let cache = dice.pick(&["writeback", "unsafe", "unsafe", "writethrough"]);
    case.say(format!("QEMU: cache {cache}"));
    let mut zeroed = if case.base.is_some() { zeroed_clusters(case) } else { BTreeSet::new() };
    let mut commands = Vec::new();
    for operation in operations {
        let operation = fitted(case, operation, &zeroed);
        case.say(format!("QEMU: {operation:?}"));
        note_zeroes(case, &operation, &mut zeroed);
        commands.extend(command(case, &operation, dice));
        case.shadow.apply(&operation, &case.layout, false);
        if let Operation::Write { range, content: Content::Fill(byte), .. } = &operation
            && dice.one_in(3)
        {
            commands.push(format!("read -P {byte} {} {}", range.start, range.end - range.start));
        }
    }
    let directory = case.image.parent().unwrap();
    let name = case.image.to_str().unwrap();
    let options = ["-f", "qed", "-t", cache, name];
    if dies {
        commands.push("abort".into());
        let output = qemu::io(&options, &commands);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.code().is_none(), "it did not abort: {}", qemu::outcome(&output));
        assert!(!printed.lines().any(qemu::is_complaint), "{printed}");
    } else {
        qemu::io_succeeds(&options, &commands);
    }
    for pattern in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if pattern.extension().is_some_and(|ending| ending == "pattern") {
            fs::remove_file(pattern).unwrap();
        }
    }
    case.requests += operations.len();
}

/// The request as QEMU can do it right. Over a backing file QEMU fills the rest of a zero cluster
/// from there (D4), so such a cluster is written whole; and it links a cluster too many where C-1
/// or more in one table are asked for at once (D3).
fn fitted(case: &Case, operation: &Operation, zeroed: &BTreeSet<u64>) -> Operation {
    let cluster = case.layout.cluster;
    let mut operation = operation.clone();
    let (Operation::Write { range, .. } | Operation::Zeroes { range, .. }) = &mut operation else {
        return operation;
    };
    let most = (cluster - 3) * cluster;
    range.end = range.end.min(range.start.saturating_add(most));
    if zeroed.contains(&(range.start / cluster)) {
        range.start = range.start / cluster * cluster;
    }
    if zeroed.contains(&((range.end - 1) / cluster)) {
        range.end = (range.end.div_ceil(cluster) * cluster).min(case.layout.size);
    }
    operation
}

/// The clusters of which QEMU will find entry 1.
fn zeroed_clusters(case: &Case) -> BTreeSet<u64> {
    let layer = inspect(&case.image, &OpenOptions::default()).unwrap();
    let mut zeroed = BTreeSet::new();
    for window in &case.layout.windows {
        let extents = layer.extents(window.start, window.end - window.start).unwrap();
        for extent in extents
            .map(Result::unwrap)
            .filter(|extent| matches!(extent.kind, ExtentKind::Zero { .. }))
        {
            zeroed.extend(case.layout.clusters(&(extent.offset..extent.offset + extent.length)));
        }
    }
    zeroed
}

fn note_zeroes(case: &Case, operation: &Operation, zeroed: &mut BTreeSet<u64>) {
    let cluster = case.layout.cluster;
    match operation {
        Operation::Write { range, .. } => {
            case.layout.clusters(range).for_each(|number| {
                zeroed.remove(&number);
            });
        }
        Operation::Zeroes { range, .. } if case.base.is_some() => {
            // Those that were allocated stay so: calling them zeroed is only careful.
            zeroed.extend(range.start.div_ceil(cluster)..range.end / cluster);
        }
        _ => {}
    }
}

/// What qemu-io is told; no word of its own for reopening, which the sessions do.
fn command(case: &Case, operation: &Operation, dice: &mut Dice) -> Option<String> {
    let flag = |set: bool, flag: &'static str| if set { flag } else { "" };
    let at = |range: &Range<u64>| format!("{} {}", range.start, range.end - range.start);
    Some(match operation {
        Operation::Write { range, content: Content::Fill(byte), forced } => {
            let (forced, length) = (flag(*forced, "-f"), range.end - range.start);
            if length > 512 && dice.one_in(3) {
                let first = 512 * (1 + dice.below(length / 512 - 1));
                let (start, rest) = (range.start, length - first);
                format!("writev {forced} -P {byte} {start} {first} {rest}")
            } else {
                format!("write {forced} -P {byte} {}", at(range))
            }
        }
        Operation::Write { range, content: content @ Content::Mixed(seed), forced } => {
            let pattern = case.image.with_file_name(format!("{seed:x}.pattern"));
            fs::write(&pattern, content.period()).unwrap();
            format!("write {} -s {} {}", flag(*forced, "-f"), pattern.display(), at(range))
        }
        Operation::Zeroes { range, unmap, forced } => {
            format!("write -z {} {} {}", flag(*unmap, "-u"), flag(*forced, "-f"), at(range))
        }
        Operation::Discard { range } => format!("discard {}", at(range)),
        Operation::Read { range } => format!("read {}", at(range)),
        Operation::Flush => "flush".into(),
        Operation::Reopen => return None,
    })
}

/// QEMU reads the whole disk as the shadow does.
pub(crate) fn assert_content(case: &Case) {
    let (image, shadow) = (qemu::text(&case.image), qemu::text(&case.shadow.path));
    if case.layout.has_short_runs() {
        let output = qemu::run("qemu-img", &["compare", "-f", "qed", "-F", "raw", image, shadow]);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let equal = output.status.success() && output.stderr.is_empty();
        assert!(equal && !printed.contains("mismatch"), "{printed}{}", qemu::outcome(&output));
        return;
    }
    // `qemu-img compare` aborts at runs of 4 GiB (D12). This driver reads both files and fails
    // where they differ.
    let both = format!(
        "driver=blkverify,test.driver=qed,test.file.filename={image},\
         raw.driver=file,raw.filename={shadow}"
    );
    let touched = case.shadow.neighbourhood(case.layout.cluster, case.layout.size);
    let read = |range: &Range<u64>| format!("read {} {}", range.start, range.end - range.start);
    qemu::io_succeeds(
        &["-r", "--image-opts", &both],
        &touched.iter().map(read).collect::<Vec<_>>(),
    );
}
