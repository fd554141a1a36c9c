//! libqed and QEMU share images, of every size that QEMU can work with.
//!
//! Goal: whatever one of them writes the other reads, and goes on writing. Method: random requests,
//! in sessions of libqed and of QEMU in turn on one image; a raw file written beside it says what
//! it must read as. After each session both check the structure, and whoever did not write (libqed
//! in any case) compares the content.
//!
//! `QED_INTEROP_CASES` is how many images are played (the default takes every size twice, with and
//! without a backing file), `QED_INTEROP_SEED` the first one's number.

#![allow(clippy::unwrap_used, clippy::panic)] // clippy knows tests by their attribute

mod case;
mod dice;
mod layout;
mod operation;
mod ours;
#[path = "../support/qemu.rs"]
mod qemu;
mod shadow;
mod theirs;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn each_reads_what_the_other_wrote() {
    if !qemu::has_tools(&["qemu-img", "qemu-io"]) {
        return;
    }
    let sizes = layout::working_sizes().len() as u64;
    assert_eq!(sizes, 40);
    let (first, count) = (number("QED_INTEROP_SEED", 0), number("QED_INTEROP_CASES", 2 * sizes));
    let (next, requests) = (AtomicU64::new(first), AtomicUsize::new(0));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= first + count {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| case::play(number))) {
                Ok(done) => requests.fetch_add(done, Ordering::Relaxed),
                Err(panic) => {
                    println!("again: QED_INTEROP_SEED={number} QED_INTEROP_CASES=1");
                    next.store(u64::MAX / 2, Ordering::Relaxed);
                    resume_unwind(panic);
                }
            };
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    let requests = requests.into_inner();
    println!("{count} images, {requests} requests");
    assert!(requests as u64 >= 50 * count, "{requests} requests are few");
}
