//! Work on whole images, every crash of it judged: alone, with guest I/O beside it, and by engines
//! that break one of its rules.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod support;

use qed_core::Rule;
use qed_core::crash::Workload;
use qed_core::crash::workload::{every_fault, judge_faults};
use support::lines::{misses, survive, survive_twice};

/// Runs of compaction: scattered data, two tables, what stands in the way, calls from its midst.
const COMPACT: [&str; 12] = [
    "punch=0 | write 8192+4096; write 0+4096; write 4096+4096; flush; compact 4096; flush",
    "| write 2097152+4096; write 4096+4096; write 0+4096; flush; discard 4096+4096; \
     compact 4096; write 12288+4096; flush",
    "backing=32768 | write 8192+4096; write 0+512; flush; write 4608+512; compact 8192; \
     write 16384+4096; flush",
    "unit=4096 | write 16384+8192; write 0+8192; flush; write 512+512; compact 65536; reopen; \
     write 40960+4096; flush",
    "punch=0 | write 12288+4096; write 8192+4096; write 4096+4096; write 0+4096; flush; \
     during [write metadata=0 nth=2] {write 512+512, write 8704+512, write 20480+4096, flush} \
     compact 4096; flush",
    "| write 12288+4096; write 8192+4096; write 4096+4096; write 0+4096; flush; \
     during [sync] {write 512+512, discard 8192+4096, write 20480+4096} compact 4096; flush",
    "punch=0 | write 2097152+4096; write 8192+4096; write 0+4096; flush; \
     during [write metadata=1 after] {write 1024+512, write 24576+4096, discard 8192+4096, flush} \
     compact 4096; flush",
    "| write 2097152+4096; write 8192+4096; write 0+4096; flush; \
     during [write metadata=1 nth=2] {write 2097152+512, write 24576+4096, flush} compact 4096; \
     kill; write 28672+4096; flush",
    "punch=0 | write 8192+4096; write 2097152+4096; write 0+4096; flush; \
     during [write metadata=1 after nth=2] {write 2105344+4096, flush} compact 4096; flush",
    "put=40:8192 length=12288 | write 8192+4096; write 0+4096; flush; compact 65536; \
     write 2097152+4096; flush",
    "punch=0 put=40:12288 length=16384 | write 2097152+4096; write 8192+4096; write 0+4096; flush; \
     during [write metadata=1 nth=3] {write 512+512, write 12288+4096, flush} compact 4096; kill; \
     write 16384+4096; flush",
    "table=2 size=8388608 put=40:8192 length=16384 | write 4194304+4096; write 0+4096; flush; \
     during [sync nth=2] {write 8192+4096, write 4198400+512} compact 8192; reopen; \
     write 12288+4096; flush",
];

/// Runs of streaming: holes and zeroes in between, a second table, calls from its midst.
const STREAM: [&str; 6] = [
    "backing=32768 | write 4096+4096; flush; stream; write 40960+4096; flush",
    "backing=20992 | zero 8192+4096 unmap; write 512+512; flush; stream; reopen; \
     write 16896+512; flush",
    "punch=0 backing=2109440 | write 2097152+512; discard 4096+2088960; flush; stream; kill; \
     write 0+512; flush",
    "backing=32768 | write 4096+512; \
     during [write metadata=0 nth=2] {write 40960+4096, write 36864+512, flush} stream; flush",
    "unit=4096 backing=32768 | write 4096+512; flush; \
     during [write metadata=0 after] {write 53248+4096, discard 53248+4096, flush} stream; flush",
    "backing=32768 | write 4096+4096; flush; \
     during [sync] {write 512+512, discard 8192+4096} stream; compact 4096; write 512+512; flush",
];

/// Runs of streaming down to the lower of two files: the longer one or the shorter, a reopen over
/// it, a second stream from there, calls from its midst, a disk that grows over what it hides.
const TO_LOWER: [&str; 7] = [
    "backing=32768 lower=32768 | write 4096+4096; flush; stream to lower; write 40960+4096; flush",
    "backing=20992 lower=49152 | write 512+512; flush; stream to lower; discard 24576+4096; \
     reopen; write 28672+512; flush",
    "punch=0 backing=49152 lower=14848 | zero 8192+4096 unmap; write 4608+512; flush; \
     stream to lower; kill; write 12288+4096; flush; stream; write 512+512; flush",
    "unit=4096 backing=32768 lower=49152 | write 4096+512; flush; during [write metadata=0] \
     {write 53248+4096, discard 53248+4096, write 40960+512, flush} stream to lower; flush",
    "backing=45056 lower=45056 | write 4096+4096; flush; \
     during [sync] {write 512+512, discard 8192+4096} stream to lower; compact 4096; reopen; \
     discard 4096+8192; flush",
    "size=20480 backing=32768 lower=49152 | write 512+512; flush; stream to lower; \
     resize 45056; write 24576+512; flush",
    "size=49152 backing=20992 lower=49152 | write 512+512; resize 14336; \
     during [write metadata=0] {resize 40960} stream to lower; resize 49152; reopen; \
     write 45056+512; flush",
];

