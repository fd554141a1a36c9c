//! The quick profile: short runs, one for each window of the commit protocol, and some that nobody
//! thought of. It is quick enough for every run of the tests, and sharp enough that an engine which
//! drops or weakens a rule does not pass.

use super::{Shape, Workload, generate};
use crate::error::Result;

/// The fixed runs, each with the rules that it is about. Clusters of 4 KiB, tables of one: the
/// second L2 table begins at 2 MiB.
pub const QUICK: [&str; 43] = [
    // C1: an entry that a killed process wrote and no sync covered; a flush that writes nothing.
    "punch=0 | write 0+4096; reopen; discard 0+4096; deny [sync]; try flush; kill; \
     write 4096+4096; flush",
    "| write 0+4096; flush; write 0+4096; kill; flush",
    // C2: length is data, for tables and for data.
    "| write 0+512; flush; write 8192+512; flush",
    "| write 0+4096; flush; write 2097152+4096; flush; write 4096+65536; flush",
    // C3: freshness.
    "| write 0+4096; shorten 2048 [write metadata=0]; try write 4096+4096; write 10240+512; flush",
    "punch=0 | write 0+8192; flush; discard 0+4096; flush; kill; write 8704+512; flush",
    // C4: what is ordered.
    "backing=32768 | write 4096+4096; flush; write 8192+4096; flush; write 12800+512; flush",
    "punch=0 | write 0+4096; flush; discard 0+4096; flush; write 8192+4096; flush",
    "backing=32768 hole=4608:18944 | write 36864+512; write 8192+512; flush; \
     queued {write 12288+4096, write 4608+512, flush, write 16384+512}; flush",
    "backing=32768 | write 0+4096; flush; discard 0+4096; flush; zero 4096+4096 unmap; flush",
    // C5: safe values alone.
    "backing=32768 | write 118784+4096; flush; write 4096+4096; write 122880+4096; flush",
    // C6, C7: what a flush takes and owes.
    "backing=32768 | write 0+4096; flush; write 4096+4096; during [sync after] {write 8192+4096} \
     flush; flush",
    "| write 0+4096; flush; write 0+4096; flush; write 512+512; flush",
    "backing=100864 | write 0+4096; flush; write 8704+512; write 2097152+4096; \
     during [write] {discard 8192+4096} flush",
    "backing=100864 | write 0+4096; flush; write 8704+512; write 2097152+4096; \
     during [write nth=2] {discard 8192+4096} flush",
    "backing=100864 | write 0+4096; flush; write 8704+512; write 2097152+4096; \
     during [sync] {discard 8192+4096} flush",
    "| write 0+4096; flush; write 4096+4096 fua; write 8192+4096; write 8704+512 fua",
    // C9: release by value, and not while a request holds it.
    "punch=0 | write 0+4096; flush; write 4096+4096; during [sync] {discard 0+4096} flush; \
     write 8192+4096; flush",
    "punch=0 | write 0+4096; flush; during [write metadata=0] {discard 0+4096, flush, \
     write 4096+4096} write 0+4096; flush",
    // C10: punches.
    "punch=0 | write 0+4096; flush; discard 0+4096; write 8192+4096; write 4096+4096; flush",
    "| write 0+4096; flush; discard 0+4096; flush; write 4608+512; flush",
    "| write 0+4096; flush; discard 0+4096; fail [punch]; flush; write 4608+512; flush",
    // C11: a table in reused space.
    "punch=0 | write 0+4096; flush; discard 0+4096; flush; write 2097152+4096; flush",
    // C3, C4, C6, C9: writes that end in another order than they began in.
    "backing=32768 | write 36864+4096; flush; queued {write 4096+4096, write 8704+512, flush, \
     write 40960+512, write 45056+4096}; flush",
    "punch=0 | write 0+16384; flush; queued {write 0+4096, discard 4096+4096, flush, \
     write 16384+512, write 24576+512}; write 20992+512; flush",
    // C4: entries of forced writes that go ahead of their data, and those that must not.
    "| write 0+4096; flush; queued {write 4096+4096 fua, write 8704+512, flush, \
     write 12288+512 fua}; write 8192+512; flush",
    "punch=0 | write 0+8192; flush; discard 0+4096; flush; queued {write 8192+4096 fua, flush}; \
     flush",
    // C12, C18: dangling entries that another writer left, announced.
    "length=16384 put=16:2 put=4096:8192 put=8216:12288 put=8192:20480 | \
     write 20480+4096; write 24576+4096; flush",
    // C13: the saved map, disowned and replaced.
    "punch=0 | write 0+16384; flush; discard 4096+4096; reopen; write 32768+4096; flush; kill; \
     write 36864+4096; flush",
    "punch=0 | write 0+16384; flush; discard 4096+4096; reopen; write 32768+4096; reopen",
    // C14: the cut.
    "| write 0+4096; write 4096+4096; flush; discard 4096+4096; reopen; write 8192+4096; reopen",
    // C16: fill, at the end of the disk and under the guest's zeroes.
    "punch=0 size=2095104 | write 0+4096; flush; discard 0+4096; flush; write 2093056+512; flush",
    "backing=32768 punch=0 | write 0+4096; flush; discard 0+4096; flush; write 1024+512; flush",
    // C18: what lies beyond the end, of the last cluster and of others, before the size.
    "size=9728 backing=32768 | write 8192+512; flush; resize 21504; write 20480+1024; flush",
    "size=21504 | write 0+21504; flush; resize 9728; resize 16384; reopen; \
     write 12288+4096; flush",
    "size=2105344 backing=2105344 | write 2088960+16384; flush; resize 2091520; resize 2103296",
    // C17: the latch, and data writes that fail alone.
    "| write 0+4096; flush; write 4096+4096; fail [sync]; try flush; try flush",
    "punch=0 | write 0+4096; flush; discard 0+4096; flush; fail [write metadata=0]; \
     try write 4096+4096; flush",
    // C4, C9, C11: clusters and tables that move.
    "| write 4096+4096; write 0+4096; flush; compact 65536; flush",
    "punch=0 | write 8192+4096; write 2097152+4096; flush; \
     during [write metadata=1 after nth=2] {write 2105344+4096, flush} compact 4096; flush",
    "| write 2097152+4096; write 4096+4096; write 0+4096; flush; discard 4096+4096; \
     during [sync] {write 512+512, write 12288+4096} compact 4096; reopen; write 4096+4096; flush",
    // C4, C18: data that is brought in from below.
    "backing=20992 | zero 8192+4096 unmap; write 512+512; flush; stream; write 16896+512; flush",
    "backing=32768 | write 4096+4096; flush; stream; write 40960+4096; flush",
];

/// Generated runs of each shape in the quick profile.
const GENERATED: u64 = 3;

/// The workloads of the quick profile.
///
/// # Errors
/// A line that makes no sense.
pub fn quick() -> Result<Vec<Workload>> {
    let mut workloads = QUICK.iter().map(|line| line.parse()).collect::<Result<Vec<_>>>()?;
    for shape in Shape::ALL {
        workloads.extend((0..GENERATED).map(|seed| generate(shape, seed)));
    }
    Ok(workloads)
}
