//! From a guest cluster to what its entry says, and from a guest range to what to read.

use std::sync::Arc;

use crate::addr::{FileOffset, GuestCluster};
use crate::error::{Corruption, Error, Result};
use crate::format::{L1Entry, L2Entry};
use crate::meta::Meta;
use crate::meta::plan::few::Few;
use crate::meta::plan::grace::Request;
use crate::meta::tables::l1::read_slice;
use crate::meta::tables::slice::{SLICE_ENTRIES, Slice};

/// Where the bytes of a part of a guest range are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the image file, from this offset on.
    File(FileOffset),
    /// Nowhere: they are zeroes.
    Zero,
    /// In the backing file, or zeroes without one.
    Backing,
}

/// A part of a guest range that lies in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Guest bytes from the start of the disk.
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) place: Place,
}

/// What to read. The clusters it names stay what they are until it is dropped.
#[derive(Debug)]
pub(crate) struct ReadPlan<'a> {
    pub(crate) segments: Few<Segment>,
    pub(super) request: Request<'a>,
}

impl Meta {
    /// Plans a read of `length` bytes at `offset`.
    ///
    /// # Errors
    /// The range passes the end of the disk; a table that cannot be read, an entry that cannot be
    /// right.
    pub(crate) fn plan_read(&self, offset: u64, length: u64) -> Result<ReadPlan<'_>> {
        let request = self.admit(offset, length)?;
        let mut segments = Few::new();
        let end = offset + length;
        let mut at = offset;
        while at < end {
            let segment = self.segment(at, end - at)?;
            at += segment.length;
            extend_or_push(&mut segments, segment);
        }
        Ok(ReadPlan { segments, request })
    }

    /// The first run of one place in the `length` bytes at `offset`; it ends at a slice at the
    /// latest.
    ///
    /// # Errors
    /// As [`plan_read`](Self::plan_read).
    pub(crate) fn segment(&self, offset: u64, length: u64) -> Result<Segment> {
        let cluster = self.guest_cluster(offset);
        self.look(cluster, |slice| self.segment_of(slice, offset, length))
    }

    /// The same, without reading a table: `None` where one would have to be read.
    pub(crate) fn segment_now(&self, offset: u64, length: u64) -> Option<Result<Segment>> {
        let cluster = self.guest_cluster(offset);
        self.look_now(cluster, |slice| self.segment_of(slice, offset, length))
    }

    fn segment_of(&self, slice: Option<&Slice>, offset: u64, length: u64) -> Result<Segment> {
        if let Some(slice) = slice {
            return self.segment_in(slice, offset, length);
        }
        let span = self.geometry.l2_span();
        let length = length.min(span - offset % span);
        Ok(Segment { offset, length, place: Place::Backing })
    }

    fn segment_in(&self, slice: &Slice, offset: u64, length: u64) -> Result<Segment> {
        let geometry = self.geometry;
        let first = self.guest_cluster(offset);
        let within = geometry.in_cluster(offset);
        let place = self.place_of(slice, first, within)?;
        let mut reach = geometry.cluster_size() - within;
        let last_entry = SLICE_ENTRIES - 1;
        let mut cluster = first;
        while reach < length && entry_of(cluster) < last_entry {
            cluster = GuestCluster(cluster.get() + 1);
            let next = self.place_of(slice, cluster, 0);
            if next.ok() != Some(place_after(place, reach)) {
                break;
            }
            reach += geometry.cluster_size();
        }
        Ok(Segment { offset, length: reach.min(length), place })
    }

    /// What `read` finds in the slice that maps `cluster`, or without one where the cluster has no
    /// L2 table. Without a lock, as a rule: `read` may then be called twice, and only what the last
    /// call answers counts.
    ///
    /// # Errors
    /// As [`slice`](Self::slice), and what `read` reports.
    pub(crate) fn look<T>(
        &self,
        cluster: GuestCluster,
        mut read: impl FnMut(Option<&Slice>) -> Result<T>,
    ) -> Result<T> {
        match self.look_now(cluster, &mut read) {
            Some(seen) => seen,
            None => read(self.slice(cluster)?.as_deref()),
        }
    }

    /// The same as far as it needs no reading and no waiting: `None` where it would.
    pub(crate) fn look_now<T>(
        &self,
        cluster: GuestCluster,
        mut read: impl FnMut(Option<&Slice>) -> Result<T>,
    ) -> Option<Result<T>> {
        if let Some(view) = self.cache.view(cluster.get() / SLICE_ENTRIES as u64) {
            let seen = read(Some(view.slice()));
            return view.holds().then_some(seen);
        }
        let has_no_table = self.l1.is_known_empty(self.geometry.l1_index(cluster));
        has_no_table.then(|| read(None))
    }

    /// Holds the slice that maps `cluster`; `None` where it has no L2 table.
    ///
    /// # Errors
    /// The L1 entry cannot be right, or the table cannot be read.
    pub(crate) fn slice(&self, cluster: GuestCluster) -> Result<Option<Arc<Slice>>> {
        let table = match self.l1.entry(self.geometry.l1_index(cluster)) {
            Ok(L1Entry::Table(table)) => table,
            Ok(L1Entry::Empty) => return Ok(None),
            Err(_) if self.settings.tolerate_bad_entries => return Ok(None),
            Err(error) => return Err(error),
        };
        let number = cluster.get() / SLICE_ENTRIES as u64;
        let first = self.geometry.l2_index(GuestCluster(number * SLICE_ENTRIES as u64));
        let slice = self.cache.hold(number, |slice| {
            let offset = FileOffset(table.get() + 8 * first);
            let bytes = read_slice(&*self.storage, offset)?;
            self.l1.with_metadata(|is_metadata| {
                slice.fill(number, offset, &bytes.0, |word| !self.can_stand(word, is_metadata));
            });
            Ok(())
        })?;
        // The table may have moved since: who moves it looks for slices in memory after its new
        // place has come to stand in the L1 table, and here it is the other way round.
        if let Ok(L1Entry::Table(now)) = self.l1.entry(self.geometry.l1_index(cluster))
            && now != table
        {
            slice.move_to(FileOffset(now.get() + 8 * first));
        }
        Ok(Some(slice))
    }

    /// Reads all that says where tables are. From here on no entry that names one is taken for data
    /// (F3.5): to be called before anything is written to the image, without locks.
    ///
    /// # Errors
    /// A part of the L1 table cannot be read.
    pub(crate) fn find_tables(&self, image_size: u64) -> Result<()> {
        if self.l1.complete(image_size)? {
            self.cache.visit(|slice| {
                self.l1.with_metadata(|is_metadata| {
                    slice.judge(|word| !self.can_stand(word, is_metadata));
                });
            });
        }
        Ok(())
    }

    /// What the entry of `cluster` says.
    ///
    /// # Errors
    /// [`Corruption::L2Entry`] where it cannot be right and the caller did not consent to that.
    pub(crate) fn entry(&self, slice: &Slice, cluster: GuestCluster) -> Result<L2Entry> {
        let corrupt =
            |value| Error::from(Corruption::L2Entry { guest_cluster: cluster.get(), value });
        match slice.word(entry_of(cluster)) {
            Ok(word) => L2Entry::decode(word, self.geometry).ok_or_else(|| corrupt(word)),
            Err(_) if self.settings.tolerate_bad_entries => Ok(L2Entry::Unallocated),
            Err(word) => Err(corrupt(word)),
        }
    }

    /// Whether the entries on the way to `cluster`'s data are stable, all of their slices.
    pub(crate) fn is_mapping_stable(&self, cluster: GuestCluster) -> bool {
        let l1 = self.l1.place(self.geometry.l1_index(cluster));
        let above = matches!(l1, Ok(Some((slice, _))) if slice.is_stable());
        let own = || self.look(cluster, |slice| Ok(slice.is_some_and(Slice::is_stable)));
        self.clock.has_synced() && above && matches!(own(), Ok(true))
    }

    pub(crate) fn guest_cluster(&self, offset: u64) -> GuestCluster {
        self.geometry.guest_cluster(crate::addr::GuestOffset(offset))
    }

    fn place_of(&self, slice: &Slice, cluster: GuestCluster, within: u64) -> Result<Place> {
        Ok(match self.entry(slice, cluster)? {
            L2Entry::Unallocated => Place::Backing,
            L2Entry::Zero => Place::Zero,
            L2Entry::Data(offset) => Place::File(FileOffset(offset.get() + within)),
        })
    }

    /// Whether an L2 entry found on disk may say `word` (F3.3 to F3.5).
    fn can_stand(&self, word: u64, is_metadata: &mut dyn FnMut(u64) -> bool) -> bool {
        match L2Entry::decode(word, self.geometry) {
            Some(L2Entry::Data(offset)) => {
                let end = offset.get().checked_add(self.geometry.cluster_size());
                end.is_some_and(|end| end <= self.space.usable()) && !is_metadata(offset.get())
            }
            Some(_) => true,
            None => false,
        }
    }
}

/// The place of `cluster` in its slice.
pub(crate) fn entry_of(cluster: GuestCluster) -> usize {
    usize::try_from(cluster.get() % SLICE_ENTRIES as u64).unwrap_or(0)
}

/// Adds `segment` to the list, joined with the last one where it goes on from it.
pub(crate) fn extend_or_push(segments: &mut Few<Segment>, segment: Segment) {
    if let Some(last) = segments.last_mut()
        && last.offset + last.length == segment.offset
        && place_after(last.place, last.length) == segment.place
    {
        last.length += segment.length;
        return;
    }
    segments.push(segment);
}

fn place_after(place: Place, length: u64) -> Place {
    match place {
        Place::File(offset) => Place::File(FileOffset(offset.get() + length)),
        Place::Zero => Place::Zero,
        Place::Backing => Place::Backing,
    }
}
