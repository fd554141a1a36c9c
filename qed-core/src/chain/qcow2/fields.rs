//! Big-endian fields of untrusted bytes: what lies past their end is an error, never a panic.

use crate::error::{Error, ErrorKind, Result};

/// `length` bytes at `offset`.
///
/// # Errors
/// [`ErrorKind::Corrupt`] where they are not there.
pub(super) fn bytes_at(bytes: &[u8], offset: usize, length: usize) -> Result<&[u8]> {
    let end = offset.checked_add(length);
    end.and_then(|end| bytes.get(offset..end)).ok_or_else(|| {
        let message = format!("the qcow2 header ends after {} bytes", bytes.len());
        Error::new(ErrorKind::Corrupt, message).at(offset as u64)
    })
}

/// The number in four bytes at `offset`.
///
/// # Errors
/// As [`bytes_at`].
pub(super) fn be32(bytes: &[u8], offset: usize) -> Result<u32> {
    let field = bytes_at(bytes, offset, 4)?;
    Ok(field.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

/// The number in eight bytes at `offset`.
///
/// # Errors
/// As [`bytes_at`].
pub(super) fn be64(bytes: &[u8], offset: usize) -> Result<u64> {
    let field = bytes_at(bytes, offset, 8)?;
    Ok(field.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Puts `field` at `offset`, as far as there is room.
pub(super) fn put(bytes: &mut [u8], offset: usize, field: &[u8]) {
    for (byte, new) in bytes.iter_mut().skip(offset).zip(field) {
        *byte = *new;
    }
}
