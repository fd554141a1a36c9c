//! A QED image written from front to back in one pass, for a stream that cannot be sought in.
//!
//! ```text
//! header | L1 | L2 of the first span with data | its clusters in guest order | L2 | clusters | ...
//! ```
//!
//! The L1 table comes first and names every L2 table, so the number of clusters before each table
//! has to be known before anything is written: the source's extents are walked once to count the
//! clusters of each span, and a second time, span by span, to write its table and its data. What
//! the extents call zero gets no cluster; data that happens to be zeroes does, for by the time it
//! is read its table is out. The image is plain: no feature bits, no backing file, nothing leaked.

use super::super::work::Job;
use super::feed::{Feed, Piece};
use super::pipe::PipeReader;
use crate::addr::FileOffset;
use crate::error::{Error, ErrorKind, Result};
use crate::format::{Geometry, HEADER_BYTES, Header, L1Entry, L2Entry};
use crate::source::Source;
use crate::sync::{Mutex, Rank};

/// Where the image's data comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Guest<'a> {
    /// A disk, with holes where its extents say so.
    Disk(&'a dyn Source),
    /// A stream of so many bytes, all of them data.
    Stream(&'a PipeReader, u64),
}

/// The bytes of a QED image in the order of the file.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    guest: Guest<'a>,
    geometry: Geometry,
    header: Header,
    /// For each span that has data: its index in the L1 table, and its clusters.
    spans: Vec<(u64, u64)>,
    length: u64,
    at: Mutex<At>,
}

/// How far the image is out.
#[derive(Debug, Default)]
struct At {
    turn: u64,
    /// Bytes of the file.
    offset: u64,
    /// How many of `spans` have begun.
    spans_begun: usize,
    /// Bytes of tables that are not out yet, and how many of them are.
    tables: Vec<u8>,
    tables_out: usize,
    /// What is left of the span's data: runs of whole clusters, the last one first.
    runs: Vec<(u64, u64)>,
    /// Zeroes that fill the last cluster.
    padding: u64,
}

impl<'a> Layout<'a> {
    /// Plans an image of all of `guest`.
    ///
    /// # Errors
    /// The disk is larger than the geometry can address; what asking for its extents reports.
    pub(super) fn plan(guest: Guest<'a>, geometry: Geometry, job: &Job) -> Result<Self> {
        let size = guest.size();
        let header = Header {
            geometry,
            header_clusters: 1,
            features: 0,
            compat_features: 0,
            autoclear_features: 0,
            l1_table_offset: FileOffset(geometry.cluster_size()),
            image_size: size.checked_next_multiple_of(512).unwrap_or(u64::MAX),
            backing_words: (0, 0),
        };
        header.validate().map_err(|broken| Error::invalid(broken.to_string()))?;
        let mut spans = Vec::new();
        let mut length = geometry.cluster_size() + geometry.table_bytes();
        for index in 0..geometry.l1_entries_for(size) {
            job.check()?;
            let mut clusters = 0;
            guest.runs_of(index, geometry, &mut |_, bytes| {
                clusters += geometry.clusters_for(bytes)
            })?;
            if clusters > 0 {
                spans.push((index, clusters));
                let data = clusters.checked_mul(geometry.cluster_size());
                let grown = data.and_then(|data| length.checked_add(data + geometry.table_bytes()));
                length = grown.ok_or_else(|| Error::invalid("the image would be too long"))?;
            }
        }
        let at = Mutex::new(Rank::Work, At::default());
        Ok(Self { guest, geometry, header, spans, length, at })
    }

    /// Bytes of the image file.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The header's cluster and the L1 table.
    fn head(&self) -> Result<Vec<u8>> {
        let (cluster, table) = (self.geometry.cluster_size(), self.geometry.table_bytes());
        let mut bytes = vec![0; to_usize(cluster + table)?];
        bytes[..HEADER_BYTES].copy_from_slice(&self.header.encode());
        let mut place = cluster + table;
        for (index, clusters) in &self.spans {
            put(&mut bytes, cluster + index * 8, L1Entry::Table(FileOffset(place)).encode())?;
            place += table + clusters * cluster;
        }
        Ok(bytes)
    }

    /// Begins the next span: its table, whose first byte comes at `at.offset`, and its runs.
    fn begin_span(&self, at: &mut At, index: u64, clusters: u64) -> Result<()> {
        let (geometry, cluster) = (self.geometry, self.geometry.cluster_size());
        let mut table = vec![0; to_usize(geometry.table_bytes())?];
        let mut place = at.offset + geometry.table_bytes();
        let mut runs = Vec::new();
        let mut entries = Vec::new();
        self.guest.runs_of(index, geometry, &mut |start, bytes| {
            runs.push((start, bytes));
            entries.push((start / cluster, geometry.clusters_for(bytes)));
        })?;
        if entries.iter().map(|(_, count)| count).sum::<u64>() != clusters {
            let text = "the source's extents changed while it was copied";
            return Err(Error::new(ErrorKind::Io, text).at(index * geometry.l2_span()));
        }
        for (first, count) in entries {
            for guest in first..first + count {
                let entry = (guest % geometry.table_entries()) * 8;
                put(&mut table, entry, L2Entry::Data(FileOffset(place)).encode())?;
                place += cluster;
            }
        }
        runs.reverse();
        (at.tables, at.tables_out, at.runs) = (table, 0, runs);
        Ok(())
    }

