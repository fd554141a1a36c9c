//! What runs send, in which order, and what they report, through lanes that take notes.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, MutexGuard};

use super::streams::Lane;
use super::*;
use crate::error::ErrorKind;
use crate::queue::{Buffers, Completion};

const FLUSH: Kind = Kind::Flush;
const WRITE: Kind = Kind::Write { fua: false };

fn offsets(plan: &Plan) -> Vec<u64> {
    steps(plan).iter().map(|request| request.offset).collect()
}

fn steps(plan: &Plan) -> Vec<Request> {
    (0..plan.steps()).map(|step| plan.step(step).unwrap()).collect()
}

fn no_progress(_: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn settings(depth: u64) -> Settings {
    Settings { depth, ..Settings::default() }
}

/// Notes what its lanes are handed, and when it ends.
#[derive(Default)]
struct Notes {
    /// So many requests meet under way before the first one ends; fewer would wait for ever.
    meet: usize,
    fail_at: Option<u64>,
    state: Mutex<State>,
    met: Condvar,
}

#[derive(Default)]
struct State {
    events: Vec<(bool, Request)>,
    running: usize,
    most: usize,
    has_met: bool,
}

impl Notes {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn begun(&self) -> Vec<Request> {
        self.state().events.iter().filter(|event| event.0).map(|event| event.1).collect()
    }

    /// Runs `plan` with lanes that note here what they do.
    fn run(&self, plan: &Plan, settings: &Settings) -> Result<Report> {
        let shape = settings.shape(plan)?;
        let lane = |_| NoteLane { notes: self, under_way: Vec::new(), turn: 0 };
        let lanes = (0..shape.streams).map(lane).collect();
        streams::run(lanes, plan, shape, settings.pattern, &mut no_progress)
    }
}

/// A lane whose requests end one at a time, the newest and the oldest in turns.
struct NoteLane<'a> {
    notes: &'a Notes,
    under_way: Vec<(u64, Request, Buffers)>,
    turn: usize,
}

impl Lane for NoteLane<'_> {
    fn hand_in(&mut self, request: &Request, buffers: Buffers, tag: u64) -> Result<()> {
        let moved = matches!(request.kind, Kind::Read | Kind::Write { .. });
        assert_eq!(buffers.len(), if moved { request.length } else { 0 });
        if matches!(request.kind, Kind::Write { .. }) {
            assert!(buffers.parts().concat().iter().all(|byte| *byte == 0x5a));
        }
        let mut state = self.notes.state();
        state.events.push((true, *request));
        state.running += 1;
        state.most = state.most.max(state.running);
        if state.running >= self.notes.meet {
            state.has_met = true;
            self.notes.met.notify_all();
        }
        self.under_way.push((tag, *request, buffers));
        Ok(())
    }

    fn fetch(&mut self, done: &mut Vec<Completion>) -> Result<()> {
        let mut state = self.notes.state();
        while !state.has_met {
            state = self.notes.met.wait(state).unwrap();
        }
        self.turn += 1;
        let newest = self.under_way.len() - 1;
        let (user_data, request, mut buffers) =
            self.under_way.remove(if self.turn.is_multiple_of(2) { 0 } else { newest });
        state.running -= 1;
        state.events.push((false, request));
        let failed = self.notes.fail_at == Some(request.offset);
        let told = || Error::new(ErrorKind::Io, "told to fail").at(request.offset);
        if request.kind == Kind::Read {
            // What was read must not be written by a later request.
            let mut bytes = buffers.into_aligned().unwrap();
            bytes.fill(0xff);
            buffers = bytes.into();
        }
        done.push(Completion {
            user_data,
            result: if failed { Err(told()) } else { Ok(()) },
            buffers,
        });
        Ok(())
    }
}

