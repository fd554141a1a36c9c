//! Writing the images of many slices: neighbours in the file go out in one write.

use std::sync::Arc;

use crate::error::Result;
use crate::meta::Meta;
use crate::meta::tables::slice::{
    Needs, NoImage, Phase, Reach, SLICE_BYTES, Slice, SliceImage, TableRun, write_runs,
};

/// Slices imaged at once: 256 KiB.
const MOST: usize = 64;

impl Meta {
    /// Writes the safe values of every sector of `slices`, in the order of their keys, in which one
    /// is not on disk yet. Says what syncs must cover now.
    ///
    /// # Errors
    /// A write failed; the storage has latched.
    pub(in crate::meta) fn write_out(&self, slices: &[Arc<Slice>], phase: Phase) -> Result<Needs> {
        let follows = |one: &Arc<Slice>, next: &Arc<Slice>| {
            one.offset().get() + SLICE_BYTES as u64 == next.offset().get()
        };
        let groups = slices.chunk_by(follows).flat_map(|group| group.chunks(MOST));
        let mut all = Needs::default();
        for group in groups {
            all = all.and(self.write_group(group, phase)?);
        }
        Ok(all)
    }

    fn write_group(&self, group: &[Arc<Slice>], phase: Phase) -> Result<Needs> {
        let (mut all, mut left) = (Needs::default(), group);
        while !left.is_empty() {
            let (needs, done) = self.write_some(left, phase)?;
            all = all.and(needs);
            left = &left[done..];
        }
        Ok(all)
    }

    /// Writes the first slices of `group`, up to one whose table is being moved; says how many.
    fn write_some(&self, group: &[Arc<Slice>], phase: Phase) -> Result<(Needs, usize)> {
        let unit = usize::try_from(self.storage.limits().atomic_unit).unwrap_or(SLICE_BYTES);
        let reach = match (self.storage.writes_directly(), group.len()) {
            (false, _) => Reach::Dirty,
            // What would be left out costs the disk more than writing it: each gap is one more
            // write to wait for.
            (true, 1) => Reach::Between,
            (true, _) => Reach::Whole,
        };
        let mut all = Needs::default();
        let mut images: Vec<SliceImage<'_>> = Vec::with_capacity(group.len());
        let mut done = 0;
        for slice in group {
            let held = (&self.held, images.is_empty());
            match slice.begin_image(&self.clock, self.settings.rules, phase, (unit, reach), held) {
                Ok(image) => images.push(image),
                Err(NoImage::Nothing(needs)) => all = all.and(needs),
                Err(NoImage::Later) => break,
            }
            done += 1;
        }
        let runs: Vec<&TableRun> = images.iter().flat_map(|image| &image.runs).collect();
        let written = write_runs(&*self.storage, &runs);
        for image in images {
            all = all.and(image.land(&self.clock));
        }
        written.map(|()| (all, done))
    }
}
