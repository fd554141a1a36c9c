//! The crash explorer on its reference workload: states a second, by oracles, by workers.
//!
//! `cargo bench -p qed-core --bench crash --features crash` prints a line for each set of oracles
//! with one worker and with two. 14 guest operations, 256 KiB of guest data, a file of about
//! 768 KiB, no budget of failures: everything is judged. `QED_BENCH_STATES` says how many states at
//! most (default 40,000).

use qed_core::crash::oracle::by_name;
use qed_core::crash::{Explorer, Panel, Plan, Report, Step, Subject, Workload};
use std::error::Error;
use std::time::Instant;

const CLUSTER: u64 = 65536;

fn reference() -> Workload {
    let write = |offset, length| Step::write(offset, length);
    let mut workload = Workload::small(vec![
        write(0, CLUSTER),
        write(CLUSTER, 32768),
        write(2 * CLUSTER, 4096),
        Step::flush(),
        write(CLUSTER + 32768, 32768),
        write(2 * CLUSTER + 8192, 16384),
        Step::discard(0, CLUSTER),
        write(3 * CLUSTER, CLUSTER),
        write(4096 + CLUSTER, 4096),
        write(2 * CLUSTER + 512, 8192),
        write(4 * CLUSTER, 16384),
        Step::zero(CLUSTER, 8192),
        Step::flush(),
        write(CLUSTER, 16384),
    ]);
    (workload.cluster, workload.table, workload.size) = (CLUSTER, 2, 64 << 20);
    workload
}

/// What the calling thread has used of a processor so far, in seconds.
fn used() -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = text.split_whitespace().next().unwrap_or("0").parse()?;
    Ok(nanoseconds / 1e9)
}

/// Walks every seed's shard of each worker; the sums, and the processor time of all workers.
fn run(
    subject: &Subject,
    plans: &[Plan],
    oracles: &[&str],
    workers: usize,
) -> Result<(Report, f64), Box<dyn Error>> {
    let explorer =
        |plan: &Plan| Explorer::new(&subject.recording.log, &subject.boundaries(), plan.clone());
    let explorers: Vec<Explorer<'_>> = plans.iter().map(explorer).collect();
    let shards: Vec<_> = explorers.iter().map(|explorer| explorer.shards(workers)).collect();
    let (mut sum, mut seconds) = (Report::default(), 0.0);
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        for worker in 0..workers {
            let (explorers, shards) = (&explorers, &shards);
            running.push(scope.spawn(move || -> Result<(Report, f64), String> {
                let oracles = by_name(oracles).map_err(|error| error.to_string())?;
                let (mut sum, start) = (Report::default(), used().map_err(|e| e.to_string())?);
                for (explorer, shards) in explorers.iter().zip(shards) {
                    let mut panel = Panel::new(subject, oracles.clone());
                    let report = explorer.run(&shards[worker], &mut panel);
                    sum.merge(report.map_err(|error| error.to_string())?);
                }
                Ok((sum, used().map_err(|e| e.to_string())? - start))
            }));
        }
        for thread in running {
            let (report, used) = thread.join().map_err(|_| "a worker panicked")??;
            sum.merge(report);
            seconds += used;
        }
        Ok((sum, seconds))
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let states = std::env::var("QED_BENCH_STATES").ok().and_then(|n| n.parse().ok());
    let states: usize = states.unwrap_or(40_000);
    let asked = std::env::var("QED_BENCH_SET").ok();
    let subject = Subject::new(reference().record()?)?;
    let plan = Plan { full: 12, samples: 2000, ..Plan::default() };
    let explorer = Explorer::new(&subject.recording.log, &subject.boundaries(), plan.clone());
    let length = explorer.frame(explorer.windows().len() - 1).settled().length() >> 10;
    let each = explorer.names().count().max(1);
    let plans: Vec<Plan> =
        (0..states.div_ceil(each) as u64).map(|seed| Plan { seed, ..plan.clone() }).collect();
    println!("reference workload: 14 operations, {length} KiB of file, {each} states a seed");
    let sets: [(&str, &[&str]); 3] = [
        ("structure, durable, no-foreign-data", &["structure", "durable", "no-foreign-data"]),
        (
            "and recovery, life-goes-on",
            &["structure", "durable", "no-foreign-data", "recovery", "life-goes-on"],
        ),
        ("qemu", &["qemu"]),
    ];
    for (name, oracles) in sets {
        if asked.as_deref().is_some_and(|asked| !name.contains(asked)) {
            continue;
        }
        let few = [Plan { states: Some(60), ..plan.clone() }];
        let plans = if oracles == ["qemu"] { few.as_slice() } else { &plans };
        for workers in [1, 2] {
            let start = Instant::now();
            let (report, used) = run(&subject, plans, oracles, workers)?;
            let wall = start.elapsed().as_secs_f64();
            if let Some(failure) = report.failures.first() {
                println!("{name}: {failure}");
            }
            let (generated, judged) = (report.generated() as f64, report.judged() as f64);
            println!(
                "{name}, {workers} worker(s): {generated} states, {judged} judged; {:.0} and {:.0} \
                 a second a core, {:.0} a second by the clock",
                generated / used,
                judged / used,
                generated / wall,
            );
        }
    }
    Ok(())
}
