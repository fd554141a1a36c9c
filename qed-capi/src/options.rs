//! Options by name, so that they grow without an ABI break: a lock around `NamedOptions`. What has
//! no name, files given by descriptor, is added by [`backing`](crate::backing).

use crate::arguments;
use crate::guard::status;
use crate::handle::{self, Handle};
use parking_lot::Mutex;
use qed_core::{
    BackingPolicy, BackingSource, CheckPlan, CommitPlan, CompactOptions, ComparePlan, ConvertPlan,
    CreateOptions, Error, MeasurePlan, NamedOptions, OpenOptions, OptionValue, QueueOptions,
    RebasePlan, Result, StreamOptions,
};
use std::ffi::{OsStr, c_char, c_int};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

/// The qed_options_* functions are there.
pub const LIBQED_HAVE_OPTIONS: c_int = 1;

/// Options of creating, opening and checking, by name. Used by the call it is given to and not
/// kept: one set may serve many calls. Freed by qed_options_free.
pub struct qed_options {
    _opaque: [u8; 0],
}

/// What the handle owns.
#[derive(Default)]
pub(crate) struct Options {
    named: NamedOptions,
    /// The backing files to open, from the image's own downward.
    pub(crate) chain: Vec<BackingSource>,
    /// Where to look for backing files instead of in the image's own directory.
    pub(crate) directory: Option<Arc<OwnedFd>>,
}

impl Handle for qed_options {
    type Value = Mutex<Options>;
    const MAGIC: u64 = u64::from_le_bytes(*b"qed-opts");
    const ARGUMENT: &'static str = "options";
    const TYPE: &'static str = "qed_options";
}

/// Makes a set of options in which everything has its default.
///
/// Ownership: *out is written on success only; free it with qed_options_free. Threads: any.
/// Errors: -EINVAL: out is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_options_new(out: *mut *mut qed_options) -> c_int {
    status("qed_options_new", || {
        let out = arguments::place(out, "out")?;
        // SAFETY: not NULL, aligned, and the caller's to write.
        unsafe { out.write(handle::new(Mutex::default())) };
        Ok(())
    })
}

/// Sets an option to a text. Sizes ("64K", "10G") and switches ("on", "off") are accepted as text
/// where the option is one. A path may hold any bytes, another text is UTF-8.
///
/// Ownership: name and value are copied. Threads: any.
/// Errors: -EINVAL: an unknown name or value: the message lists what is known.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_options_set_str(
    options: *mut qed_options,
    name: *const c_char,
    value: *const c_char,
) -> c_int {
    status("qed_options_set_str", || {
        // SAFETY: the header's contract: NULL or a C string.
        let value = || unsafe { arguments::bytes(value, "value") }.map(to_value);
        // SAFETY: the header's contract.
        unsafe { set(options, name, value) }
    })
}

/// Sets an option to a number, in bytes where it is a size.
///
/// Ownership: name is copied. Threads: any.
/// Errors: -EINVAL: an unknown name or value: the message lists what is known.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_options_set_u64(
    options: *mut qed_options,
    name: *const c_char,
    value: u64,
) -> c_int {
    status("qed_options_set_u64", || {
        // SAFETY: the header's contract.
        unsafe { set(options, name, || Ok(OptionValue::U64(value))) }
    })
}

/// Switches an option on or off.
///
/// Ownership: name is copied. Threads: any.
/// Errors: -EINVAL: an unknown name, or an option that is no switch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_options_set_bool(
    options: *mut qed_options,
    name: *const c_char,
    value: bool,
) -> c_int {
    status("qed_options_set_bool", || {
        // SAFETY: the header's contract.
        unsafe { set(options, name, || Ok(OptionValue::Bool(value))) }
    })
}

/// Frees *options and sets it to NULL. NULL, or a pointer to NULL, is fine.
///
/// Threads: any, when no other thread uses the handle.
/// Errors: -EINVAL: not a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qed_options_free(options: *mut *mut qed_options) -> c_int {
    status("qed_options_free", || {
        // SAFETY: the header's contract: NULL, or a place that holds NULL or a handle.
        unsafe { handle::take(options) }.map(drop)
    })
}

