//! What a disk must read as: a raw file written beside the image, and where it was touched.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::layout::Layout;
use crate::operation::{Content, Operation};

/// Zeroes are written, and content compared, so many bytes at a time.
const PIECE: u64 = 1 << 20;

#[derive(Debug)]
pub(crate) struct Shadow {
    pub(crate) path: PathBuf,
    file: File,
    pub(crate) size: u64,
    /// Disjoint ranges, ascending, in which something was written; elsewhere the disk is as it was
    /// created, without data.
    pub(crate) touched: Vec<Range<u64>>,
}

impl Shadow {
    /// A disk of zeroes.
    pub(crate) fn new(path: PathBuf, size: u64) -> Self {
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        file.set_len(size).unwrap();
        Self { path, file, size, touched: Vec::new() }
    }

    /// Applies a request. `discards` says what a discard does: whole clusters read as zeroes, or
    /// nothing.
    pub(crate) fn apply(&mut self, operation: &Operation, layout: &Layout, discards: bool) {
        match operation {
            Operation::Write { range, content, .. } => self.write(range, *content),
            Operation::Zeroes { range, .. } => self.zero(range),
            Operation::Discard { range } if discards => {
                let size = layout.cluster;
                let end = if range.end == self.size {
                    range.end.div_ceil(size)
                } else {
                    range.end / size
                };
                let clusters = range.start.div_ceil(size) * size..(end * size).min(self.size);
                if clusters.start < clusters.end {
                    self.zero(&clusters);
                }
            }
            Operation::Discard { .. }
            | Operation::Read { .. }
            | Operation::Flush
            | Operation::Reopen => {}
        }
    }

    pub(crate) fn write(&mut self, range: &Range<u64>, content: Content) {
        let bytes = content.bytes(range.end - range.start);
        self.file.write_all_at(&bytes, range.start).unwrap();
        self.touch(range);
    }

    fn zero(&mut self, range: &Range<u64>) {
        for piece in pieces(range) {
            // What is a hole stays one.
            if self.read(&piece).iter().any(|byte| *byte != 0) {
                let zeroes = Content::Fill(0).bytes(piece.end - piece.start);
                self.file.write_all_at(&zeroes, piece.start).unwrap();
            }
        }
        self.touch(range);
    }

    /// The disk begins with what `base` holds, as far as the two have places in common.
    pub(crate) fn begin_with(&mut self, base: &Self) {
        for range in &base.touched {
            let common = range.start..range.end.min(self.size);
            for piece in pieces(&common) {
                self.file.write_all_at(&base.read(&piece), piece.start).unwrap();
            }
            if common.start < common.end {
                self.touch(&common);
            }
        }
    }

    /// The bytes of a range; zeroes past the end.
    pub(crate) fn read(&self, range: &Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
        let present = self.size.saturating_sub(range.start).min(bytes.len() as u64);
        let present = usize::try_from(present).unwrap();
        self.file.read_exact_at(&mut bytes[..present], range.start).unwrap();
        bytes
    }

    /// The touched ranges grown to whole clusters and one more on each side, on a disk of `size`
    /// bytes.
    pub(crate) fn neighbourhood(&self, cluster: u64, size: u64) -> Vec<Range<u64>> {
        let grown = self.touched.iter().map(|range| {
            let start = (range.start / cluster).saturating_sub(1) * cluster;
            start..((range.end.div_ceil(cluster) + 1) * cluster).min(size)
        });
        joined(grown.collect())
    }

    fn touch(&mut self, range: &Range<u64>) {
        self.touched.push(range.clone());
        self.touched = joined(std::mem::take(&mut self.touched));
    }
}

/// The same places in disjoint ranges, ascending.
fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

pub(crate) fn pieces(range: &Range<u64>) -> impl Iterator<Item = Range<u64>> + use<> {
    let Range { start, end } = *range;
    (start..end).step_by(usize::try_from(PIECE).unwrap()).map(move |at| at..(at + PIECE).min(end))
}

/// Fails, with the place of the first difference, where `found` is not what is expected at `at`.
pub(crate) fn assert_same(found: &[u8], expected: &[u8], at: u64, who: &str) {
    if found != expected {
        let byte = found.iter().zip(expected).position(|(found, right)| found != right).unwrap();
        let (is, should) = (found[byte], expected[byte]);
        let place = at + byte as u64;
        panic!("{who} reads {is:#04x} instead of {should:#04x} at guest offset {place}");
    }
}

pub(crate) fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}
