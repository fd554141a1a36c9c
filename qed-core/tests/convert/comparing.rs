//! Goal: a comparison finds the first difference, whatever the formats and however many look.
//! Method: copies with bytes changed in random places.

use crate::dice::Dice;
use crate::disks::{MIB, content, copy, create_options, open, random_disk};
use qed_core::{
    CompareOptions, ConvertOptions, ConvertSource, ConvertTarget, Difference, Disk, ErrorKind,
    Flags, Format, compare,
};
use std::ops::ControlFlow;

fn difference(a: &Disk, b: &Disk, strict: bool, workers: usize) -> Option<Difference> {
    let mut options = CompareOptions::default();
    (options.strict, options.workers) = (strict, workers);
    compare(a, b, &options, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

#[test]
fn the_first_changed_byte_is_found() {
    for seed in 0..16 {
        let mut dice = Dice::new(seed);
        let directory = tempfile::tempdir().unwrap();
        let (source, target) = (directory.path().join("source"), directory.path().join("target"));
        let (from, to) = (Format::Qed, dice.pick(&[Format::Raw, Format::Qed, Format::Qcow2]));
        random_disk(&source, from, 24 * MIB, &mut dice);
        let disk = open(&source, from, true);
        let new = ConvertTarget::New(&target, create_options(to));
        copy(ConvertSource::Disks(vec![&disk]), new, &ConvertOptions::default()).unwrap();
        let changed = open(&target, to, false);
        let workers = usize::try_from(dice.pick(&[1, 4, 16])).unwrap();
        assert_eq!(difference(&disk, &changed, false, workers), None);

        let mut bytes = content(&changed);
        let places: Vec<u64> = (0..=dice.below(4)).map(|_| dice.below(24 * MIB)).collect();
        for place in &places {
            let byte = &mut bytes[usize::try_from(*place).unwrap()];
            *byte = byte.wrapping_add(1);
            changed.pwrite(&[*byte], *place, Flags::NONE).unwrap();
        }
        let first = content(&disk).iter().zip(&bytes).position(|(a, b)| a != b);
        let expected = first.map(|at| Difference::Content { offset: at as u64 });
        assert!(expected.is_some(), "seed {seed}");
        assert_eq!(difference(&disk, &changed, false, workers), expected, "seed {seed}");
        assert_eq!(difference(&changed, &disk, false, workers), expected, "seed {seed}");
    }
}

#[test]
fn sizes_and_allocation_count_in_strict_comparisons_alone() {
    let directory = tempfile::tempdir().unwrap();
    let disk = |name: &str, size: u64| {
        let path = directory.path().join(name);
        let mut options = create_options(Format::Qed);
        options.size = Some(size);
        qed_core::create(&path, &options).unwrap();
        open(&path, Format::Qed, false)
    };
    let (a, b, longer) = (disk("a", 8 * MIB), disk("b", 8 * MIB), disk("longer", 9 * MIB));
    assert_eq!(difference(&a, &longer, false, 2), None);
    assert_eq!(difference(&a, &longer, true, 2), Some(Difference::Size));
    longer.pwrite(&[1], 9 * MIB - 1, Flags::NONE).unwrap();
    let at = Some(Difference::Content { offset: 9 * MIB - 1 });
    assert_eq!(difference(&longer, &a, false, 2), at);

    assert_eq!(difference(&a, &b, true, 2), None);
    a.pwrite(&[0; 65536], 3 * MIB, Flags::NONE).unwrap();
    assert_eq!(difference(&a, &b, false, 2), None);
    let at = Some(Difference::Allocation { offset: 3 * MIB });
    assert_eq!(difference(&a, &b, true, 2), at);
}

#[test]
fn a_comparison_can_be_cancelled() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    random_disk(&path, Format::Raw, 8 * MIB, &mut Dice::new(1));
    let (a, b) = (open(&path, Format::Raw, true), open(&path, Format::Raw, true));
    let cancel = &mut |_, _| ControlFlow::Break(());
    let stopped = compare(&a, &b, &CompareOptions::default(), cancel);
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
}
