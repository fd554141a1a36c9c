//! A v1 file as a log: our own with every event, anybody's as far as it says.
//!
//! A log of the kernel's or of QEMU's knows no issue, only completion: each write counts as issued
//! and completed at once. It is sound where requests came one at a time. It holds no change of
//! length: the file is as long as what it began with and whatever was written past that. The
//! guest's calls come from outside, with the number of entries behind each.

use super::entries::{Entries, Entry, Leniency};
use super::marks::{Joiner, Line, Mark};
use super::v1::flags;
use crate::crash::guest::Call;
use crate::error::{Error, Result};
use crate::storage::{Base, Event, Limits, Log, Operation, WriteFlags};
use std::collections::HashMap;
use std::sync::Arc;

/// What a log file does not say itself.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// How much is put up with.
    pub leniency: Leniency,
    /// The file before the first entry, for logs that do not hold it.
    pub base: Option<Arc<Base>>,
    /// The guest's calls, in order, each with the number of entries that the log held when it
    /// returned.
    pub workload: Vec<(Call, u64)>,
}

/// A log and the guest's calls in it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What happened.
    pub log: Log,
    /// The guest's calls; the log's payloads are indexes into them.
    pub calls: Vec<Call>,
    /// Whether our own marks say everything; else the log is somebody else's.
    pub own: bool,
    /// What lenient reading did without, in words.
    pub missing: Option<String>,
}

/// Reads a v1 file.
///
/// # Errors
/// What breaks the format, with its place; a workload whose counts run backwards or past the end.
pub fn load(bytes: &[u8], options: &LoadOptions) -> Result<Loaded> {
    let found = Entries::decode(bytes, options.leniency)?;
    let mut loaded = match Own::read(bytes, &found)? {
        Some(loaded) => loaded,
        None => foreign(bytes, &found, options)?,
    };
    loaded.missing = found.missing;
    Ok(loaded)
}

/// A log of our own, under way.
struct Own<'a> {
    bytes: &'a [u8],
    sector_size: u64,
    log: Log,
    calls: Vec<Call>,
    base: Base,
    begun: bool,
    /// Writes that wait for their bytes: their event and length.
    waiting: HashMap<u64, (usize, u64)>,
    /// The write whose bytes come next.
    next: Option<u64>,
}

impl<'a> Own<'a> {
    /// Everything, if the first mark is ours.
    fn read(bytes: &'a [u8], found: &Entries) -> Result<Option<Loaded>> {
        let Some(first) = found.entries.first() else { return Ok(None) };
        let Mark::Line(Line::Header(limits, length)) = Joiner::default().take(&first.text) else {
            return Ok(None);
        };
        let log = Log { base: Arc::default(), events: Vec::new(), limits };
        let base = Base { length, blocks: Vec::new() };
        let sector_size = found.sector_size.into();
        let (calls, waiting) = (Vec::new(), HashMap::new());
        let mut own =
            Self { bytes, sector_size, log, calls, base, begun: false, waiting, next: None };
        let mut joiner = Joiner::default();
        for (number, entry) in found.entries.iter().enumerate().skip(1) {
            own.entry(entry, &mut joiner).map_err(|what| {
                let at = entry.payload.start as u64;
                Error::invalid(format!("entry {number} of the write log: {what}")).at(at)
            })?;
        }
        own.log.base = Arc::new(own.base);
        Ok(Some(Loaded { log: own.log, calls: own.calls, own: true, missing: None }))
    }

    fn entry(&mut self, entry: &Entry, joiner: &mut Joiner) -> std::result::Result<(), String> {
        if entry.head.has(flags::MARK) {
            return match joiner.take(&entry.text) {
                Mark::Part => Ok(()),
                Mark::Line(line) => self.line(line),
                Mark::Other => Err("a mark that is no line of ours".to_owned()),
            };
        }
        if entry.payload.is_empty() {
            return Ok(());
        }
        let bytes = &self.bytes[entry.payload.clone()];
        let first = entry.head.sector * self.sector_size;
        if !self.begun {
            return self.base_block(first, bytes);
        }
        let id = self.next.take().ok_or("bytes that no write waits for")?;
        let (index, length) = self.waiting.remove(&id).ok_or("bytes that came before")?;
        let Some(Event::Issued { operation: Operation::Write { offset, data, .. }, .. }) =
            self.log.events.get_mut(index)
        else {
            return Err("bytes of no write".to_owned());
        };
        let skip = offset.checked_sub(first).and_then(|skip| usize::try_from(skip).ok());
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let part = skip.and_then(|skip| bytes.get(skip..skip.checked_add(length)?));
        *data = part.ok_or("bytes of another place")?.into();
        Ok(())
    }

