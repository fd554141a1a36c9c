//! Every state that a crash may leave of short runs of the engine is sound, and can be lived on.

mod support;

use support::workload::Step::{Kill, Reopen};
use support::workload::{Workload, discard, flush, unmap, write, write_forced, zero};

const C: u64 = 4096;

#[test]
fn first_allocation() {
    let r = Workload::small(vec![write(0, 4096), flush()]).assert_crash_safe("first allocation");
    println!("{r:?}");
}
