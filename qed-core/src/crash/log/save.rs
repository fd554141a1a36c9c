//! A log as a v1 file: other tools replay it, and our own reader gets every event back.
//!
//! What the file held at first comes as writes, then a flush. A write stands where it completed, a
//! flush where a sync was issued that succeeded: so what stands before a flush is what it covered.
//! A write that never completed comes last, where it may persist or not. Everything else is marks.

use super::marks::Line;
use super::v1::{HEAD_BYTES, Head, Superblock, check_sector_size, flags};
use crate::crash::guest::Call;
use crate::crash::medium::Medium;
use crate::crash::states::run;
use crate::error::Result;
use crate::storage::{Event, Log, Operation};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The bytes of a v1 file that holds `log` and the guest's `calls`.
///
/// # Errors
/// A sector size that is none.
pub fn save(log: &Log, calls: &[Call], sector_size: u32) -> Result<Vec<u8>> {
    check_sector_size(sector_size)?;
    let mut writer = Writer::new(log, sector_size);
    writer.line(&Line::Header(log.limits, log.base.length));
    for (offset, bytes) in &log.base.blocks {
        writer.write(*offset..offset + bytes.len() as u64, 0);
    }
    writer.entry(0, 0, flags::FLUSH);
    for (number, call) in (0..).zip(calls) {
        writer.line(&Line::Call(number, call.clone()));
    }
    writer.line(&Line::Begin);
    for event in &log.events {
        writer.event(event);
    }
    writer.never_completed();
    Ok(writer.finish())
}

struct Writer<'a> {
    bytes: Vec<u8>,
    entries: u64,
    sector_size: u64,
    /// The content as far as the log has come.
    medium: Medium,
    operations: BTreeMap<u64, &'a Operation>,
    /// Syncs that succeed.
    syncs: BTreeSet<u64>,
}

impl<'a> Writer<'a> {
    fn new(log: &'a Log, sector_size: u32) -> Self {
        let operations = log.events.iter().filter_map(|event| match event {
            Event::Issued { id, operation } => Some((*id, operation)),
            _ => None,
        });
        let succeeded = log.events.iter().filter_map(|event| match event {
            Event::Completed { id, result: Ok(()) } => Some(*id),
            _ => None,
        });
        Self {
            bytes: vec![0; usize::try_from(sector_size).unwrap_or(512)],
            entries: 0,
            sector_size: sector_size.into(),
            medium: Medium::new(&log.base),
            operations: operations.collect(),
            syncs: succeeded.collect(),
        }
    }

    fn event(&mut self, event: &Event) {
        self.line(&Line::of(event));
        match event {
            Event::Issued { id, operation: Operation::Sync } if self.syncs.contains(id) => {
                self.entry(0, 0, flags::FLUSH);
            }
            Event::Completed { id, .. } => {
                if let Some(operation) = self.operations.remove(id) {
                    self.effect(operation);
                }
            }
            _ => {}
        }
    }

    /// What an operation did to the file, for readers that know no marks.
    fn effect(&mut self, operation: &Operation) {
        let (touched, _) = run(&mut self.medium, operation);
        match operation {
            Operation::Sync => {}
            Operation::Write { flags: asked, .. } => {
                let fua = if asked.fua { flags::FUA } else { 0 };
                let metadata = if asked.metadata { flags::METADATA } else { 0 };
                self.write(touched, fua | metadata);
            }
            _ => {
                let first = touched.start.div_ceil(self.sector_size);
                let end = touched.end / self.sector_size;
                if first < end {
                    self.entry(first, end - first, flags::DISCARD);
                }
            }
        }
    }

    fn never_completed(&mut self) {
        for (id, operation) in std::mem::take(&mut self.operations) {
            if matches!(operation, Operation::Write { .. }) {
                self.line(&Line::Payload(id));
                self.effect(operation);
            }
        }
    }

    /// The sectors that hold a range, as they are now.
    fn write(&mut self, range: Range<u64>, bits: u64) {
        let first = range.start / self.sector_size;
        let count = range.end.div_ceil(self.sector_size) - first;
        if count == 0 {
            return;
        }
        self.entry(first, count, bits);
        let bytes = self.medium.bytes(first * self.sector_size, count * self.sector_size);
        self.bytes.extend(bytes);
    }

    fn line(&mut self, line: &Line) {
        let room = usize::try_from(self.sector_size).unwrap_or(512) - HEAD_BYTES;
        for text in line.marks(room) {
            self.head(&Head {
                sector: 0,
                sectors: 0,
                flags: flags::MARK,
                data_length: text.len() as u64,
            });
            self.bytes.extend(text);
            self.pad();
        }
    }

    fn entry(&mut self, sector: u64, sectors: u64, flags: u64) {
        self.head(&Head { sector, sectors, flags, data_length: 0 });
        self.pad();
    }

    fn head(&mut self, head: &Head) {
        self.entries += 1;
        self.bytes.extend(head.encode());
    }

    fn pad(&mut self) {
        let size = usize::try_from(self.sector_size).unwrap_or(512);
        self.bytes.resize(self.bytes.len().next_multiple_of(size), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        let sector_size = u32::try_from(self.sector_size).unwrap_or(512);
        let superblock = Superblock { entries: self.entries, sector_size }.encode();
        self.bytes[..superblock.len()].copy_from_slice(&superblock);
        self.bytes
    }
}