#[test]
fn sequences_wrap_as_qemu_img_lets_them() {
    // The offsets that `qemu-img bench -d 1 -i threads -t none` passed to pread, by strace, on a
    // disk of 40 KiB: (count, offset, step) and what was seen.
    const K: u64 = 1024;
    let seen: [(u64, u64, u64, &[u64]); 4] = [
        (12, 0, 0, &[0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 0, 4]),
        (12, 4, 12, &[4, 16, 28, 0, 12, 24, 36, 8, 20, 32, 4, 16]),
        (8, 36, 8, &[36, 4, 12, 20, 28, 36, 4, 12]),
        (8, 4, 100, &[4, 24, 4, 24, 4, 24, 4, 24]),
    ];
    for (count, offset, step, expected) in seen {
        let pattern = Pattern { count, offset: offset * K, step: step * K, ..Pattern::default() };
        let plan = Plan::pattern(pattern, 40 * K).unwrap();
        let expected: Vec<u64> = expected.iter().map(|offset| offset * K).collect();
        assert_eq!(offsets(&plan), expected);
    }
}

#[test]
fn a_request_that_does_not_fit_before_the_end_begins_at_zero() {
    let pattern = Pattern { count: 5, length: 12, ..Pattern::default() };
    assert_eq!(offsets(&Plan::pattern(pattern, 40).unwrap()), [0, 12, 24, 0, 8]);
}

#[test]
fn flushes_stand_where_the_requests_left_are_a_multiple() {
    let flushes = |count, flush_interval| -> Vec<u64> {
        let pattern = Pattern { write: true, count, flush_interval, ..Pattern::default() };
        let plan = Plan::pattern(pattern, 1 << 20).unwrap();
        let kinds = steps(&plan);
        assert_eq!(kinds.iter().filter(|request| request.kind == WRITE).count() as u64, count);
        let at = |step: &usize| kinds[*step].kind == FLUSH;
        (0..kinds.len()).filter(at).map(|step| step as u64).collect()
    };
    assert_eq!(flushes(10, 4), [2, 7, 12]);
    assert_eq!(flushes(10, 5), [5, 11]);
    assert_eq!(flushes(3, 4), [3]);
    assert_eq!(flushes(2, 1), [1, 3]);
}

#[test]
fn random_offsets_repeat_by_seed_and_reach_every_place() {
    let drawn = |seed| {
        let random = Some(seed);
        let pattern =
            Pattern { count: 400, offset: 100, length: 8, step: 10, random, ..Pattern::default() };
        offsets(&Plan::pattern(pattern, 198).unwrap())
    };
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
    let mut places = drawn(3);
    places.sort_unstable();
    places.dedup();
    assert_eq!(places, (0..10).map(|place| 100 + place * 10).collect::<Vec<_>>());
}

#[test]
fn plans_that_make_no_sense_are_refused() {
    let refused = |pattern: Pattern, disk| {
        let error = Plan::pattern(pattern, disk).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    };
    refused(Pattern { count: 0, ..Pattern::default() }, 1 << 20);
    refused(Pattern { length: 0, ..Pattern::default() }, 1 << 20);
    refused(Pattern::default(), 4095);
    refused(Pattern { offset: u64::MAX, ..Pattern::default() }, 1 << 20);
    refused(Pattern { flush_interval: 1, ..Pattern::default() }, 1 << 20);
    let plan = Plan::pattern(Pattern::default(), 1 << 20).unwrap();
    for (depth, threads) in
        [(0, 1), (1, 0), (MAX_DEPTH + 1, 1), (1, MAX_THREADS + 1), (u64::MAX, u64::MAX)]
    {
        let settings = Settings { depth, threads, ..Settings::default() };
        let error = settings.shape(&plan).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{depth} {threads}");
    }
    let long = Pattern { length: 1 << 30, ..Pattern::default() };
    let long = Plan::pattern(long, 1 << 40).unwrap();
    assert!(settings(4).shape(&long).is_ok());
    assert!(settings(5).shape(&long).unwrap_err().to_string().contains("bytes of memory"));
}

#[test]
fn no_more_streams_and_requests_than_the_plan_has() {
    let plan = Plan::pattern(Pattern { count: 10, ..Pattern::default() }, 1 << 20).unwrap();
    for ((depth, threads), (streams, each)) in [
        ((64, 1), (1, 10)),
        ((64, 4), (4, 3)),
        ((2, 4), (4, 2)),
        ((u64::MAX, 1), (1, 10)),
        ((1, u64::MAX), (10, 1)),
    ] {
        let settings = Settings { depth, threads, ..Settings::default() };
        assert_eq!(settings.shape(&plan).unwrap(), Shape { streams, depth: each });
    }
}