    fn line(&mut self, line: Line) -> std::result::Result<(), String> {
        match line {
            Line::Header(..) => return Err("a second beginning".to_owned()),
            Line::Begin => self.begun = true,
            Line::Payload(id) => self.next = Some(id),
            Line::Call(number, call) if number == self.calls.len() as u64 => self.calls.push(call),
            Line::Call(number, _) => return Err(format!("call {number} is out of order")),
            Line::IssuedWrite { id, offset, length, flags } => {
                if length > 0 {
                    self.waiting.insert(id, (self.log.events.len(), length));
                }
                let operation = Operation::Write { offset, data: Arc::from([]), flags };
                self.log.events.push(Event::Issued { id, operation });
            }
            Line::Event(event) => {
                if let Event::Completed { id, .. } = &event {
                    self.next = Some(*id).filter(|id| self.waiting.contains_key(id)).or(self.next);
                }
                self.log.events.push(event);
            }
        }
        Ok(())
    }

    fn base_block(&mut self, first: u64, bytes: &[u8]) -> std::result::Result<(), String> {
        let inside = self.base.length.checked_sub(first).ok_or("a block past the end")?;
        let inside = usize::try_from(inside).unwrap_or(usize::MAX).min(bytes.len());
        self.base.blocks.push((first, bytes[..inside].to_vec()));
        Ok(())
    }
}

/// A log of somebody else's.
fn foreign(bytes: &[u8], found: &Entries, options: &LoadOptions) -> Result<Loaded> {
    let unit = if found.sector_size == 4096 { 4096 } else { 512 };
    let limits = Limits { atomic_unit: unit, zeroes_new_space: true, can_punch: true };
    let base = options.base.clone().unwrap_or_default();
    let mut builder = Builder { log: Log { base, events: Vec::new(), limits }, operations: 0 };
    let mut calls = Vec::new();
    let mut workload = options.workload.iter().peekable();
    let mut begun = false;
    for (number, entry) in (0..).zip(&found.entries) {
        while let Some((call, _)) = workload.next_if(|(_, end)| *end <= number) {
            builder.call(&mut calls, call, &mut begun);
        }
        if workload.peek().is_some() && !begun {
            builder.log.events.push(Event::Begin { payload: calls.len() as u64 });
            begun = true;
        }
        let payload = bytes.get(entry.payload.clone()).unwrap_or_default();
        builder.entry(entry, payload, found.sector_size.into());
    }
    for (call, end) in workload {
        if *end > found.entries.len() as u64 {
            let count = found.entries.len();
            let message = format!("call {call} ends behind entry {end}, and there are {count}");
            return Err(Error::invalid(message));
        }
        builder.call(&mut calls, call, &mut begun);
    }
    Ok(Loaded { log: builder.log, calls, own: false, missing: None })
}

struct Builder {
    log: Log,
    operations: u64,
}

impl Builder {
    /// A guest call that has returned.
    fn call(&mut self, calls: &mut Vec<Call>, call: &Call, begun: &mut bool) {
        let payload = calls.len() as u64;
        if !*begun {
            self.log.events.push(Event::Begin { payload });
        }
        self.log.events.push(Event::End { payload, done: true });
        calls.push(call.clone());
        *begun = false;
    }

    fn entry(&mut self, entry: &Entry, payload: &[u8], sector_size: u64) {
        if entry.head.has(flags::MARK) {
            let text = String::from_utf8_lossy(&entry.text).into_owned();
            self.log.events.push(Event::Mark(text));
            return;
        }
        if entry.head.has(flags::FLUSH) {
            self.run(Operation::Sync);
        }
        let (offset, length) = (entry.head.sector * sector_size, entry.head.sectors * sector_size);
        if length == 0 {
            return;
        }
        self.run(match entry.head.has(flags::DISCARD) {
            true => Operation::Punch { offset, length },
            false => Operation::Write {
                offset,
                data: payload.into(),
                flags: WriteFlags {
                    fua: entry.head.has(flags::FUA),
                    metadata: entry.head.has(flags::METADATA),
                },
            },
        });
    }

    fn run(&mut self, operation: Operation) {
        let id = self.operations;
        self.operations += 1;
        self.log.events.push(Event::Issued { id, operation });
        self.log.events.push(Event::Completed { id, result: Ok(()) });
    }
}
