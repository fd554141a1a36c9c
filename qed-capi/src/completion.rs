//! Queues themselves: made, asked, freed; and the completions of their requests.

use crate::arguments;
use crate::guard::{code, run, status};
use crate::handle::{self, Handle};
use crate::image::qed_image;
use crate::options::{self, qed_options};
use crate::status::{QED_ERROR_NONE, number, terminate};
use parking_lot::{Mutex, MutexGuard};
use qed_core::{Aio, Completion, Error, ErrorKind, Queue, Result};
use std::ffi::{CStr, c_char, c_int};
use std::mem::size_of;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The qed_queue_* functions are there, and qed_aio_refusal.
pub const LIBQED_HAVE_QUEUE: c_int = 1;

/// An engine of queues: io_uring, with one system call for many requests.
pub const QED_AIO_IO_URING: u32 = 1;
/// An engine of queues: threads that make blocking calls.
pub const QED_AIO_THREADS: u32 = 2;

/// Requests for an image, pending and done. A queue is used by one thread at a time: another thread
/// that comes meanwhile is refused with -EBUSY. Any number of queues, and of calls on the image,
/// may run at once. Freed by qed_queue_free.
pub struct qed_queue {
    _opaque: [u8; 0],
}

/// What the handle owns.
pub(crate) struct Inside {
    pub(crate) queue: Queue,
    /// Fetched last, before they are the caller's.
    fetched: Vec<Completion>,
    /// What the completions fetched last have to say.
    texts: Vec<Vec<u8>>,
    /// Why threads stand in for io_uring.
    fallback: Option<Vec<u8>>,
}

impl Handle for qed_queue {
    type Value = Mutex<Inside>;
    const MAGIC: u64 = u64::from_le_bytes(*b"qed-queu");
    const ARGUMENT: &'static str = "queue";
    const TYPE: &'static str = "qed_queue";
    const SURVIVES_FORK: bool = false;
}

impl qed_queue {
    /// What is behind the handle, for this thread alone.
    ///
    /// # Safety
    /// `queue` is NULL or a handle that nobody frees meanwhile.
    pub(crate) unsafe fn enter<'a>(queue: *const Self) -> Result<MutexGuard<'a, Inside>> {
        // SAFETY: the caller's promise.
        unsafe { handle::get(queue) }?.try_lock().ok_or_else(|| {
            Error::new(ErrorKind::Busy, "another thread is inside a call with this queue")
        })
    }
}

/// A request that has ended. Its size never changes: arrays of it are the caller's.
#[repr(C)]
pub struct qed_completion {
    /// What the request was queued with.
    pub user_data: u64,
    /// What went wrong, one sentence; "" where nothing did. The library's, valid until the next
    /// qed_queue_do_io or qed_queue_free of that queue.
    pub message: *const c_char,
    /// 0, or a negative errno.
    pub result: i32,
    /// One of QED_ERROR_*: QED_ERROR_NONE where the request succeeded.
    pub kind: i32,
    /// 0, for later versions.
    pub reserved: [u64; 2],
}

/// What a queue is. Later versions add members at the end, never between.
#[repr(C)]
pub struct qed_queue_facts {
    /// In: sizeof(qed_queue_facts). Out: the bytes that the library filled in, at most as many.
    pub struct_size: u64,
    /// The most requests that may be pending.
    pub depth: u32,
    /// Requests queued whose completions have not been fetched.
    pub pending: u32,
    /// The engine at work, one of QED_AIO_*.
    pub aio: u32,
    /// 0.
    pub reserved: u32,
}