#[test]
fn traces_read_as_written() {
    let text = b"# a comment\n\nR 1 2\nW 3 4\r\n WA 5 6 \nZ 7 8\nD 9 1\nF 0 0";
    let plan = Plan::trace(text, 10 * 512).unwrap_err();
    assert!(plan.to_string().contains("line 5: 3072 bytes at 2560 pass the end"), "{plan}");
    let plan = Plan::trace(text, 15 * 512).unwrap();
    let request =
        |kind, first: u64, count: u64| Request { kind, offset: first * 512, length: count * 512 };
    let expected = [
        request(Kind::Read, 1, 2),
        request(WRITE, 3, 4),
        request(Kind::Write { fua: true }, 5, 6),
        request(Kind::WriteZeroes, 7, 8),
        request(Kind::Discard, 9, 1),
        request(FLUSH, 0, 0),
    ];
    assert_eq!(steps(&plan), expected);
}

#[test]
fn lines_that_are_no_request_are_refused_with_their_number() {
    for line in [
        "R 1",
        "R 1 2 3",
        "R 1 0",
        "X 1 2",
        "r 1 2",
        "RA 1 2",
        "W -1 2",
        "W 1.5 2",
        "W 0x1 2",
        "F 1 0",
        "W 18446744073709551615 1",
        "W 36028797018963967 1",
        "\u{fffd}",
    ] {
        let text = format!("R 0 1\n{line}\n");
        let error = Plan::trace(text.as_bytes(), u64::MAX).unwrap_err();
        assert!(error.to_string().starts_with("line 2: "), "{line}: {error}");
    }
    assert!(Plan::trace(b"W 0 \xff1\n", 512).is_err());
    assert!(Plan::trace(b"# nothing\n", 512).is_err());
}

#[test]
fn as_many_requests_are_in_flight_as_asked_for() {
    // Eight requests end only when they have met: fewer in flight would hang, more are counted.
    let notes = Notes { meet: 8, ..Notes::default() };
    let plan = Plan::pattern(Pattern { count: 100, ..Pattern::default() }, 1 << 20).unwrap();
    let settings = Settings { depth: 4, threads: 2, ..Settings::default() };
    let report = notes.run(&plan, &settings).unwrap();
    assert_eq!(notes.state().most, 8);
    assert_eq!((report.reads, report.bytes, report.requests.count()), (100, 409_600, 100));
    let mut offsets: Vec<u64> = notes.begun().iter().map(|request| request.offset).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, (0..100).map(|request| request * 4096).collect::<Vec<_>>());
}

#[test]
fn a_drained_flush_runs_alone_after_all_before_it() {
    let pattern = Pattern { write: true, count: 96, flush_interval: 8, ..Pattern::default() };
    let plan = Plan::pattern(pattern, 1 << 20).unwrap();
    let notes = Notes::default();
    let settings = Settings { pattern: 0x5a, ..settings(8) };
    let report = notes.run(&plan, &settings).unwrap();
    assert_eq!((report.writes, report.flushes.count()), (96, 12));
    let state = notes.state();
    let (mut running, mut since) = (0, 0);
    for (begins, request) in &state.events {
        if request.kind == FLUSH {
            assert_eq!(running, 0, "a flush beside requests");
            since = 0;
            continue;
        }
        running = if *begins { running + 1 } else { running - 1 };
        since += u32::from(*begins);
        assert!(since <= 8, "a request that should have waited for a flush");
    }
}

