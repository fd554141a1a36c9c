//! From C's arguments to Rust's: strings, buffers, vectors, descriptors, places for results.
//!
//! Every function takes what a caller passed, refuses what cannot be right (NULL, misaligned,
//! longer than memory, wrapping, overlapping) by the argument's name, and vouches for nothing else:
//! that memory of the stated length is there is the caller's promise.

use libc::iovec;
use qed_core::{Error, RawPart, Result};
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::FromRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path: any bytes but NUL.
///
/// # Safety
/// `pointer` is NULL or a C string that outlives the result.
pub(crate) unsafe fn path<'a>(pointer: *const c_char) -> Result<&'a Path> {
    // SAFETY: the caller's promise.
    unsafe { named_path(pointer, "path") }
}

/// One of several paths: any bytes but NUL.
///
/// # Safety
/// As for [`path`].
pub(crate) unsafe fn named_path<'a>(pointer: *const c_char, argument: &str) -> Result<&'a Path> {
    // SAFETY: the caller's promise.
    Ok(Path::new(OsStr::from_bytes(unsafe { bytes(pointer, argument) }?)))
}

/// A text: UTF-8.
///
/// # Safety
/// `pointer` is NULL or a C string that outlives the result.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, argument: &str) -> Result<&'a str> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { bytes(pointer, argument) }?;
    std::str::from_utf8(bytes).map_err(|_| Error::invalid(format!("{argument} is not UTF-8")))
}

/// The bytes of a string, without the NUL.
///
/// # Safety
/// `pointer` is NULL or a C string that outlives the result.
pub(crate) unsafe fn bytes<'a>(pointer: *const c_char, argument: &str) -> Result<&'a [u8]> {
    not_null(pointer, argument)?;
    // SAFETY: not NULL, and the caller's promise for the rest.
    Ok(unsafe { CStr::from_ptr(pointer) }.to_bytes())
}

/// The place where a call leaves its result: not NULL, aligned.
pub(crate) fn place<T>(pointer: *mut T, argument: &str) -> Result<*mut T> {
    not_null(pointer, argument)?;
    if !pointer.is_aligned() {
        return Err(Error::invalid(format!("{argument} is a misaligned pointer")));
    }
    Ok(pointer)
}

/// A buffer to fill.
///
/// # Safety `length` bytes at `pointer` may be written, and nothing else touches them while the
/// result lives.
pub(crate) unsafe fn buffer_mut<'a>(pointer: *mut c_void, length: usize) -> Result<&'a mut [u8]> {
    if length == 0 {
        return Ok(&mut []);
    }
    range(pointer, length, "buffer")?;
    // SAFETY: not NULL, not wrapping, at most isize::MAX bytes, and the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer.cast(), length) })
}

/// A buffer to read from.
///
/// # Safety
/// `length` bytes at `pointer` may be read, and nothing changes them while the result lives.
pub(crate) unsafe fn buffer<'a>(pointer: *const c_void, length: usize) -> Result<&'a [u8]> {
    if length == 0 {
        return Ok(&[]);
    }
    range(pointer, length, "buffer")?;
    // SAFETY: not NULL, not wrapping, at most isize::MAX bytes, and the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(pointer.cast(), length) })
}

/// Buffers to fill, in order. They may not overlap: their content would depend on chance.
///
/// # Safety
/// As for [`buffer_mut`], for each of `count` elements of `vector`, which may be read.
pub(crate) unsafe fn vector_mut<'a>(
    vector: *const iovec,
    count: c_int,
) -> Result<Vec<IoSliceMut<'a>>> {
    // SAFETY: the caller's promise.
    let vector = unsafe { elements(vector, count) }?;
    no_overlap(vector)?;
    // SAFETY: each range was looked at by `elements`, none overlaps another; the caller's promise.
    let buffers = vector.iter().map(|e| unsafe { buffer_mut(e.iov_base, e.iov_len) });
    buffers.map(|buffer| buffer.map(IoSliceMut::new)).collect()
}

