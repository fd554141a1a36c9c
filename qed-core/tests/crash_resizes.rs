//! Disks that change their size, every crash of it judged: alone, with guest I/O beside it, and by
//! engines that break one of its rules.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod support;

use qed_core::Rule;
use support::lines::{misses, survive, survive_twice};

/// Runs of resizing: tables that go with the end of the disk, space for what it grows by.
const RESIZE: [&str; 10] = [
    "size=2105344 | write 2097152+4096; write 0+512; flush; resize 2093056; write 4096+4096; \
     resize 2105344; write 2101248+512; flush",
    "size=2105344 backing=2105344 | write 2097152+4096; flush; resize 2093056; \
     resize 2105344; write 2101248+512; flush",
    "punch=0 size=2105344 | write 2097152+4096; write 0+512; flush; \
     during [sync nth=2] {write 4096+4096, write 512+512} resize 2093056; write 8192+8192; flush",
    "size=2105344 backing=2101248 | discard 2097152+8192; flush; resize 4096; kill; \
     resize 8192; write 4096+512; flush",
    "size=2093056 | write 0+512; flush; resize 2105344 metadata; write 2097664+512; flush",
    "size=2093056 backing=2105344 | write 0+512; flush; \
     during [sync] {write 512+512, write 4096+4096} resize 2105344 metadata; write 2097664+512; \
     flush",
    "size=2093056 | write 0+512; flush; resize 2105344 falloc; write 2097664+512; flush",
    "punch=0 size=2093056 | write 0+20480; flush; discard 0+16384; flush; \
     during [sync] {write 16896+512} resize 2105344 full; write 2097664+512; write 0+512; flush",
    "punch=0 size=2093056 | write 0+16384; flush; discard 0+16384; flush; \
     resize 2105344 metadata; write 2097664+512; flush",
    "unit=4096 size=2092544 | write 0+512; flush; resize 2101248 full; kill; \
     resize 2105344 falloc; write 2101760+512; flush",
];

#[test]
fn resizing_survives_every_crash() {
    // Goal: C9, C11 and C18 where tables go with the end of the disk and come with it. Method: as
    // they lie there, and a few of them lived on.
    survive(&RESIZE, 10);
}

#[test]
fn engines_that_resize_without_order_are_caught() {
    // Goal: the rules of tables that come and go with the end, and these runs would miss them.
    let rules = [
        Rule::HidingTablesLast,
        Rule::TableWaitsForLength,
        Rule::InitialiseReusedTables,
        Rule::OrderReusedTables,
    ];
    for rule in rules {
        assert!(misses(&RESIZE, rule), "nobody misses {rule:?}");
    }
}

#[test]
fn a_crash_of_what_follows_a_resize_is_survived_too() {
    survive_twice(&[RESIZE[1], RESIZE[7]]);
}
