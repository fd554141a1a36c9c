//! Queues: requests that are handed in and answered later. Handing in requests stands here, making
//! queues and fetching completions in [`completion`](crate::completion).

use crate::arguments;
use crate::completion::qed_queue;
use crate::guard::status;
use libc::iovec;
use qed_core::{Buffers, Flags, Queue, Queued, RawPart, Result};
use std::ffi::{c_int, c_void};

/// Queues a read of length bytes at offset into buffer. Nothing is read before the next
/// qed_queue_do_io, which begins everything that is queued, in any order, and gives the
/// completions. user_data comes back in the completion. Flags: none.
///
/// Ownership: the buffer is lent to the queue until the completion was fetched, or the queue freed.
/// Threads: one at a time for each queue.
/// Errors: -EBUSY: as many requests are pending as the queue is deep, or another thread is inside a
/// call with it; -EINVAL: the buffer cannot be one, unknown flags. Everything else is told by the
/// completion, also that the range passes the end of the disk.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_queue_read(
    queue: *mut qed_queue,
    buffer: *mut c_void,
    length: usize,
    offset: u64,
    user_data: u64,
    flags: u32,
) -> c_int {
    let parts = || arguments::part(buffer, length).map(|part| vec![part]);
    let request =
        |queue: &mut Queue, buffers, flags| queue.readv(buffers, offset, user_data, flags);
    // SAFETY: the header's contract.
    unsafe { with_buffers("qed_queue_read", queue, flags, parts, request) }
}

/// Queues a write of length bytes of buffer at offset. Flags: QED_FUA.
///
/// Ownership: as qed_queue_read; the buffer must not change meanwhile. Threads, errors: as
/// qed_queue_read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_queue_write(
    queue: *mut qed_queue,
    buffer: *const c_void,
    length: usize,
    offset: u64,
    user_data: u64,
    flags: u32,
) -> c_int {
    let parts = || arguments::part(buffer, length).map(|part| vec![part]);
    let request =
        |queue: &mut Queue, buffers, flags| queue.writev(buffers, offset, user_data, flags);
    // SAFETY: the header's contract.
    unsafe { with_buffers("qed_queue_write", queue, flags, parts, request) }
}

/// Queues a read at offset into the iovcnt buffers of iov, in order. They may not overlap. Flags:
/// none.
///
/// Ownership: iov is copied, its buffers are lent as for qed_queue_read. Threads: as
/// qed_queue_read.
/// Errors: as qed_queue_read; -EINVAL: iovcnt is negative or more than 1024, or buffers overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_queue_readv(
    queue: *mut qed_queue,
    iov: *const iovec,
    iovcnt: c_int,
    offset: u64,
    user_data: u64,
    flags: u32,
) -> c_int {
    // SAFETY: the header's contract: iovcnt elements that may be read.
    let parts = || unsafe { arguments::parts(iov, iovcnt, true) };
    let request =
        |queue: &mut Queue, buffers, flags| queue.readv(buffers, offset, user_data, flags);
    // SAFETY: the header's contract.
    unsafe { with_buffers("qed_queue_readv", queue, flags, parts, request) }
}

/// Queues a write of the iovcnt buffers of iov at offset, in order, as one request. Flags: QED_FUA.
///
/// Ownership: iov is copied, its buffers are lent as for qed_queue_write. Threads: as
/// qed_queue_read.
/// Errors: as qed_queue_read; -EINVAL: iovcnt is negative or more than 1024.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_queue_writev(
    queue: *mut qed_queue,
    iov: *const iovec,
    iovcnt: c_int,
    offset: u64,
    user_data: u64,
    flags: u32,
) -> c_int {
    // SAFETY: the header's contract: iovcnt elements that may be read.
    let parts = || unsafe { arguments::parts(iov, iovcnt, false) };
    let request =
        |queue: &mut Queue, buffers, flags| queue.writev(buffers, offset, user_data, flags);
    // SAFETY: the header's contract.
    unsafe { with_buffers("qed_queue_writev", queue, flags, parts, request) }
}

/// Queues what qed_image_write_zeroes does. Flags: QED_FUA, QED_MAY_UNMAP, QED_NO_FALLBACK.
///
/// Threads, errors: as qed_queue_read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_queue_write_zeroes(
    queue: *mut qed_queue,
    offset: u64,
    length: u64,
    user_data: u64,
    flags: u32,
) -> c_int {
    let request = |queue: &mut Queue, flags| queue.write_zeroes(offset, length, user_data, flags);
    // SAFETY: the header's contract.
    unsafe { without_buffers("qed_queue_write_zeroes", queue, flags, request) }
}

/// Queues what qed_image_discard does. Flags: none.
///
/// Threads, errors: as qed_queue_read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_queue_discard(
    queue: *mut qed_queue,
    offset: u64,
    length: u64,
    user_data: u64,
    flags: u32,
) -> c_int {
    let request = |queue: &mut Queue, flags| queue.discard(offset, length, user_data, flags);
    // SAFETY: the header's contract.
    unsafe { without_buffers("qed_queue_discard", queue, flags, request) }
}

/// Queues a flush. It makes stable what completed before: requests whose completions were fetched
/// before the flush began, of this queue and of others, and calls that had returned. Flags: none.
///
/// Threads, errors: as qed_queue_read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_queue_flush(
    queue: *mut qed_queue,
    user_data: u64,
    flags: u32,
) -> c_int {
    let request = |queue: &mut Queue, flags| queue.flush(user_data, flags);
    // SAFETY: the header's contract.
    unsafe { without_buffers("qed_queue_flush", queue, flags, request) }
}

/// # Safety
/// `queue` is as the header asks; the memory of `parts` is lent as the header asks.
unsafe fn with_buffers(
    function: &str,
    queue: *mut qed_queue,
    flags: u32,
    parts: impl FnOnce() -> Result<Vec<RawPart>>,
    request: impl FnOnce(&mut Queue, Buffers, Flags) -> Queued,
) -> c_int {
    status(function, || {
        // SAFETY: the caller's promise.
        let mut inside = unsafe { qed_queue::enter(queue) }?;
        let (parts, flags) = (parts()?, Flags::from_bits(flags)?);
        // SAFETY: the header's contract: the caller lends the memory until the completion has been
        // fetched, or the queue was freed: when the buffers are dropped.
        let buffers = unsafe { Buffers::from_raw_parts(parts, Box::new(())) };
        Ok(request(&mut inside.queue, buffers, flags)?)
    })
}

/// # Safety
/// `queue` is as the header asks.
unsafe fn without_buffers(
    function: &str,
    queue: *mut qed_queue,
    flags: u32,
    request: impl FnOnce(&mut Queue, Flags) -> Queued,
) -> c_int {
    status(function, || {
        // SAFETY: the caller's promise.
        let mut inside = unsafe { qed_queue::enter(queue) }?;
        Ok(request(&mut inside.queue, Flags::from_bits(flags)?)?)
    })
}