/// Makes a queue for an image, in which depth requests (1 to 4096) may be pending. Of the options,
/// "aio" says which engine carries requests out: "io_uring" (the default; where the system refuses
/// it, threads do the work: qed_queue_info tells) or "threads"; "workers" (16, 1 to 256) is how
/// many threads may make blocking calls for the queue. They start when there is work for them, are
/// called "qed-queue" and take no signals.
///
/// Ownership: *out is written on success only; free it with qed_queue_free, before the image is
/// closed. options may be NULL and is not kept. Threads: any.
/// Errors: -EINVAL: a number out of range, an option that is not one of queues.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_queue_new(
    image: *mut qed_image,
    depth: u32,
    options: *const qed_options,
    out: *mut *mut qed_queue,
) -> c_int {
    status("qed_queue_new", || {
        // SAFETY: the header's contract: a handle that nobody closes meanwhile.
        let image = unsafe { handle::get(image.cast_const()) }?;
        let out = arguments::place(out, "out")?;
        // SAFETY: the header's contract: NULL or a handle.
        let mut options = unsafe { options::to_queue(options) }?;
        options.depth = usize::try_from(depth).unwrap_or(usize::MAX);
        let queue = Queue::new(Arc::clone(image), &options)?;
        let fallback = queue.fallback().map(|why| c_text(why.to_owned()));
        let inside = Inside { queue, fetched: Vec::new(), texts: Vec::new(), fallback };
        // SAFETY: not NULL, aligned, and the caller's to write.
        unsafe { out.write(handle::new(Mutex::new(inside))) };
        Ok(())
    })
}

/// Begins everything that is queued, then waits until at least min requests have ended, or all that
/// are pending where those are fewer, or timeout_ns nanoseconds have passed; a negative timeout_ns
/// waits as long as it takes, 0 not at all. Up to max completions are stored in completions, in the
/// order in which the requests ended. Returns how many; a timeout that passed is no error. With a
/// max of 0 it only begins what is queued.
///
/// Ownership: completions has room for max elements and is the caller's; the messages in it are the
/// queue's, until the next call. The buffers of the requests are the caller's again.
/// Threads: one at a time for each queue.
/// Errors: -EINVAL: min is more than max; -EBUSY: another thread is inside a call with the queue.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_queue_do_io(
    queue: *mut qed_queue,
    completions: *mut qed_completion,
    min: u32,
    max: u32,
    timeout_ns: i64,
) -> c_int {
    code("qed_queue_do_io", || {
        // SAFETY: the header's contract: a handle that nobody frees meanwhile.
        let mut inside = unsafe { qed_queue::enter(queue) }?;
        let place = (max > 0).then(|| arguments::place(completions, "completions")).transpose()?;
        let [min, most] = [min, max].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        // No queue is deeper than a C int counts.
        let max = most.min(c_int::MAX.unsigned_abs() as usize);
        let timeout = u64::try_from(timeout_ns).ok().map(Duration::from_nanos);
        let Inside { queue, fetched, texts, .. } = &mut *inside;
        texts.clear();
        let reaped = queue.do_io(fetched, min, max, timeout);
        if fetched.is_empty() {
            // What was fetched before a wait failed is given; the failure will come again.
            reaped?;
        }
        let count = c_int::try_from(fetched.len()).unwrap_or(c_int::MAX);
        for (index, completion) in fetched.drain(..).enumerate() {
            let completion = to_c(&completion, texts);
            if let Some(place) = place {
                // SAFETY: the header's contract: room for max elements; no more were fetched.
                unsafe { place.add(index).write(completion) };
            }
        }
        Ok(count)
    })
}

/// A descriptor that is readable while completions wait to be fetched, for poll and its like: never
/// read it. It may be readable though there is nothing to fetch. Where requests are queued, call
/// qed_queue_do_io before you wait for it: that is what begins them.
///
/// Ownership: the queue's, the same in every call, closed by qed_queue_free.
/// Threads: one at a time for each queue.
/// Errors: -EMFILE and its like: the process has no descriptor left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_queue_completion_fd(queue: *mut qed_queue) -> c_int {
    code("qed_queue_completion_fd", || {
        // SAFETY: the header's contract: a handle that nobody frees meanwhile.
        let mut inside = unsafe { qed_queue::enter(queue) }?;
        inside.queue.completion_fd().map(|fd| fd.as_raw_fd())
    })
}