#[test]
fn without_drain_a_flush_runs_beside_requests() {
    // Four steps meet: the three before the flush and the flush itself, or the run would hang.
    let pattern = Pattern { write: true, count: 6, flush_interval: 3, ..Pattern::default() };
    let plan = Plan::pattern(pattern, 1 << 20).unwrap().without_drain();
    let notes = Notes { meet: 4, ..Notes::default() };
    notes.run(&plan, &Settings { pattern: 0x5a, ..settings(4) }).unwrap();
    let state = notes.state();
    let first: Vec<_> =
        state.events[..4].iter().map(|(begins, request)| (*begins, request.kind)).collect();
    assert!(first.iter().all(|(begins, _)| *begins));
    assert!(first.contains(&(true, FLUSH)));
}

#[test]
fn conflicting_requests_of_a_trace_keep_their_order() {
    // Ten rounds of: write A and B, which touch, read A, which conflicts with both, and C far away.
    let text = "W 0 8\nW 7 8\nR 0 8\nW 64 8\nZ 64 1\nD 60 8\n".repeat(10);
    for (depth, threads) in [(1, 1), (2, 1), (7, 1), (1, 3), (3, 2)] {
        let plan = Plan::trace(text.as_bytes(), 1 << 20).unwrap();
        let notes = Notes::default();
        let settings = Settings { depth, threads, pattern: 0x5a, ..Settings::default() };
        let report = notes.run(&plan, &settings).unwrap();
        assert_eq!((report.writes, report.reads, report.discards), (30, 10, 10));
        assert!(notes.state().most <= usize::try_from(depth * threads).unwrap());
        assert_ordered(&notes.state().events, &steps(&plan));
    }
}

/// Whether each request began after all conflicting ones before it in the plan had ended.
fn assert_ordered(events: &[(bool, Request)], plan: &[Request]) {
    let (mut begun, mut ended) = (Vec::new(), Vec::new());
    for (begins, request) in events {
        if !*begins {
            ended.push(*request);
            continue;
        }
        let before = |list: &[Request]| {
            list.iter().filter(|other| other.conflicts(request)).copied().collect::<Vec<_>>()
        };
        let turn = begun.iter().filter(|other| *other == request).count();
        let place = plan.iter().enumerate().filter(|(_, other)| *other == request).nth(turn);
        let mut expected = before(&plan[..place.unwrap().0]);
        let mut found = before(&ended);
        let key = |request: &Request| (request.offset, request.length, request.kind == Kind::Read);
        expected.sort_by_key(key);
        found.sort_by_key(key);
        assert_eq!(found, expected, "before {request:?}");
        begun.push(*request);
    }
}

#[test]
fn the_first_failure_ends_the_run_and_is_told() {
    for drain in [0, 4] {
        let pattern =
            Pattern { write: true, count: 1000, flush_interval: drain, ..Pattern::default() };
        let plan = Plan::pattern(pattern, 1 << 30).unwrap();
        let notes = Notes { fail_at: Some(40_960), ..Notes::default() };
        let settings = Settings { pattern: 0x5a, ..settings(4) };
        let error = notes.run(&plan, &settings).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (ErrorKind::Io, Some(40_960)));
        assert!(notes.begun().len() < 1000);
    }
}

#[test]
fn progress_that_breaks_off_ends_the_run() {
    // The run is too long to end by itself.
    let pattern = Pattern { count: u64::MAX >> 20, ..Pattern::default() };
    let plan = Plan::pattern(pattern, 1 << 30).unwrap();
    let calls = AtomicU64::new(0);
    let mut progress = |done, total| {
        assert!(done <= total);
        calls.fetch_add(1, Ordering::Relaxed);
        ControlFlow::Break(())
    };
    let lanes = vec![Null::default(), Null::default()];
    let shape = Settings { threads: 2, ..settings(2) }.shape(&plan).unwrap();
    let error = streams::run(lanes, &plan, shape, 0, &mut progress).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

/// A lane that does what it is told at once.
#[derive(Default)]
struct Null(Vec<Completion>);

impl Lane for Null {
    fn hand_in(&mut self, _: &Request, buffers: Buffers, user_data: u64) -> Result<()> {
        self.0.push(Completion { user_data, result: Ok(()), buffers });
        Ok(())
    }

    fn fetch(&mut self, done: &mut Vec<Completion>) -> Result<()> {
        done.append(&mut self.0);
        Ok(())
    }
}
