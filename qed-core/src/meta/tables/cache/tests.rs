//! The cache by itself: what is read how often, what goes, and what stays.

use super::*;
use crate::addr::FileOffset;
use crate::error::Error;
use std::cell::Cell;

/// Fills `slice` with words that tell its number.
fn fill(slice: &Slice, number: u64) {
    let mut bytes = [0; SLICE_BYTES];
    bytes[..8].copy_from_slice(&(number + 100).to_le_bytes());
    slice.fill(number, FileOffset(0), &bytes, |_| false);
}

fn hold(cache: &Cache, number: u64, reads: &Cell<u32>) -> Arc<Slice> {
    let load = |slice: &Slice| {
        reads.set(reads.get() + 1);
        fill(slice, number);
        Ok(())
    };
    cache.hold(number, load).unwrap()
}

/// One set of as many lines as fit in `slices` slices' memory.
fn tiny(slices: usize) -> Cache {
    Cache::new(((SLICE_BYTES + OVERHEAD) * slices) as u64)
}

#[test]
fn a_slice_is_read_once_and_found_without_holding_it() {
    let (cache, reads) = (Cache::new(1 << 20), Cell::new(0));
    assert!(cache.view(7).is_none());
    for _ in 0..3 {
        assert_eq!(hold(&cache, 7, &reads).word(0), Ok(107));
    }
    let view = cache.view(7).unwrap();
    assert_eq!((view.slice().word(0), view.holds(), reads.get()), (Ok(107), true, 1));
}

#[test]
fn the_budget_bounds_what_is_kept() {
    let (cache, reads) = (tiny(5), Cell::new(0));
    for number in 0..50 {
        hold(&cache, number, &reads);
    }
    let kept = (0..50).filter(|number| cache.view(*number).is_some()).count();
    assert_eq!((kept, reads.get(), cache.budget()), (5, 50, 5 * (SLICE_BYTES + OVERHEAD)));
    assert!(cache.view(49).is_some());
}

/// A sweep passes over what was looked at since the last one, and takes something else.
#[test]
fn what_is_looked_at_stays() {
    let (cache, reads) = (tiny(4), Cell::new(0));
    for number in 0..40 {
        hold(&cache, number, &reads);
        assert!(cache.view(0).is_some(), "slice 0 went for slice {number}");
    }
}

#[test]
fn a_view_of_a_slice_that_went_does_not_hold() {
    let (cache, reads) = (tiny(4), Cell::new(0));
    hold(&cache, 1, &reads);
    let view = cache.view(1).unwrap();
    (2..20).for_each(|number| drop(hold(&cache, number, &reads)));
    assert!(cache.view(1).is_none() && !view.holds());
}

/// Held slices stay what they are, also when they are more than the cache has room for; the room
/// they take beyond it is given back when they are let go.
#[test]
fn held_slices_are_never_read_again() {
    let (cache, reads) = (tiny(4), Cell::new(0));
    let held: Vec<_> = (0..12).map(|number| hold(&cache, number, &reads)).collect();
    assert_eq!(reads.get(), 12);
    for (number, slice) in (0..).zip(&held) {
        assert_eq!(slice.word(0), Ok(number + 100));
        assert!(Arc::ptr_eq(slice, &hold(&cache, number, &reads)));
    }
    assert_eq!(reads.get(), 12);
    drop(held);
    hold(&cache, 50, &reads);
    let lines = cache.sets[0].get().unwrap().lines.lock();
    assert_eq!(lines.lines.len(), 4);
}

#[test]
fn a_reading_that_fails_leaves_nothing_behind() {
    let (cache, reads) = (tiny(4), Cell::new(0));
    let failed = cache.hold(3, |_| Err(Error::invalid("unreadable")));
    assert!(failed.is_err() && cache.view(3).is_none());
    assert_eq!(hold(&cache, 3, &reads).word(0), Ok(103));
}

#[test]
fn numbers_spread_over_the_sets() {
    let cache = Cache::new(4 << 20);
    for step in [1, 64, 4096, 1 << 20] {
        let mut load = vec![0; cache.sets.len()];
        let numbers = (cache.sets.len() * 6) as u64;
        (0..numbers).for_each(|number| load[cache.set_of(number * step)] += 1);
        let most = load.iter().max().copied().unwrap();
        assert!(most <= 2 * WAYS, "{most} of {numbers} numbers at step {step} share a set");
    }
}

/// Threads that look, hold and change side by side over a cache far too small see every word
/// belong to its number, and no change lost.
#[cfg(not(feature = "shuttle"))]
#[test]
fn threads_never_see_one_slice_for_another() {
    let cache = tiny(4);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let cache = &cache;
            scope.spawn(move || {
                for round in 0..20_000 {
                    let number = (round * 7 + thread * 3) % 11;
                    if let Some(view) = cache.view(number) {
                        let word = view.slice().word(0);
                        assert!(!view.holds() || word == Ok(number + 100));
                    } else {
                        let slice = cache.hold(number, |slice| {
                            fill(slice, number);
                            Ok(())
                        });
                        assert_eq!(slice.unwrap().word(0), Ok(number + 100));
                    }
                }
            });
        }
    });
}