/// What opening takes; NULL stands for the defaults.
///
/// # Safety
/// `options` is NULL or a handle that nobody frees meanwhile.
pub(crate) unsafe fn to_open(options: *const qed_options) -> Result<OpenOptions> {
    if options.is_null() {
        return NamedOptions::new().to_open();
    }
    // SAFETY: the caller's promise.
    unsafe { handle::get(options) }?.lock().to_open()
}

/// What converting takes; NULL stands for the defaults.
///
/// # Safety
/// `options` is NULL or a handle that nobody frees meanwhile.
pub(crate) unsafe fn to_convert(options: *const qed_options) -> Result<ConvertPlan> {
    if options.is_null() {
        return NamedOptions::new().to_convert();
    }
    // SAFETY: the caller's promise.
    let options = unsafe { handle::get(options) }?.lock();
    let mut plan = options.named.to_convert()?;
    options.give_backing(&mut plan.source)?;
    Ok(plan)
}

/// What checking with repair takes; NULL stands for the defaults, and so does a "repair" that is
/// not set: all.
///
/// # Safety
/// `options` is NULL or a handle that nobody frees meanwhile.
pub(crate) unsafe fn to_check(options: *const qed_options) -> Result<CheckPlan> {
    let mut named = if options.is_null() {
        NamedOptions::new()
    } else {
        // SAFETY: the caller's promise.
        unsafe { handle::get(options) }?.lock().named.clone()
    };
    if !named.has("repair") {
        named.set("repair", OptionValue::Str("all".to_owned()))?;
    }
    named.to_check()
}

/// What comparing takes; NULL stands for the defaults.
///
/// # Safety
/// `options` is NULL or a handle that nobody frees meanwhile.
pub(crate) unsafe fn to_compare(options: *const qed_options) -> Result<ComparePlan> {
    if options.is_null() {
        return NamedOptions::new().to_compare();
    }
    // SAFETY: the caller's promise.
    let options = unsafe { handle::get(options) }?.lock();
    if options.directory.is_some() || !options.chain.is_empty() {
        let text = "comparing takes no backing files of the caller's: open the disks by themselves";
        return Err(Error::invalid(text));
    }
    options.named.to_compare()
}

/// What measuring takes; NULL stands for the defaults.
///
/// # Safety
/// `options` is NULL or a handle that nobody frees meanwhile.
pub(crate) unsafe fn to_measure(options: *const qed_options) -> Result<MeasurePlan> {
    if options.is_null() {
        return NamedOptions::new().to_measure();
    }
    // SAFETY: the caller's promise.
    let options = unsafe { handle::get(options) }?.lock();
    let mut plan = options.named.to_measure()?;
    options.give_backing(&mut plan.source)?;
    Ok(plan)
}

/// How compacting goes about it; NULL stands for the defaults.
///
/// # Safety
/// `options` is NULL or a handle that nobody frees meanwhile.
pub(crate) unsafe fn to_compact(options: *const qed_options) -> Result<CompactOptions> {
    if options.is_null() {
        return NamedOptions::new().to_compact();
    }
    // SAFETY: the caller's promise.
    unsafe { handle::get(options) }?.lock().named.to_compact()
}

/// How streaming goes about it; NULL stands for the defaults.
///
/// # Safety
/// `options` is NULL or a handle that nobody frees meanwhile.
pub(crate) unsafe fn to_stream(options: *const qed_options) -> Result<StreamOptions> {
    if options.is_null() {
        return NamedOptions::new().to_stream();
    }
    // SAFETY: the caller's promise.
    unsafe { handle::get(options) }?.lock().named.to_stream()
}

/// What committing takes; NULL stands for the defaults.
///
/// # Safety
/// `options` is NULL or a handle that nobody frees meanwhile.
pub(crate) unsafe fn to_commit(options: *const qed_options) -> Result<CommitPlan> {
    if options.is_null() {
        return NamedOptions::new().to_commit();
    }
    // SAFETY: the caller's promise.
    let options = unsafe { handle::get(options) }?.lock();
    let mut plan = options.named.to_commit()?;
    options.give_backing(&mut plan.image)?;
    Ok(plan)
}

