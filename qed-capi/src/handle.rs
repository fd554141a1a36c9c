//! Opaque handles: what stands behind `qed_image *` and its siblings.
//!
//! A handle points to a [`Shell`]: a magic word that says what kind of handle it is, and the boxed
//! value. Closing frees the value and marks the shell; the shell itself is never given back to the
//! allocator but waits in a queue for its reuse. So a handle closed twice, or used after it was
//! closed, meets a valid shell that says so, and two threads that close one handle at once are told
//! apart. What no check can find is a handle closed so long ago that its shell serves again.
//!
//! A handle that may not cross a fork knows in which process it was made, and is refused in
//! another one: there its threads are gone, and closing it would write to the parent's file.

use crate::fork;
use parking_lot::Mutex;
use qed_core::{Error, Result};
use std::collections::VecDeque;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// A kind of handle: the opaque type of the header, and the value it stands for.
pub(crate) trait Handle: Sized {
    /// What the handle owns. Calls get shared references from any thread.
    type Value: Send + Sync;
    /// Eight bytes that no other kind of handle has.
    const MAGIC: u64;
    /// The argument's name in messages.
    const ARGUMENT: &'static str;
    /// The C type's name in messages.
    const TYPE: &'static str;
    /// Whether a child may go on using it after a fork.
    const SURVIVES_FORK: bool = true;
}

struct Shell {
    magic: AtomicU64,
    /// [`fork::generation`] when the handle was made.
    generation: AtomicU64,
    value: AtomicPtr<()>,
}

/// What the magic word of a closed handle says.
const CLOSED: u64 = u64::from_le_bytes(*b"qed-clsd");
/// So many shells wait before the oldest serves again: late misuse stays detectable for a while.
const QUARANTINE: usize = 256;

pub(crate) struct Shells {
    /// Closed, the oldest first.
    retired: VecDeque<&'static Shell>,
    /// A parent's, closed here: what they own is left alone, and never freed.
    orphaned: Vec<&'static Shell>,
}

pub(crate) static SHELLS: Mutex<Shells> =
    Mutex::new(Shells { retired: VecDeque::new(), orphaned: Vec::new() });

/// A new handle that owns `value`.
pub(crate) fn new<H: Handle>(value: H::Value) -> *mut H {
    fork::watch();
    let value = Box::into_raw(Box::new(value)).cast::<()>();
    let shell = reusable().unwrap_or_else(|| {
        let (magic, generation) = (AtomicU64::new(CLOSED), AtomicU64::new(0));
        let value = AtomicPtr::new(ptr::null_mut());
        Box::leak(Box::new(Shell { magic, generation, value }))
    });
    shell.generation.store(fork::generation(), Ordering::Relaxed);
    shell.value.store(value, Ordering::Relaxed);
    shell.magic.store(H::MAGIC, Ordering::Release);
    ptr::from_ref(shell).cast_mut().cast()
}

/// The value behind a handle.
///
/// # Safety `handle` is NULL, came from [`new`], or points to at least eight readable bytes. No
/// thread closes it while the reference lives.
pub(crate) unsafe fn get<'a, H: Handle>(handle: *const H) -> Result<&'a H::Value> {
    // SAFETY: the caller's promise.
    let shell = unsafe { shell(handle) }?;
    check_process::<H>(shell)?;
    let value = shell.value.load(Ordering::Acquire).cast::<H::Value>();
    // SAFETY: the magic word says that the pointer is a live box of this type.
    unsafe { value.as_ref() }.ok_or_else(closed::<H>)
}

/// Closes `*place`, sets it to NULL, and gives what it owned; `None` where there is nothing to
/// close.
///
/// # Safety `place` is NULL or may be read and written, and holds what [`get`] accepts. No thread
/// is inside a call with the handle.
pub(crate) unsafe fn take<H: Handle>(place: *mut *mut H) -> Result<Option<Box<H::Value>>> {
    // SAFETY: the caller's promise.
    unsafe { take_when(place, |_| Ok(())) }
}

/// As [`take`]; where `ready` fails, that is the answer, and the handle stays as it is.
///
/// # Safety
/// As for [`take`].
pub(crate) unsafe fn take_when<H: Handle>(
    place: *mut *mut H,
    ready: impl FnOnce(&H::Value) -> Result<()>,
) -> Result<Option<Box<H::Value>>> {
    if place.is_null() {
        return Ok(None);
    }
    if !place.is_aligned() {
        return Err(Error::invalid(format!("{} is a misaligned pointer", H::ARGUMENT)));
    }
    // SAFETY: not NULL, aligned, and the caller's to read; then the caller's promise.
    if let Ok(value) = unsafe { get(place.read()) } {
        ready(value)?;
    }
    // SAFETY: not NULL, aligned, and the caller's to change.
    let handle = unsafe { place.replace(ptr::null_mut()) };
    if handle.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    let shell = unsafe { shell(handle) }?;
    if let Err(error) = check_process::<H>(shell) {
        SHELLS.lock().orphaned.push(shell);
        return Err(error);
    }
    let value = shell.value.swap(ptr::null_mut(), Ordering::AcqRel).cast::<H::Value>();
    if value.is_null() {
        return Err(closed::<H>());
    }
    shell.magic.store(CLOSED, Ordering::Release);
    SHELLS.lock().retired.push_back(shell);
    // SAFETY: the box that `new` made; the swap gave it to this call alone.
    Ok(Some(unsafe { Box::from_raw(value) }))
}

