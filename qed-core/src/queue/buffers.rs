//! The memory of a request: owned by the queue while the request is pending, given back with its
//! completion.

use std::any::Any;
use std::fmt;
use std::io::{IoSlice, IoSliceMut};
use std::ptr::NonNull;

use crate::storage::AlignedBuffer;

/// Memory that a request reads into or writes from, in one or several parts.
///
/// Its bytes stay where they are when it is moved.
#[derive(Default)]
pub struct Buffers {
    memory: Memory,
}

#[derive(Default)]
enum Memory {
    #[default]
    None,
    Bytes(Vec<u8>),
    Aligned(AlignedBuffer),
    Several(Vec<Buffers>),
    Raw(Raw),
}

/// Memory that somebody else owns.
struct Raw {
    parts: Vec<RawPart>,
    keeper: Box<dyn Any + Send>,
}

/// A part of somebody else's memory.
#[derive(Clone, Copy, Debug)]
pub struct RawPart {
    /// Its first byte; anything where `length` is 0.
    pub start: *mut u8,
    /// Its bytes.
    pub length: usize,
}

// SAFETY: a part is an address and a length. Whoever makes `Buffers` of it answers for the memory.
unsafe impl Send for RawPart {}
// SAFETY: as above.
unsafe impl Sync for RawPart {}

impl Buffers {
    /// No memory at all, for requests that need none.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Memory that `keeper` keeps alive, or that the caller does.
    ///
    /// # Safety
    /// Until these buffers are dropped, every part can be read. Of a read request, every part can
    /// be written too, no two parts overlap, and nobody else reads or writes them before the
    /// completion; of a write request, nobody writes them before it.
    #[must_use]
    pub unsafe fn from_raw_parts(parts: Vec<RawPart>, keeper: Box<dyn Any + Send>) -> Self {
        Self { memory: Memory::Raw(Raw { parts, keeper }) }
    }

    /// Bytes of all parts together.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.memory {
            Memory::None => 0,
            Memory::Bytes(bytes) => bytes.len() as u64,
            Memory::Aligned(bytes) => bytes.len() as u64,
            Memory::Several(parts) => parts.iter().map(Self::len).sum(),
            Memory::Raw(raw) => raw.parts.iter().map(|part| part.length as u64).sum(),
        }
    }

    /// Whether there is no byte in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, part by part.
    #[must_use]
    pub fn parts(&self) -> Vec<&[u8]> {
        match &self.memory {
            Memory::None => Vec::new(),
            Memory::Bytes(bytes) => vec![bytes],
            Memory::Aligned(bytes) => vec![bytes],
            Memory::Several(several) => several.iter().flat_map(Self::parts).collect(),
            Memory::Raw(raw) => raw.parts.iter().map(RawPart::bytes).collect(),
        }
    }

    /// The bytes in one piece, copied only where they are not one `Vec`.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        match self.memory {
            Memory::Bytes(bytes) => bytes,
            memory => Self { memory }.parts().concat(),
        }
    }

    /// The aligned buffer it was made from, where it was made from one.
    #[must_use]
    pub fn into_aligned(self) -> Option<AlignedBuffer> {
        match self.memory {
            Memory::Aligned(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The buffers it was made from, where it was made from several.
    #[must_use]
    pub fn into_several(self) -> Option<Vec<Self>> {
        match self.memory {
            Memory::Several(several) => Some(several),
            _ => None,
        }
    }

    /// What keeps raw parts alive.
    #[must_use]
    pub fn into_keeper(self) -> Option<Box<dyn Any + Send>> {
        match self.memory {
            Memory::Raw(raw) => Some(raw.keeper),
            _ => None,
        }
    }

    /// Adds where the parts are to `parts`; those of a read may be written there.
    pub(super) fn raw_parts(&mut self, parts: &mut Vec<RawPart>) {
        let part = |bytes: &mut [u8]| RawPart { start: bytes.as_mut_ptr(), length: bytes.len() };
        match &mut self.memory {
            Memory::None => {}
            Memory::Bytes(bytes) => parts.push(part(bytes)),
            Memory::Aligned(bytes) => parts.push(part(bytes)),
            Memory::Several(several) => several.iter_mut().for_each(|one| one.raw_parts(parts)),
            Memory::Raw(raw) => parts.extend(&raw.parts),
        }
    }

    /// To write from.
    pub(super) fn slices(&self) -> Vec<IoSlice<'_>> {
        self.parts().into_iter().map(IoSlice::new).collect()
    }

    /// To read into: asked for by read requests alone.
    pub(super) fn slices_mut(&mut self) -> Vec<IoSliceMut<'_>> {
        match &mut self.memory {
            Memory::None => Vec::new(),
            Memory::Bytes(bytes) => vec![IoSliceMut::new(bytes)],
            Memory::Aligned(bytes) => vec![IoSliceMut::new(bytes)],
            Memory::Several(several) => several.iter_mut().flat_map(Self::slices_mut).collect(),
            Memory::Raw(raw) => raw.parts.iter_mut().map(RawPart::bytes_mut).collect(),
        }
    }
}