/// What rebasing takes; NULL stands for the defaults.
///
/// # Safety
/// `options` is NULL or a handle that nobody frees meanwhile.
pub(crate) unsafe fn to_rebase(options: *const qed_options) -> Result<RebasePlan> {
    if options.is_null() {
        return NamedOptions::new().to_rebase();
    }
    // SAFETY: the caller's promise.
    let options = unsafe { handle::get(options) }?.lock();
    if options.directory.is_some() || !options.chain.is_empty() {
        let text = "rebasing takes no backing files of the caller's: names decide";
        return Err(Error::invalid(text));
    }
    options.named.to_rebase()
}

/// What making a queue takes, but its depth; NULL stands for the defaults.
///
/// # Safety
/// `options` is NULL or a handle that nobody frees meanwhile.
pub(crate) unsafe fn to_queue(options: *const qed_options) -> Result<QueueOptions> {
    if options.is_null() {
        return NamedOptions::new().to_queue();
    }
    // SAFETY: the caller's promise.
    let options = unsafe { handle::get(options) }?.lock();
    if options.directory.is_some() || !options.chain.is_empty() {
        return Err(Error::invalid("a queue takes no backing files: its image has them"));
    }
    options.named.to_queue()
}

/// What creating takes; NULL stands for the defaults.
///
/// # Safety
/// `options` is NULL or a handle that nobody frees meanwhile.
pub(crate) unsafe fn to_create(options: *const qed_options) -> Result<CreateOptions> {
    if options.is_null() {
        return NamedOptions::new().to_create();
    }
    // SAFETY: the caller's promise.
    unsafe { handle::get(options) }?.lock().to_create()
}

impl Options {
    fn to_open(&self) -> Result<OpenOptions> {
        let mut options = self.named.to_open()?;
        self.give_backing(&mut options)?;
        Ok(options)
    }

    /// Puts the backing files that the caller gave in the place of the policy.
    fn give_backing(&self, options: &mut OpenOptions) -> Result<()> {
        let given = match (&self.directory, self.chain.is_empty()) {
            (None, true) => return Ok(()),
            (Some(directory), true) => BackingPolicy::BeneathDirectory(directory.clone()),
            (None, false) => BackingPolicy::Chain(self.chain.clone()),
            (Some(_), false) => {
                return Err(Error::invalid(
                    "both backing files and a directory for them are given",
                ));
            }
        };
        if !matches!(options.backing, BackingPolicy::Beneath) {
            let text = "backing_policy is set, and backing files or a directory are given as well";
            return Err(Error::invalid(text));
        }
        options.backing = given;
        Ok(())
    }

    fn to_create(&self) -> Result<CreateOptions> {
        if self.directory.is_some() || !self.chain.is_empty() {
            let text = "creating takes its backing file by the option \"backing\" alone";
            return Err(Error::invalid(text));
        }
        self.named.to_create()
    }
}

/// A path need not be UTF-8; what else is not is refused where the value is read.
fn to_value(bytes: &[u8]) -> OptionValue {
    match std::str::from_utf8(bytes) {
        Ok(text) => OptionValue::Str(text.to_owned()),
        Err(_) => OptionValue::Path(OsStr::from_bytes(bytes).into()),
    }
}

/// # Safety
/// `options` and `name` are as the header asks.
unsafe fn set(
    options: *mut qed_options,
    name: *const c_char,
    value: impl FnOnce() -> Result<OptionValue>,
) -> Result<()> {
    // SAFETY: the caller's promise.
    let options = unsafe { handle::get(options.cast_const()) }?;
    // SAFETY: the caller's promise.
    let name = unsafe { arguments::text(name, "name") }?;
    if name.is_empty() {
        return Err(Error::invalid("name is empty"));
    }
    options.lock().named.set(name, value()?)
}