/// # Safety
/// As for [`get`].
unsafe fn shell<H: Handle>(handle: *const H) -> Result<&'static Shell> {
    let pointer = handle.cast::<Shell>();
    if pointer.is_null() {
        return Err(Error::invalid(format!("{} is NULL", H::ARGUMENT)));
    }
    if !pointer.is_aligned() {
        return Err(foreign::<H>());
    }
    // SAFETY: aligned, and readable: shells are never freed, and for anything else the caller
    // vouches.
    let magic = unsafe { &(*pointer).magic }.load(Ordering::Acquire);
    match magic {
        // SAFETY: the magic word marks a shell, and shells live for ever.
        _ if magic == H::MAGIC => Ok(unsafe { &*pointer }),
        CLOSED => Err(closed::<H>()),
        _ => Err(foreign::<H>()),
    }
}

fn reusable() -> Option<&'static Shell> {
    let retired = &mut SHELLS.lock().retired;
    if retired.len() > QUARANTINE { retired.pop_front() } else { None }
}

fn check_process<H: Handle>(shell: &Shell) -> Result<()> {
    if H::SURVIVES_FORK || shell.generation.load(Ordering::Relaxed) == fork::generation() {
        return Ok(());
    }
    Err(Error::invalid(format!("{} belongs to the process that forked this one", H::ARGUMENT)))
}

fn closed<H: Handle>() -> Error {
    Error::invalid(format!("{} was closed or freed already", H::ARGUMENT))
}

fn foreign<H: Handle>() -> Error {
    Error::invalid(format!("{} is not a {} handle", H::ARGUMENT, H::TYPE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    struct Apple;
    impl Handle for Apple {
        type Value = Arc<u32>;
        const MAGIC: u64 = 1;
        const ARGUMENT: &'static str = "apple";
        const TYPE: &'static str = "qed_apple";
    }

    struct Pear;
    impl Handle for Pear {
        type Value = String;
        const MAGIC: u64 = 2;
        const ARGUMENT: &'static str = "pear";
        const TYPE: &'static str = "qed_pear";
    }

    /// The tests share the queue of shells: one may not bring another's closed shell back.
    static ALONE: Mutex<()> = Mutex::new(());

    #[test]
    fn closing_frees_the_value_once_and_the_copy_is_refused() {
        let _alone = ALONE.lock();
        let value = Arc::new(7);
        let mut handle = new::<Apple>(value.clone());
        let mut copy = handle;
        // SAFETY: handles from `new`; no other thread.
        unsafe {
            assert_eq!(**get(handle).unwrap(), 7);
            assert!(take(&raw mut handle).unwrap().is_some());
            assert!(handle.is_null());
            assert_eq!(Arc::strong_count(&value), 1);
            assert!(take(&raw mut handle).unwrap().is_none());
            let error = take(&raw mut copy).unwrap_err();
            assert_eq!(error.to_string(), "apple was closed or freed already");
            assert!(copy.is_null());
        }
    }

    #[test]
    fn a_handle_of_another_kind_is_refused() {
        let mut pear = new::<Pear>("p".into());
        // SAFETY: a live shell, under the wrong type; then closed under the right one.
        unsafe {
            let error = get(pear.cast::<Apple>()).unwrap_err();
            assert_eq!(error.to_string(), "apple is not a qed_apple handle");
            let odd = pear.cast::<u8>().wrapping_add(1).cast::<Pear>();
            assert_eq!(get(odd).unwrap_err().to_string(), "pear is not a qed_pear handle");
            assert_eq!(get::<Pear>(ptr::null()).unwrap_err().to_string(), "pear is NULL");
            assert_eq!(*take(&raw mut pear).unwrap().unwrap(), "p");
        }
    }

    #[test]
    fn shells_serve_again_after_the_quarantine() {
        let _alone = ALONE.lock();
        let mut used = std::collections::HashSet::new();
        for _ in 0..4 * QUARANTINE {
            let mut handle = new::<Pear>(String::new());
            used.insert(handle.addr());
            // SAFETY: a handle from `new`.
            assert!(unsafe { take(&raw mut handle) }.unwrap().is_some());
        }
        assert!(used.len() <= 2 * QUARANTINE, "{} shells for {QUARANTINE}", used.len());
    }
}