/// Buffers to read from, in order.
///
/// # Safety
/// As for [`buffer`], for each of `count` elements of `vector`, which may be read.
pub(crate) unsafe fn vector<'a>(vector: *const iovec, count: c_int) -> Result<Vec<IoSlice<'a>>> {
    // SAFETY: the caller's promise.
    let vector = unsafe { elements(vector, count) }?;
    // SAFETY: the caller's promise.
    let buffers = vector.iter().map(|e| unsafe { buffer(e.iov_base, e.iov_len) });
    buffers.map(|buffer| buffer.map(IoSlice::new)).collect()
}

/// A buffer that stays the caller's after the call. No byte of it is touched here.
pub(crate) fn part(pointer: *const c_void, length: usize) -> Result<RawPart> {
    if length > 0 {
        range(pointer, length, "buffer")?;
    }
    Ok(RawPart { start: pointer.cast_mut().cast(), length })
}

/// Buffers that stay the caller's after the call; the vector itself does not have to. Those to be
/// filled may not overlap.
///
/// # Safety
/// `count` elements of `vector` may be read.
pub(crate) unsafe fn parts(
    vector: *const iovec,
    count: c_int,
    filled: bool,
) -> Result<Vec<RawPart>> {
    // SAFETY: the caller's promise.
    let vector = unsafe { elements(vector, count) }?;
    if filled {
        no_overlap(vector)?;
    }
    let part =
        |element: &iovec| RawPart { start: element.iov_base.cast(), length: element.iov_len };
    Ok(vector.iter().map(part).collect())
}

/// A file of our own behind the caller's descriptor, which stays the caller's.
pub(crate) fn descriptor(fd: c_int) -> Result<File> {
    // SAFETY: no memory is involved; a number that is no descriptor gives EBADF.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        let source = io::Error::last_os_error();
        return Err(Error::io(&format!("duplicating the descriptor {fd}"), source));
    }
    // SAFETY: a descriptor that was just made for us.
    Ok(unsafe { File::from_raw_fd(copy) })
}

/// # Safety
/// `count` elements of `vector` may be read.
unsafe fn elements<'a>(vector: *const iovec, count: c_int) -> Result<&'a [iovec]> {
    let elements = usize::try_from(count).ok().filter(|count| *count <= MAX_VECTOR);
    let Some(elements) = elements else {
        return Err(Error::invalid(format!("iovcnt is {count}, not 0 to {MAX_VECTOR}")));
    };
    if elements == 0 {
        return Ok(&[]);
    }
    not_null(vector, "iov")?;
    if !vector.is_aligned() {
        return Err(Error::invalid("iov is a misaligned pointer"));
    }
    // SAFETY: not NULL, aligned, at most MAX_VECTOR elements, and the caller's promise.
    let vector = unsafe { std::slice::from_raw_parts(vector, elements) };
    let mut total = 0_usize;
    for (index, element) in vector.iter().enumerate().filter(|(_, element)| element.iov_len > 0) {
        range(element.iov_base, element.iov_len, &format!("iov[{index}]"))?;
        total = total.saturating_add(element.iov_len);
    }
    if total > MAX_BYTES {
        return Err(Error::invalid("the lengths in iov add up to more than memory can hold"));
    }
    Ok(vector)
}

fn no_overlap(vector: &[iovec]) -> Result<()> {
    let used = vector.iter().filter(|element| element.iov_len > 0);
    let mut ranges: Vec<_> = used.map(|e| (e.iov_base.addr(), e.iov_len)).collect();
    ranges.sort_unstable();
    let apart = |pair: &[(usize, usize)]| pair[0].0.saturating_add(pair[0].1) <= pair[1].0;
    if ranges.windows(2).all(apart) {
        return Ok(());
    }
    Err(Error::invalid("buffers of iov overlap"))
}

fn range(pointer: *const c_void, length: usize, argument: &str) -> Result<()> {
    not_null(pointer, argument)?;
    if length > MAX_BYTES || pointer.addr().checked_add(length).is_none() {
        let text = format!("{argument} is {length} bytes long, more than memory can hold");
        return Err(Error::invalid(text));
    }
    Ok(())
}

fn not_null<T>(pointer: *const T, argument: &str) -> Result<()> {
    if pointer.is_null() {
        return Err(Error::invalid(format!("{argument} is NULL")));
    }
    Ok(())
}

/// Elements of a vector, as preadv(2) has it (IOV_MAX).
const MAX_VECTOR: usize = 1024;
/// No object is longer.
const MAX_BYTES: usize = isize::MAX.unsigned_abs();
