//! The legal states of a log of three sectors, straight from the definition, and slowly: for each
//! sector and for the length, every issued version that no stable version came after.

use qed_core::storage::{Event, Log, Operation};
use std::collections::BTreeSet;

/// One operation that changes something.
struct Version {
    issue: usize,
    completion: usize,
    stable: bool,
    /// What each sector becomes.
    sectors: [Option<u8>; 3],
    length: Option<usize>,
}

struct Sync {
    issue: usize,
    completion: usize,
    done: bool,
}

/// The legal states behind the first `t` events of a log over the sectors 101, 102 and 103.
pub(crate) fn by_definition(log: &Log, t: usize) -> BTreeSet<Vec<u8>> {
    let versions = versions(&log.events[..t]);
    let mut states = BTreeSet::from([Vec::new()]);
    for sector in 0..3 {
        let value = |version: Option<&Version>| match version {
            None => [101, 102, 103][sector],
            Some(version) => version.sectors[sector].unwrap(),
        };
        let legal = legal(&versions, |version| version.sectors[sector].is_some());
        let values: BTreeSet<u8> = legal.into_iter().map(value).collect();
        let extended = |state: Vec<u8>| {
            values
                .iter()
                .map(move |value| [state.as_slice(), &[*value]].concat())
                .collect::<Vec<_>>()
        };
        states = states.into_iter().flat_map(extended).collect();
    }
    let legal = legal(&versions, |version| version.length.is_some());
    let length = |version: Option<&Version>| version.map_or(3, |version| version.length.unwrap());
    let lengths: BTreeSet<usize> = legal.into_iter().map(length).collect();
    let cut =
        |state: Vec<u8>| lengths.iter().map(move |n| state[..*n].to_vec()).collect::<Vec<_>>();
    states.into_iter().flat_map(cut).collect()
}

/// Of the versions of one thing, those that no stable one came after; `None` is the first content.
fn legal(versions: &[Version], touches: impl Fn(&Version) -> bool) -> Vec<Option<&Version>> {
    let touching = || versions.iter().filter(|version| touches(version));
    let stable = || touching().filter(|version| version.stable);
    let overwritten = |v: &Version| stable().any(|later| v.completion < later.issue);
    let base = stable().next().is_none().then_some(None);
    base.into_iter().chain(touching().filter(|v| !overwritten(v)).map(Some)).collect()
}

fn versions(events: &[Event]) -> Vec<Version> {
    let syncs: Vec<Sync> = issued(events)
        .filter(|(.., operation)| **operation == Operation::Sync)
        .filter_map(|(issue, id, _)| {
            let (completion, done) = answer(events, id)?;
            Some(Sync { issue, completion, done })
        })
        .collect();
    let mut versions: Vec<Version> = Vec::new();
    let mut length = 3;
    for (issue, id, operation) in issued(events) {
        let (completion, done) = answer(events, id).unwrap_or((usize::MAX, false));
        // A sync that fails while this is not stable drops it for good.
        let failed = syncs.iter().filter(|sync| !sync.done && issue < sync.completion);
        let dropped = failed.map(|sync| sync.completion).min().unwrap_or(usize::MAX);
        let covers = |s: &Sync| s.done && completion < s.issue && s.completion < dropped;
        let stable = done && syncs.iter().any(covers);
        let mut version = Version { issue, completion, stable, sectors: [None; 3], length: None };
        match operation {
            Operation::Write { offset, data, flags } => {
                version.sectors[at(offset / 512)] = Some(data[0]);
                if flags.fua && done {
                    version.stable = true;
                    stable_with_its_length(&mut versions);
                }
            }
            Operation::Punch { offset, .. } => version.sectors[at(offset / 512)] = Some(0),
            Operation::SetLength { length: new } => {
                let new = at(new / 512);
                (new..length).for_each(|sector| version.sectors[sector] = Some(0));
                length = new;
                version.length = Some(new);
            }
            Operation::ZeroRange { .. } | Operation::Sync => continue,
        }
        versions.push(version);
    }
    versions
}

/// A forced write is stable with the length it needs: the last one, where that is an extension.
fn stable_with_its_length(versions: &mut [Version]) {
    let last = versions.iter_mut().rfind(|version| version.length.is_some());
    if let Some(growth) = last.filter(|version| version.sectors == [None; 3]) {
        growth.stable = true;
    }
}

fn issued(events: &[Event]) -> impl Iterator<Item = (usize, u64, &Operation)> {
    events.iter().enumerate().filter_map(|(at, event)| match event {
        Event::Issued { id, operation } => Some((at, *id, operation)),
        _ => None,
    })
}

fn answer(events: &[Event], wanted: u64) -> Option<(usize, bool)> {
    events.iter().enumerate().find_map(|(at, event)| match event {
        Event::Completed { id, result } if *id == wanted => Some((at, result.is_ok())),
        _ => None,
    })
}

fn at(number: u64) -> usize {
    usize::try_from(number).unwrap()
}
