//! Moving data to other places of the file, as a plan says.

use std::io::{IoSlice, IoSliceMut};

use super::Image;
use crate::error::{Error, Result};
use crate::meta::plan::moving::Mover;
use crate::meta::plan::relocate::{MovePlan, Piece};
use crate::storage::WriteFlags;

/// Bytes copied at once.
const AT_ONCE: usize = 1 << 20;

impl Image {
    /// The right to move clusters of this image: see [`Mover`].
    ///
    /// # Errors
    /// As [`Meta::mover`](crate::meta::Meta::mover).
    pub(crate) fn mover(&self) -> Result<Mover<'_>> {
        self.meta.mover().map_err(|error| self.named_error(error))
    }

    /// Copies what `plan` says, and makes the new places visible. Gives the clusters moved.
    ///
    /// # Errors
    /// A read or write that failed; nothing has moved then.
    pub(crate) fn carry_out(&self, plan: MovePlan<'_>) -> Result<u64> {
        let mut buffer = self.spare.take(AT_ONCE as u64);
        let copied = plan.pieces.iter().try_for_each(|piece| self.copy(*piece, &mut buffer));
        copied.map_err(|error| self.named_error(error))?;
        let moved = plan.clusters();
        plan.publish();
        Ok(moved)
    }

    /// Whether a change of this range, or of nothing, would wait for work that is going on;
    /// `stable` says that it includes a flush. For runs that do all of it on one thread.
    #[cfg(feature = "crash")]
    pub(crate) fn would_wait(&self, range: Option<(u64, u64)>, stable: bool) -> bool {
        let changes = range.is_some_and(|(offset, length)| self.meta.is_claimed(offset, length));
        // The session's first change has a gate to itself, from whose midst nobody comes through.
        !self.meta.has_changes() || changes || stable && self.meta.is_writing()
    }

    /// Whether a resize would wait for another one, or for the L1 table, which is moving.
    #[cfg(feature = "crash")]
    pub(crate) fn resize_would_wait(&self) -> bool {
        self.meta.is_size_claimed()
    }

    fn copy(&self, piece: Piece, buffer: &mut [u8]) -> Result<()> {
        let storage = &self.meta.storage;
        let mut done = 0;
        while done < piece.length {
            let length = usize::try_from(piece.length - done).unwrap_or(AT_ONCE).min(AT_ONCE);
            let part = &mut buffer[..length];
            let (from, to) = (piece.from.get() + done, piece.to.get() + done);
            let read = storage.read(&mut [IoSliceMut::new(part)], from);
            read.map_err(|error| Error::io("reading data", error).at(from))?;
            let written = storage.write(&[IoSlice::new(part)], to, WriteFlags::default());
            written.map_err(|error| Error::io("writing data", error).at(to))?;
            done += length as u64;
        }
        Ok(())
    }
}
