//! Runs of a disk that are stored alike.

use std::fmt;

use crate::error::{Error, Result};

/// A run of guest bytes that is stored in one way, in one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Guest bytes from the start of the disk.
    pub offset: u64,
    /// Bytes of the run, at least 1.
    pub length: u64,
    /// How the run is stored.
    pub kind: ExtentKind,
    /// The layer that says so: 0 is the disk that was asked, 1 its backing file, and so on.
    pub depth: u32,
}

/// How a run of guest bytes is stored (F3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtentKind {
    /// Stored in the layer's file.
    Data {
        /// Where in the file, in bytes; None where the data is compressed.
        file_offset: Option<u64>,
    },
    /// Reads as zeroes, whatever lies below.
    Zero {
        /// Where the file keeps space for the run, in bytes; None where it keeps none.
        file_offset: Option<u64>,
    },
    /// Not in the layer: reads the backing file, zeroes without one or past its end.
    Unallocated,
}

impl Extent {
    /// Whether the run is known to read as zeroes, for an extent of a whole chain.
    #[must_use]
    pub fn reads_zero(&self) -> bool {
        !matches!(self.kind, ExtentKind::Data { .. })
    }

    /// The same run, of a layer that lies `layers` further down.
    #[must_use]
    pub fn below(mut self, layers: u32) -> Self {
        self.depth = self.depth.saturating_add(layers);
        self
    }

    /// Adds `next` to this run, if it goes on in the same way.
    fn absorb(&mut self, next: &Self) -> bool {
        let goes_on = self.depth == next.depth && self.kind.after(self.length) == next.kind;
        if goes_on {
            self.length += next.length;
        }
        goes_on
    }
}

impl ExtentKind {
    /// What this is `bytes` further on.
    fn after(self, bytes: u64) -> Self {
        // A file has less than 2^63 bytes.
        let moved = |offset: Option<u64>| offset.map(|offset| offset.saturating_add(bytes));
        match self {
            Self::Data { file_offset } => Self::Data { file_offset: moved(file_offset) },
            Self::Zero { file_offset } => Self::Zero { file_offset: moved(file_offset) },
            Self::Unallocated => Self::Unallocated,
        }
    }
}

/// The runs of a range, in ascending order, neighbours joined. Ends after an error.
pub struct Extents<'a> {
    ask: Box<dyn Fn(u64, u64) -> Result<Extent> + Send + Sync + 'a>,
    at: u64,
    end: u64,
    begun: Option<Extent>,
    failed: Option<Error>,
}

impl<'a> Extents<'a> {
    /// The runs of `length` bytes at `offset`, a range inside the disk, each as `ask` tells the
    /// first run of a range.
    pub(crate) fn new(
        offset: u64,
        length: u64,
        ask: impl Fn(u64, u64) -> Result<Extent> + Send + Sync + 'a,
    ) -> Self {
        let ask = Box::new(ask);
        Self { ask, at: offset, end: offset + length, begun: None, failed: None }
    }
}

impl Iterator for Extents<'_> {
    type Item = Result<Extent>;

    fn next(&mut self) -> Option<Self::Item> {
        // A run is known whole when the next one has begun, or the range has ended.
        while self.at < self.end {
            match (self.ask)(self.at, self.end - self.at) {
                Ok(extent) => {
                    self.at += extent.length;
                    if self.begun.as_mut().is_some_and(|begun| begun.absorb(&extent)) {
                        continue;
                    }
                    if let Some(whole) = self.begun.replace(extent) {
                        return Some(Ok(whole));
                    }
                }
                Err(error) => {
                    // What lies before it is sound, and is told first.
                    self.at = self.end;
                    self.failed = Some(error);
                }
            }
        }
        self.begun.take().map(Ok).or_else(|| self.failed.take().map(Err))
    }
}

impl fmt::Debug for Extents<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extents").field("at", &self.at).field("end", &self.end).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_joined_where_they_go_on_and_told_before_an_error() {
        let data = |offset| ExtentKind::Data { file_offset: Some(offset) };
        let kinds = [data(100), data(110), data(200), ExtentKind::Unallocated];
        let ask = |offset: u64, _: u64| {
            let kind = kinds.get(usize::try_from(offset / 10).unwrap()).copied();
            let kind = kind.ok_or_else(|| Error::invalid("damaged"))?;
            Ok(Extent { offset, length: 10, kind, depth: 0 })
        };
        let told: Vec<_> = Extents::new(0, 50, ask).map(|run| run.map_err(|e| e.kind())).collect();
        let run = |offset, length, kind| Ok(Extent { offset, length, kind, depth: 0 });
        let runs = [
            run(0, 20, data(100)),
            run(20, 10, data(200)),
            run(30, 10, ExtentKind::Unallocated),
            Err(crate::ErrorKind::InvalidArgument),
        ];
        assert_eq!(told, runs);
    }
}