/// Runs of reads that copy: one file below, or two, freed again, from the midst of flushes, and
/// with calls from their own midst.
const COPY_ON_READ: [&str; 6] = [
    "backing=20992 copy_on_read=1 | read 512+8192; flush; write 16384+512; flush; read 0+24576",
    "punch=0 backing=20992 lower=32768 copy_on_read=1 | read 0+20480; flush; discard 4096+4096; \
     read 16384+4096; flush; kill; read 0+20480; write 8192+512; flush",
    "backing=32768 copy_on_read=1 | write 40960+4096; during [write metadata=0] \
     {write 12288+512, discard 16384+4096, flush} read 512+8192; flush; read 12288+8192; reopen",
    "unit=4096 backing=32768 lower=49152 copy_on_read=1 | write 512+512; flush; write 4608+512; \
     during [sync] {read 8192+12288, write 20480+512} flush; flush",
    "backing=2109440 copy_on_read=1 | write 0+512; flush; read 2095104+4096; flush; \
     discard 2093056+8192; flush; read 2093056+8192; flush",
    "backing=32768 lower=20992 copy_on_read=1 | read 4096+4096; flush; read 12288+4096; \
     during [write metadata=1] {read 20480+8192, flush} stream to lower; read 0+32768; stream; \
     flush",
];

/// Short runs of all of it, for disks that fail.
const FAILING: [&str; 4] = [
    "punch=0 | write 8192+4096; write 0+4096; flush; compact 4096; write 12288+512; flush",
    "backing=12800 | write 4096+4096; flush; stream; write 16384+4096; flush",
    "backing=12288 lower=16896 | write 512+512; flush; stream to lower; write 16384+512; flush",
    "backing=12800 copy_on_read=1 | write 512+512; flush; read 0+12288; write 8192+512; flush",
];

#[test]
fn compaction_survives_every_crash() {
    // Goal: C4, C9, C11, C14 where clusters and tables move. Method: crashes of short runs, some
    // with guest calls from its midst; as they lie there, and a few of them lived on.
    survive(&COMPACT, 100);
}

#[test]
fn streaming_survives_every_crash() {
    // Goal: C4 and C18 where data comes from below and the backing file's name goes. Method: as
    // above; without its name the backing file shows nowhere.
    survive(&STREAM, 50);
}

#[test]
fn streaming_to_a_lower_file_survives_every_crash() {
    // Goal: C4 and C18 where another name takes the place of the backing file's: each state is read
    // through the file that it names. Method: as above, over two files that change turns.
    survive(&TO_LOWER, 30);
}

#[test]
fn reads_that_copy_survive_every_crash() {
    // Goal: C4 and C16 for what reads bring in: nothing foreign, nothing lost, the files below as
    // they were. Method: as above; the sessions that follow a crash copy what they read as well.
    survive(&COPY_ON_READ, 30);
}

#[test]
fn a_crash_of_what_follows_is_survived_too() {
    survive_twice(&[COMPACT[6], STREAM[3], TO_LOWER[1], COPY_ON_READ[2]]);
}

#[test]
fn work_on_a_disk_that_fails_loses_nothing_that_was_flushed() {
    // Goal: C3 and C17 where clusters move and come from below. Method: every call on the disk
    // fails in turn, in every way.
    let mut count = 0;
    for line in FAILING {
        let workload: Workload = line.parse().unwrap();
        for fault in every_fault(&workload).unwrap() {
            count += 1;
            if let Err(finding) = judge_faults(&workload, fault).unwrap() {
                panic!("{workload}: {finding}");
            }
        }
    }
    assert!(count > 300, "only {count} faults");
}

#[test]
fn engines_that_move_without_order_are_caught() {
    // Goal: the rules of moving are needed, and these runs would miss them.
    let rules = [
        Rule::MoveIsOrdered,
        Rule::MovedTableIsOrdered,
        Rule::TableHoldsWrites,
        Rule::CopyIsOrdered,
        Rule::BackingAfterFlush,
    ];
    for rule in rules {
        let runs: Vec<&str> = STREAM.iter().chain(COMPACT.iter().rev()).copied().collect();
        assert!(misses(&runs, rule), "nobody misses {rule:?}");
    }
}

#[test]
fn engines_that_copy_or_rename_without_order_are_caught() {
    // Goal: reads that copy, and streams to a lower file, would miss the rules by themselves.
    assert!(misses(&COPY_ON_READ, Rule::CopyIsOrdered));
    for rule in [Rule::CopyIsOrdered, Rule::BackingAfterFlush, Rule::DiscardHidesBacking] {
        assert!(misses(&TO_LOWER, rule), "nobody misses {rule:?}");
    }
}