impl RawPart {
    fn bytes(&self) -> &[u8] {
        let Some(start) = self.start() else { return &[] };
        // SAFETY: the maker of the buffers promised that the part can be read while they live.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), self.length) }
    }

    fn bytes_mut(&mut self) -> IoSliceMut<'_> {
        let Some(start) = self.start() else { return IoSliceMut::new(&mut []) };
        // SAFETY: only read requests ask, and for those the maker of the buffers promised that the
        // part can be written, overlaps no other and is used by nobody else.
        IoSliceMut::new(unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), self.length) })
    }

    fn start(&self) -> Option<NonNull<u8>> {
        NonNull::new(self.start).filter(|_| self.length > 0)
    }
}

impl From<Vec<u8>> for Buffers {
    fn from(bytes: Vec<u8>) -> Self {
        Self { memory: Memory::Bytes(bytes) }
    }
}

impl From<AlignedBuffer> for Buffers {
    fn from(bytes: AlignedBuffer) -> Self {
        Self { memory: Memory::Aligned(bytes) }
    }
}

impl<T: Into<Buffers>> FromIterator<T> for Buffers {
    fn from_iter<I: IntoIterator<Item = T>>(parts: I) -> Self {
        Self { memory: Memory::Several(parts.into_iter().map(Into::into).collect()) }
    }
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffers({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_gives_its_bytes_and_itself_back() {
        let mut aligned = AlignedBuffer::new(2);
        aligned.fill(3);
        let several: Buffers = [Buffers::from(vec![1, 2]), Buffers::from(aligned)]
            .into_iter()
            .chain([Buffers::none()])
            .collect();
        assert_eq!((several.len(), several.parts().concat()), (4, vec![1, 2, 3, 3]));
        let mut parts = several.into_several().unwrap();
        assert_eq!(parts.remove(0).into_bytes(), [1, 2]);
        assert_eq!(&*parts.remove(0).into_aligned().unwrap(), [3, 3]);
        assert!(parts.remove(0).is_empty());
    }

    #[test]
    fn raw_parts_are_somebody_elses_memory() {
        let mut memory = vec![0_u8; 8];
        let start = memory.as_mut_ptr();
        let end = RawPart { start: start.wrapping_add(4), length: 4 };
        let parts = vec![RawPart { start: std::ptr::null_mut(), length: 0 }, end];
        // SAFETY: the vector outlives the buffers and is used through them alone.
        let mut raw = unsafe { Buffers::from_raw_parts(parts, Box::new("kept")) };
        raw.slices_mut().into_iter().for_each(|mut part| part.fill(9));
        assert_eq!(raw.len(), 4);
        let keeper = raw.into_keeper().unwrap();
        assert_eq!(keeper.downcast_ref::<&str>(), Some(&"kept"));
        assert_eq!(memory, [0, 0, 0, 0, 9, 9, 9, 9]);
    }
}
