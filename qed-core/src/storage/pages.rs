//! A sparse array of bytes, kept in pages of 4 KiB: what the storages in memory are made of.
//!
//! Knows which pages are present and nothing of what an absent page means: each caller says so.

use super::span::to_usize;
use std::collections::BTreeMap;

/// Bytes of a page.
pub(super) const PAGE: u64 = 4096;

/// A page's content.
pub(super) type Page = [u8; 4096];

/// Pages that are present, by index (byte offset / [`PAGE`]).
#[derive(Default)]
pub(super) struct Pages {
    present: BTreeMap<u64, Box<Page>>,
}

/// The part of a range that lies in one page.
struct Piece {
    page: u64,
    /// First byte inside the page.
    start: usize,
    length: usize,
}

impl Pages {
    /// Copies present bytes at `offset` into `buffer`; `absent(part, at)` provides the others.
    pub(super) fn read<'a>(
        &self,
        buffer: &'a mut [u8],
        offset: u64,
        mut absent: impl FnMut(&'a mut [u8], u64),
    ) {
        let mut rest = buffer;
        for piece in pieces(offset, rest.len() as u64) {
            let (part, tail) = rest.split_at_mut(piece.length);
            match self.present.get(&piece.page) {
                Some(page) => part.copy_from_slice(&page[piece.start..piece.start + part.len()]),
                None => absent(part, piece.page * PAGE + piece.start as u64),
            }
            rest = tail;
        }
    }

    /// Stores `bytes` at `offset`; `absent(page, at)` provides a page that is not written whole.
    pub(super) fn write(
        &mut self,
        bytes: &[u8],
        offset: u64,
        mut absent: impl FnMut(&mut Page, u64),
    ) {
        let mut rest = bytes;
        for piece in pieces(offset, rest.len() as u64) {
            let (part, tail) = rest.split_at(piece.length);
            if !self.contains(piece.page) {
                let mut page = Box::new([0; 4096]);
                if part.len() < page.len() {
                    absent(&mut page, piece.page * PAGE);
                }
                self.present.insert(piece.page, page);
            }
            if let Some(page) = self.present.get_mut(&piece.page) {
                page[piece.start..piece.start + part.len()].copy_from_slice(part);
            }
            rest = tail;
        }
    }

    /// Sets what is present of the range to `value`. With `drop_whole`, pages that lie wholly in it
    /// become absent instead.
    pub(super) fn fill(&mut self, offset: u64, length: u64, value: u8, drop_whole: bool) {
        let Some(last) = length.checked_sub(1).map(|length| offset.saturating_add(length)) else {
            return;
        };
        let mut dropped = Vec::new();
        for (index, page) in self.present.range_mut(offset / PAGE..=last / PAGE) {
            let base = index * PAGE;
            let start = to_usize(offset.saturating_sub(base));
            let end = to_usize((last - base).min(PAGE - 1)) + 1;
            if drop_whole && start == 0 && end == page.len() {
                dropped.push(*index);
            } else {
                page[start..end].fill(value);
            }
        }
        for index in dropped {
            self.present.remove(&index);
        }
    }

    /// Whether the page of this index is present.
    pub(super) fn contains(&self, page: u64) -> bool {
        self.present.contains_key(&page)
    }

    /// Pages that are present.
    pub(super) fn count(&self) -> u64 {
        self.present.len() as u64
    }

    /// Whether the byte at `offset` is present, and for how many bytes, at most `limit`, that goes
    /// on.
    pub(super) fn run(&self, offset: u64, limit: u64) -> (bool, u64) {
        let first = offset / PAGE;
        let here = self.contains(first);
        let end = offset.saturating_add(limit);
        let mut next = first;
        if here {
            for index in self.present.range(first..).map(|(index, _)| *index) {
                if index != next || index * PAGE >= end {
                    break;
                }
                next += 1;
            }
        } else {
            let found = self.present.range(first..).next().map(|(index, _)| *index);
            next = found.unwrap_or(u64::MAX / PAGE);
        }
        (here, next.saturating_mul(PAGE).min(end) - offset)
    }
}

/// The parts of a range, page by page. The range ends below 2^63.
fn pieces(offset: u64, length: u64) -> impl Iterator<Item = Piece> {
    let end = offset + length;
    let mut at = offset;
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let start = at % PAGE;
        let length = (PAGE - start).min(end - at);
        let piece = Piece { page: at / PAGE, start: to_usize(start), length: to_usize(length) };
        at += length;
        Some(piece)
    })
}
