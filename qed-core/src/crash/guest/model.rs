//! What the guest may read after a crash: the versions of every sector, and which are stable.
//!
//! A sector reads as any version since its last stable one. Versions are known by their digests,
//! so that any bytes will do; bytes that name their writer make the better messages.

use super::call::Call;
use super::content::identify;
use crate::crash::medium::{Medium, SECTOR};
use crate::crash::random::digest;
use crate::crash::states::{Span, Survivors, Syncs, Version};
use crate::storage::{Event, Log};
use std::collections::{BTreeMap, HashMap};

/// The guest's disk before the first call.
pub trait Initial: Send + Sync {
    /// Fills one sector.
    fn read(&self, sector: u64, buffer: &mut [u8; 512]);

    /// The digest of one sector.
    fn digest(&self, sector: u64) -> u64 {
        let mut buffer = [0; 512];
        self.read(sector, &mut buffer);
        digest(&buffer)
    }
}

/// The disk as the guest sees it, over time.
#[derive(Debug, Default)]
pub struct GuestModel {
    calls: Vec<Issued>,
    /// For each sector that was ever touched, its versions in order of completion.
    touched: BTreeMap<u64, Vec<Written>>,
    /// Where each digest was first written: index into `calls`, sector.
    provenance: HashMap<u64, (usize, u64)>,
    /// Bytes of a cluster: discards free whole ones.
    cluster: u64,
    /// Bytes of the disk before the first call.
    size: u64,
}

#[derive(Debug)]
struct Issued {
    number: u64,
    call: Call,
    span: Span,
    stable_at: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Written {
    call: usize,
    digest: u64,
}

/// How wrong a sector is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It reads as a version of its own that is too old, or as zeroes: something stable is lost.
    Lost,
    /// It reads as something that was never there.
    Foreign,
}

impl GuestModel {
    /// The calls that `log` says were made over a disk of `size` bytes that read as `initial`, in
    /// clusters of `cluster` bytes. The log's payloads are indexes into `calls`.
    pub fn new(cluster: u64, size: u64, initial: &dyn Initial, calls: &[Call], log: &Log) -> Self {
        let spans = spans(log);
        let flushes = Syncs::new(flushes(calls, &spans));
        let mut issued = Vec::new();
        for (number, call) in (0..).zip(calls) {
            let Some(mut span) = spans.get(&number).copied() else { continue };
            span.forced = call.is_forced();
            let stable_at = flushes.stable_at(&span);
            issued.push(Issued { number, call: call.clone(), span, stable_at });
        }
        issued.sort_by_key(|issued| issued.span.key());
        let mut model = Self { cluster, size, calls: issued, ..Self::default() };
        model.write_all(initial);
        model
    }

    /// Gives each sector its versions. A version of a sector that is written in part holds what
    /// was there before it.
    fn write_all(&mut self, initial: &dyn Initial) {
        let mut disk = Medium::default();
        for (index, issued) in self.calls.iter().enumerate() {
            let sectors = issued.call.sectors();
            if let Call::Killed(seen) = &issued.call {
                for (sector, digest) in seen {
                    let version = Written { call: index, digest: *digest };
                    self.touched.entry(*sector).or_default().push(version);
                }
                continue;
            }
            if sectors.is_empty() {
                continue;
            }
            for sector in [sectors.first(), sectors.last()].into_iter().flatten() {
                if !self.touched.contains_key(sector) && sector * SECTOR < self.size {
                    let mut buffer = [0; 512];
                    initial.read(*sector, &mut buffer);
                    disk.write(sector * SECTOR, &buffer);
                }
            }
            let (offset, length) = issued.call.range().unwrap_or_default();
            match issued.call.bytes(issued.number) {
                Some(bytes) => disk.write(offset, &bytes),
                None => disk.zero(offset, length),
            }
            for sector in sectors {
                let digest = disk.sector_digest(sector);
                self.touched.entry(sector).or_default().push(Written { call: index, digest });
                self.provenance.entry(digest).or_insert((index, sector));
            }
        }
    }

    /// The digest of a sector before the first call. What lay behind the disk's end was not there.
    fn at_first(&self, sector: u64, initial: &dyn Initial) -> u64 {
        if sector * SECTOR < self.size { initial.digest(sector) } else { 0 }
    }

    /// The sizes that the disk may have after a crash at `t`.
    #[must_use]
    pub fn sizes(&self, t: usize) -> Vec<u64> {
        let mut legal = vec![self.size];
        for issued in self.calls.iter().filter(|issued| issued.span.issued_by(t)) {
            let Call::Resize { to, .. } = issued.call else { continue };
            if issued.stable_at.is_some_and(|event| event < t) {
                legal.clear();
            }
            legal.push(to);
        }
        legal
    }

    /// The events at which something becomes stable: behind them less is legal.
    #[must_use]
    pub fn boundaries(&self) -> Vec<usize> {
        let mut events: Vec<usize> =
            self.calls.iter().filter_map(|issued| issued.stable_at).collect();
        events.sort_unstable();
        events.dedup();
        events
    }

    /// The calls that were issued before a crash at `t`: their number, whether they had returned
    /// without an error, and whether what they did was stable.
    pub fn calls_at(&self, t: usize) -> Vec<(u64, bool, bool)> {
        let issued = self.calls.iter().filter(|call| call.span.issued_by(t));
        let told = |call: &Issued| {
            let returned = call.span.done && call.span.completion.is_some_and(|event| event < t);
            let stable = call.stable_at.is_some_and(|event| event < t);
            (call.number, returned, stable || returned && call.call == Call::Flush)
        };
        let mut calls: Vec<_> = issued.map(told).collect();
        calls.sort_unstable();
        calls
    }