/// Fills *facts in. Set facts->struct_size to sizeof(qed_queue_facts) before the call; members that
/// this library does not know are left alone.
///
/// Ownership: *facts is the caller's. Threads: one at a time for each queue.
/// Errors: -EINVAL: struct_size is less than the first version of qed_queue_facts had.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_queue_info(
    queue: *const qed_queue,
    facts: *mut qed_queue_facts,
) -> c_int {
    status("qed_queue_info", || {
        // SAFETY: the header's contract: a handle that nobody frees meanwhile.
        let inside = unsafe { qed_queue::enter(queue) }?;
        let place = arguments::place(facts, "facts")?;
        // SAFETY: the header's contract: struct_size is set, and so many bytes are the caller's.
        let room = unsafe { (*place).struct_size };
        if room < FIRST_SIZE {
            let text = format!("facts->struct_size is {room}, not sizeof(qed_queue_facts)");
            return Err(Error::invalid(text));
        }
        let [depth, pending] = [inside.queue.depth(), inside.queue.pending()]
            .map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        let struct_size = room.min(FIRST_SIZE);
        let aio = to_number(inside.queue.engine());
        let filled = qed_queue_facts { struct_size, depth, pending, aio, reserved: 0 };
        let bytes = size_of::<qed_queue_facts>();
        // SAFETY: room for at least so many; two structures never overlap.
        unsafe { ptr::copy_nonoverlapping((&raw const filled).cast::<u8>(), place.cast(), bytes) };
        Ok(())
    })
}

/// Why threads are at work where io_uring was asked for: one sentence, the same in every call; NULL
/// where the engine is the one that was asked for, and where the call fails. A disk that is not a
/// plain file, a qcow2 image for one, has threads.
///
/// Ownership: the library's, valid until qed_queue_free. Threads: one at a time for each queue.
/// Errors: NULL, and the slot says why: not a live handle, another thread is inside.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_queue_fallback(queue: *const qed_queue) -> *const c_char {
    let text = run("qed_queue_fallback", || {
        // SAFETY: the header's contract: a handle that nobody frees meanwhile.
        let inside = unsafe { qed_queue::enter(queue) }?;
        Ok(inside.fallback.as_ref().map_or(ptr::null(), |text| text.as_ptr().cast()))
    });
    text.unwrap_or(ptr::null())
}

/// Frees *queue and sets it to NULL. What qed_queue_do_io has begun is waited for; what was only
/// queued never happens. Then the buffers are the caller's again. NULL, or a pointer to NULL, is
/// fine.
///
/// Threads: one, when no other thread uses the handle.
/// Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_queue_free(queue: *mut *mut qed_queue) -> c_int {
    status("qed_queue_free", || {
        // SAFETY: the header's contract: NULL, or a place that holds NULL or a handle.
        unsafe { handle::take(queue) }.map(drop)
    })
}

/// Why queues do not get an engine, one of QED_AIO_*, on this machine: one sentence, the same in
/// every call; NULL where they do, and for what is no engine.
///
/// Ownership: a constant of the library. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn qed_aio_refusal(aio: u32) -> *const c_char {
    static REFUSAL: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    if aio != QED_AIO_IO_URING {
        return ptr::null();
    }
    let refusal = REFUSAL.get_or_init(|| Aio::IoUring.refusal().map(c_text));
    refusal.as_ref().map_or(ptr::null(), |text| text.as_ptr().cast())
}

/// The completion for C; its text is kept in `texts`.
fn to_c(completion: &Completion, texts: &mut Vec<Vec<u8>>) -> qed_completion {
    const NOTHING: &CStr = c"";
    let (user_data, reserved) = (completion.user_data, [0; 2]);
    let Err(error) = &completion.result else {
        let (message, result, kind) = (NOTHING.as_ptr(), 0, QED_ERROR_NONE);
        return qed_completion { user_data, message, result, kind, reserved };
    };
    // Moving a vector leaves its bytes where they are.
    let text = c_text(error.to_string());
    let (message, kind) = (text.as_ptr().cast(), number(error.kind()));
    texts.push(text);
    qed_completion { user_data, message, result: -error.errno().max(1), kind, reserved }
}

fn c_text(text: String) -> Vec<u8> {
    let mut text = text.into_bytes();
    terminate(&mut text);
    text
}

fn to_number(aio: Aio) -> u32 {
    match aio {
        Aio::IoUring => QED_AIO_IO_URING,
        Aio::Threads => QED_AIO_THREADS,
    }
}

/// The size of qed_queue_facts in its first version.
const FIRST_SIZE: u64 = 24;
const _: () = assert!(size_of::<qed_queue_facts>() as u64 == FIRST_SIZE);
const _: () = assert!(size_of::<qed_completion>() == 40 || size_of::<usize>() != 8);