    /// Gives out bytes of tables, where some wait.
    fn next_table(&self, at: &mut At, buffer: &mut [u8]) -> Result<Option<Piece>> {
        if at.tables_out == at.tables.len() && at.runs.is_empty() {
            if at.offset == 0 {
                (at.tables, at.tables_out) = (self.head()?, 0);
            } else if let Some((index, clusters)) = self.spans.get(at.spans_begun) {
                self.begin_span(at, *index, *clusters)?;
                at.spans_begun += 1;
            }
        }
        let rest = &at.tables[at.tables_out..];
        if rest.is_empty() {
            return Ok(None);
        }
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        at.tables_out += count;
        Ok(Some(at.piece(count as u64, false)))
    }

    /// Takes the next run of data, of at most `most` bytes: its piece, and where the guest has it.
    fn next_data(&self, at: &mut At, most: u64) -> Option<(Piece, u64)> {
        let (start, bytes) = at.runs.pop()?;
        let taken = bytes.min(most);
        if taken < bytes {
            at.runs.push((start + taken, bytes - taken));
        } else if !self.geometry.is_cluster_aligned(start + taken) {
            // The last cluster of the disk is whole in the file.
            at.padding = self.geometry.cluster_size() - self.geometry.in_cluster(start + taken);
        }
        Some((at.piece(taken, false), start))
    }
}

impl At {
    fn piece(&mut self, length: u64, zero: bool) -> Piece {
        let piece = Piece { turn: self.turn, offset: self.offset, length, zero };
        self.turn += 1;
        self.offset += length;
        piece
    }
}

impl Feed for Layout<'_> {
    fn fetch(&self, buffer: &mut [u8], job: &Job) -> Result<Option<Piece>> {
        let mut at = self.at.lock();
        if at.padding > 0 {
            let padding = std::mem::take(&mut at.padding);
            return Ok(Some(at.piece(padding, true)));
        }
        if let Some(piece) = self.next_table(&mut at, buffer)? {
            return Ok(Some(piece));
        }
        let next = self.next_data(&mut at, buffer.len() as u64);
        let Some((piece, start)) = next else { return Ok(None) };
        let part = &mut buffer[..to_usize(piece.length)?];
        match self.guest {
            Guest::Disk(source) => {
                drop(at);
                source.read(part, start)?;
            }
            // What comes out of a stream has one order: the lock keeps it.
            Guest::Stream(pipe, size) => {
                let received = pipe.fill(part, job)? as u64;
                if received < piece.length {
                    return Err(pipe.too_short(start + received, size));
                }
            }
        }
        Ok(Some(piece))
    }
}

impl Guest<'_> {
    fn size(&self) -> u64 {
        match self {
            Self::Disk(source) => source.size(),
            Self::Stream(_, size) => *size,
        }
    }

    /// Calls `visit` with the runs of data of span `index`: whole clusters, but at the disk's end,
    /// in ascending order and apart.
    fn runs_of(
        &self,
        index: u64,
        geometry: Geometry,
        visit: &mut dyn FnMut(u64, u64),
    ) -> Result<()> {
        let start = index * geometry.l2_span();
        let end = self.size().min(start.saturating_add(geometry.l2_span()));
        let Self::Disk(source) = self else {
            visit(start, end - start);
            return Ok(());
        };
        let cluster = geometry.cluster_size();
        let (mut at, mut run) = (start, start..start);
        while at < end {
            let extent = source.extent(at, end - at)?;
            let next = at.saturating_add(extent.length).min(end);
            if !extent.reads_zero() {
                let first = at - geometry.in_cluster(at);
                if first > run.end {
                    if !run.is_empty() {
                        visit(run.start, run.end - run.start);
                    }
                    run.start = first;
                }
                let whole = next.checked_next_multiple_of(cluster).unwrap_or(end);
                run.end = whole.min(end);
            }
            at = next.max(at + 1);
        }
        if !run.is_empty() {
            visit(run.start, run.end - run.start);
        }
        Ok(())
    }
}

fn put(bytes: &mut [u8], at: u64, word: u64) -> Result<()> {
    let at = to_usize(at)?;
    bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    Ok(())
}

fn to_usize(bytes: u64) -> Result<usize> {
    usize::try_from(bytes).map_err(|_| Error::invalid("a table is larger than memory"))
}