    /// Sectors that any call touched, ascending.
    pub fn touched(&self) -> impl Iterator<Item = u64> + '_ {
        self.touched.keys().copied()
    }

    /// Whether any call touched a sector of this range.
    #[must_use]
    pub fn touches(&self, sectors: std::ops::Range<u64>) -> bool {
        self.touched.range(sectors).next().is_some()
    }

    /// What is wrong with a sector that reads as `found` after a crash at `t`, if anything.
    pub fn judge(&self, sector: u64, found: u64, t: usize, initial: &dyn Initial) -> Option<Wrong> {
        let Some(versions) = self.touched.get(&sector) else {
            let expected = self.at_first(sector, initial);
            let wrong = if found == 0 { Wrong::Lost } else { Wrong::Foreign };
            return (found != expected).then_some(wrong);
        };
        // Nothing stable hides the initial content, so look at the versions that may be there.
        let issued = versions.iter().filter(|version| self.calls[version.call].span.issued_by(t));
        let issued: Vec<&Written> = issued.collect();
        let legal = Survivors::of(&self.versions(&issued, sector, t));
        let is_legal = |version: usize| issued[version].digest == found;
        let initially = legal.settled.is_none() && self.at_first(sector, initial) == found;
        if initially || legal.settled.into_iter().chain(legal.choices).any(is_legal) {
            return None;
        }
        let own = versions.iter().any(|version| version.digest == found);
        // Zeroes that were stable and show what lies below them are no old version: it was hidden.
        let hidden = legal.settled.is_some_and(|version| issued[version].digest == 0)
            && found == initial.digest(sector);
        let lost = !hidden && (own || found == 0 || found == initial.digest(sector));
        Some(if lost { Wrong::Lost } else { Wrong::Foreign })
    }

    /// The digests that are legal for a sector at `t`.
    pub fn legal(&self, sector: u64, t: usize, initial: &dyn Initial) -> Vec<u64> {
        let Some(versions) = self.touched.get(&sector) else {
            return vec![self.at_first(sector, initial)];
        };
        let issued = versions.iter().filter(|version| self.calls[version.call].span.issued_by(t));
        let issued: Vec<&Written> = issued.collect();
        let legal = Survivors::of(&self.versions(&issued, sector, t));
        let settled =
            legal.settled.map_or(self.at_first(sector, initial), |index| issued[index].digest);
        std::iter::once(settled).chain(legal.choices.iter().map(|i| issued[*i].digest)).collect()
    }

    /// Whether everything a sector may read as at `t` is one value, which is stable then.
    pub fn stable(&self, sector: u64, t: usize, initial: &dyn Initial) -> Option<u64> {
        let legal = self.legal(sector, t, initial);
        legal.iter().all(|digest| *digest == legal[0]).then_some(legal[0])
    }

    /// What a sector is that reads as `bytes`, and what it should have been, in words.
    pub fn tell(&self, sector: u64, bytes: &[u8], t: usize, initial: &dyn Initial) -> String {
        let mut legal: Vec<String> =
            self.legal(sector, t, initial).into_iter().map(|d| self.name(d, sector)).collect();
        legal.dedup();
        let mut found = identify(bytes);
        if found.starts_with("bytes ")
            && let Some((call, place)) = self.provenance.get(&digest(bytes))
        {
            found = format!("what call {} wrote at sector {place}", self.calls[*call].number);
        }
        format!("guest sector {sector} reads {found}; legal: {}", legal.join(", "))
    }

    fn name(&self, digest: u64, sector: u64) -> String {
        match self.provenance.get(&digest) {
            _ if digest == 0 => "zeroes".to_owned(),
            Some((call, place)) if *place == sector => {
                format!("what call {} wrote", self.calls[*call].number)
            }
            Some((call, place)) => {
                format!("what call {} wrote at sector {place}", self.calls[*call].number)
            }
            None => "what was there at first".to_owned(),
        }
    }

    fn versions(&self, written: &[&Written], sector: u64, t: usize) -> Vec<Version> {
        let version = |(index, written): (usize, &&Written)| {
            let issued = &self.calls[written.call];
            let stable = issued.stable_at.is_some_and(|event| event < t);
            (index, issued.span, stable && self.is_binding(issued, sector))
        };
        written.iter().enumerate().map(version).collect()
    }

    /// A discard promises zeroes for whole clusters; of others it may keep the content.
    fn is_binding(&self, issued: &Issued, sector: u64) -> bool {
        let Call::Discard { offset, length } = issued.call else { return true };
        let start = sector * SECTOR / self.cluster * self.cluster;
        offset <= start && start + self.cluster <= offset + length
    }
}

/// The flushes among the calls, as syncs of the guest's disk.
fn flushes(calls: &[Call], spans: &BTreeMap<u64, Span>) -> Vec<Span> {
    let of = |(number, call): (u64, &Call)| {
        let span = *spans.get(&number)?;
        match call {
            // One that failed promises nothing; a later one that succeeds promises all.
            Call::Flush => span.done.then_some(span),
            // As a flush that failed at once.
            Call::Killed(_) => Some(Span { completion: Some(span.issue), done: false, ..span }),
            _ => None,
        }
    };
    (0..).zip(calls).filter_map(of).collect()
}

fn spans(log: &Log) -> BTreeMap<u64, Span> {
    let mut spans = BTreeMap::new();
    for (index, event) in log.events.iter().enumerate() {
        match event {
            Event::Begin { payload } => {
                let span = Span { issue: index, completion: None, done: false, forced: false };
                spans.insert(*payload, span);
            }
            Event::End { payload, done } => {
                if let Some(span) = spans.get_mut(payload) {
                    let span: &mut Span = span;
                    span.completion = Some(index);
                    span.done = *done;
                }
            }
            _ => {}
        }
    }
    spans
}
