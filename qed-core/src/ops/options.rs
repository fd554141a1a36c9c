//! Options by name: one table that C, Python and the command line share.
//!
//! A name that is not known, a value that is none of an option's, and an option given to a call
//! that it does not apply to are errors that list what is known; nothing is ever ignored. So the
//! options grow without a change of any interface.

mod checking;
mod long;
mod queue;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::check::Repair;
use super::create::CreateOptions;
use super::size::parse_size;
use crate::chain::{BackingPolicy, LockMode, OpenOptions};
use crate::error::{Error, Result};
use crate::image::{CacheMode, DetectZeroes, DiscardMode};
use crate::meta::Trust;
use crate::queue::Aio;
use crate::source::Format;
use crate::storage::Preallocation;

pub use checking::CheckPlan;
pub use long::{CommitPlan, ComparePlan, ConvertPlan, MeasurePlan, RebasePlan};

/// The value of an option, as it comes from a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionValue {
    /// A word, a path, a size ("64K"), a number, or "on", "off", "true", "false".
    Str(String),
    /// A number, or a size in bytes.
    U64(u64),
    /// A switch.
    Bool(bool),
    /// A path, whose bytes need not be UTF-8.
    Path(PathBuf),
}

/// Options that were set by name, each checked when it was set.
#[derive(Clone, Debug, Default)]
pub struct NamedOptions {
    set: BTreeMap<&'static str, (Calls, Setting)>,
}

impl NamedOptions {
    /// No options: every default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the option `name`; the last value counts.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for a name or a value that
    /// is not known.
    pub fn set(&mut self, name: &str, value: OptionValue) -> Result<()> {
        let Some((name, calls, read)) = KNOWN.iter().find(|known| known.0 == name) else {
            let known = names(|_| true);
            return Err(Error::invalid(format!("unknown option {name:?}; known are {known}")));
        };
        let setting = read(&Given { name, value })?;
        self.set.insert(name, (*calls, setting));
        Ok(())
    }

    /// Whether the option `name` was set.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.set.contains_key(name)
    }

    /// What [`open`](crate::open) is to do.
    ///
    /// # Errors
    /// An option is set that opening does not have.
    pub fn to_open(&self) -> Result<OpenOptions> {
        self.check_all_apply("open", |calls| calls.open)?;
        let mut options = OpenOptions::default();
        for (_, setting) in self.set.values() {
            setting.apply_to_open(&mut options);
        }
        Ok(options)
    }

    /// What [`create`](crate::create) is to do.
    ///
    /// # Errors
    /// An option is set that creating does not have.
    pub fn to_create(&self) -> Result<CreateOptions> {
        self.check_all_apply("create", |calls| calls.create)?;
        let mut options = CreateOptions::default();
        for (_, setting) in self.set.values() {
            setting.apply_to_create(&mut options);
        }
        Ok(options)
    }

    fn check_all_apply(&self, call: &str, applies: impl Fn(Calls) -> bool) -> Result<()> {
        match self.set.iter().find(|(_, (calls, _))| !applies(*calls)) {
            None => Ok(()),
            Some((name, _)) => {
                let known = names(applies);
                let message = format!("{call} has no option {name:?}; it has {known}");
                Err(Error::invalid(message))
            }
        }
    }
}

/// The calls that an option applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Calls {
    open: bool,
    create: bool,
    convert: bool,
    compare: bool,
    compact: bool,
    stream: bool,
    commit: bool,
    rebase: bool,
    measure: bool,
    check: bool,
    queue: bool,
}

/// An option with a value of its own type.
#[derive(Clone, Debug)]
enum Setting {
    Format(Format),
    ClusterSize(u64),
    TableSize(u64),
    Backing(PathBuf),
    BackingFormat(Format),
    Overwrite(bool),
    Cache(CacheMode),
    Lock(LockMode),
    ReadOnly(bool),
    Trust(Trust),
    L2CacheSize(u64),
    Discard(DiscardMode),
    DetectZeroes(DetectZeroes),
    BackingPolicy(BackingPolicy),
    MaxDepth(u32),
    NoFollow(bool),
    BlockDevices(bool),
    TolerateBadEntries(bool),
    SourceFormat(Format),
    SourceCache(CacheMode),
    Offset(u64),
    Length(u64),
    Workers(u32),
    InOrder(bool),
    SparseSize(u64),
    Salvage(bool),
    Strict(bool),
    CopyOnRead(bool),
    Preallocation(Preallocation),
    Batch(u64),
    Base(PathBuf),
    Keep(bool),
    NameOnly(bool),
    Rate(u64),
    Repair(Option<Repair>),
    DryRun(bool),
    Undo(PathBuf),
    MaxGrowth(u64),
    Aio(Aio),
}

impl Setting {
    fn apply_to_open(&self, options: &mut OpenOptions) {
        let image = &mut options.image;
        match self {
            Self::Format(format) => options.format = *format,
            Self::Cache(cache) => image.cache = *cache,
            Self::Lock(lock) => options.lock = *lock,
            Self::ReadOnly(on) => image.read_only = *on,
            Self::Trust(trust) => image.trust = *trust,
            Self::L2CacheSize(bytes) => image.l2_cache_size = *bytes,
            Self::Discard(mode) => image.discard = *mode,
            Self::DetectZeroes(mode) => image.detect_zeroes = *mode,
            Self::BackingPolicy(policy) => options.backing = policy.clone(),
            Self::MaxDepth(depth) => options.max_depth = *depth,
            Self::NoFollow(on) => options.no_follow = *on,
            Self::BlockDevices(on) => options.block_devices = *on,
            Self::TolerateBadEntries(on) => image.tolerate_bad_entries = *on,
            Self::CopyOnRead(on) => image.copy_on_read = *on,
            _ => debug_assert!(false, "{self:?} is none of open's"),
        }
    }

    fn apply_to_create(&self, options: &mut CreateOptions) {
        match self {
            Self::Format(format) => options.format = *format,
            Self::ClusterSize(bytes) => options.cluster_size = Some(*bytes),
            Self::TableSize(clusters) => options.table_size = Some(*clusters),
            Self::Backing(path) => options.backing = Some(path.clone()),
            Self::BackingFormat(format) => options.backing_format = Some(*format),
            Self::Overwrite(on) => options.overwrite = *on,
            Self::Preallocation(kind) => options.preallocation = *kind,
            Self::Cache(cache) => options.cache = *cache,
            Self::Lock(lock) => options.lock = *lock,
            Self::BlockDevices(on) => options.block_devices = *on,
            _ => debug_assert!(false, "{self:?} is none of create's"),
        }
    }
}

/// A value, and whose it is to be.
struct Given<'a> {
    name: &'a str,
    value: OptionValue,
}

impl Given<'_> {
    fn size(&self) -> Result<u64> {
        match &self.value {
            OptionValue::U64(bytes) => Ok(*bytes),
            OptionValue::Str(text) => {
                parse_size(text).map_err(|error| self.wrong(&format!("a size: {error}")))
            }
            _ => Err(self.wrong("a size")),
        }
    }

    fn count(&self) -> Result<u32> {
        let number = match &self.value {
            OptionValue::U64(number) => Some(*number),
            OptionValue::Str(text) => text.parse().ok(),
            _ => None,
        };
        let number = number.and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| self.wrong("a number"))
    }

    fn switch(&self) -> Result<bool> {
        match &self.value {
            OptionValue::Bool(on) => Ok(*on),
            OptionValue::Str(text) => match text.as_str() {
                "on" | "true" => Ok(true),
                "off" | "false" => Ok(false),
                _ => Err(self.wrong("on or off")),
            },
            _ => Err(self.wrong("on or off")),
        }
    }

    fn path(&self) -> Result<PathBuf> {
        match &self.value {
            OptionValue::Str(text) => Ok(text.into()),
            OptionValue::Path(path) => Ok(path.clone()),
            _ => Err(self.wrong("a path")),
        }
    }

    fn word<T: Clone>(&self, words: &[(&str, T)]) -> Result<T> {
        let said = match &self.value {
            OptionValue::Str(text) => text.as_str(),
            OptionValue::Bool(true) => "on",
            OptionValue::Bool(false) => "off",
            _ => "",
        };
        match words.iter().find(|(word, _)| *word == said) {
            Some((_, meaning)) => Ok(meaning.clone()),
            None => {
                let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                Err(self.wrong(&known.join(", ")))
            }
        }
    }

    fn wrong(&self, takes: &str) -> Error {
        let shown = match &self.value {
            OptionValue::Str(text) => format!("{text:?}"),
            OptionValue::U64(number) => number.to_string(),
            OptionValue::Bool(on) => on.to_string(),
            OptionValue::Path(path) => format!("the path {path:?}"),
        };
        Error::invalid(format!("option {:?} takes {takes}, not {shown}", self.name))
    }
}

fn names(which: impl Fn(Calls) -> bool) -> String {
    let known: Vec<_> =
        KNOWN.iter().filter(|(_, calls, _)| which(*calls)).map(|(name, ..)| *name).collect();
    known.join(", ")
}

type Read = fn(&Given<'_>) -> Result<Setting>;

const NONE: Calls = Calls {
    open: false,
    create: false,
    convert: false,
    compare: false,
    compact: false,
    stream: false,
    commit: false,
    rebase: false,
    measure: false,
    check: false,
    queue: false,
};
const OPEN: Calls = Calls { open: true, ..NONE };
/// Of opening anything, also what is only read by a longer operation.
const READ: Calls = Calls { commit: true, rebase: true, measure: true, open: true, ..LONG };
const CREATE: Calls = Calls { create: true, convert: true, ..NONE };
/// Of the shape of a new image.
const SHAPE: Calls = Calls { measure: true, ..CREATE };
const EVERY: Calls = Calls { create: true, ..READ };
const COMPACT: Calls = Calls { compact: true, ..NONE };
const CONVERT: Calls = Calls { convert: true, ..NONE };
const COMPARE: Calls = Calls { compare: true, ..NONE };
const CHECK: Calls = Calls { check: true, ..NONE };
const LONG: Calls = Calls { convert: true, compare: true, ..NONE };
const COMMIT: Calls = Calls { commit: true, ..NONE };
const REBASE: Calls = Calls { rebase: true, ..NONE };
/// Of naming a backing file's format.
const NAMING: Calls = Calls { rebase: true, ..CREATE };
const QUEUE: Calls = Calls { queue: true, ..NONE };
/// Of what has threads of its own.
const THREADS: Calls = Calls { queue: true, ..LONG };

/// Every option: its name, the calls it applies to, how its value is read.
const KNOWN: &[(&str, Calls, Read)] = &[
    ("format", EVERY, |given| given.word(FORMATS).map(Setting::Format)),
    ("cluster_size", SHAPE, |given| given.size().map(Setting::ClusterSize)),
    ("table_size", SHAPE, |given| given.size().map(Setting::TableSize)),
    ("backing", CREATE, |given| given.path().map(Setting::Backing)),
    ("backing_format", NAMING, |given| given.word(FORMATS).map(Setting::BackingFormat)),
    ("overwrite", CREATE, |given| given.switch().map(Setting::Overwrite)),
    ("cache", EVERY, |given| given.word(CACHES).map(Setting::Cache)),
    ("lock", EVERY, |given| given.word(LOCKS).map(Setting::Lock)),
    ("block_devices", EVERY, |given| given.switch().map(Setting::BlockDevices)),
    ("read_only", OPEN, |given| given.switch().map(Setting::ReadOnly)),
    ("trust", READ, |given| given.word(TRUSTS).map(Setting::Trust)),
    ("l2_cache_size", READ, |given| given.size().map(Setting::L2CacheSize)),
    ("discard", OPEN, |given| given.word(DISCARDS).map(Setting::Discard)),
    ("detect_zeroes", OPEN, |given| given.word(DETECTS).map(Setting::DetectZeroes)),
    ("backing_policy", READ, |given| given.word(POLICIES).map(Setting::BackingPolicy)),
    ("max_depth", READ, |given| given.count().map(Setting::MaxDepth)),
    ("no_follow", READ, |given| given.switch().map(Setting::NoFollow)),
    ("tolerate_bad_entries", READ, |given| given.switch().map(Setting::TolerateBadEntries)),
    ("source_format", Calls { measure: true, ..LONG }, |given| {
        given.word(FORMATS).map(Setting::SourceFormat)
    }),
    ("source_cache", CONVERT, |given| given.word(CACHES).map(Setting::SourceCache)),
    ("offset", CONVERT, |given| given.size().map(Setting::Offset)),
    ("length", CONVERT, |given| given.size().map(Setting::Length)),
    ("workers", THREADS, |given| given.count().map(Setting::Workers)),
    ("in_order", CONVERT, |given| given.switch().map(Setting::InOrder)),
    ("sparse_size", CONVERT, |given| given.size().map(Setting::SparseSize)),
    ("salvage", CONVERT, |given| given.switch().map(Setting::Salvage)),
    ("strict", COMPARE, |given| given.switch().map(Setting::Strict)),
    ("copy_on_read", OPEN, |given| given.switch().map(Setting::CopyOnRead)),
    ("preallocation", CREATE, |given| {
        given.word(&Preallocation::NAMED).map(Setting::Preallocation)
    }),
    ("batch", COMPACT, |given| given.size().map(Setting::Batch)),
    ("base", Calls { stream: true, ..COMMIT }, |given| given.path().map(Setting::Base)),
    ("keep", COMMIT, |given| given.switch().map(Setting::Keep)),
    ("name_only", REBASE, |given| given.switch().map(Setting::NameOnly)),
    ("rate", Calls { rebase: true, stream: true, ..COMMIT }, |given| {
        given.size().map(Setting::Rate)
    }),
    ("repair", CHECK, |given| given.word(REPAIRS).map(Setting::Repair)),
    ("dry_run", CHECK, |given| given.switch().map(Setting::DryRun)),
    ("undo", CHECK, |given| given.path().map(Setting::Undo)),
    ("max_growth", CHECK, |given| given.size().map(Setting::MaxGrowth)),
    ("aio", QUEUE, |given| given.word(AIOS).map(Setting::Aio)),
];

const FORMATS: &[(&str, Format)] =
    &[("raw", Format::Raw), ("qed", Format::Qed), ("qcow2", Format::Qcow2)];
const CACHES: &[(&str, CacheMode)] = &[
    ("writeback", CacheMode::Writeback),
    ("none", CacheMode::None),
    ("writethrough", CacheMode::Writethrough),
    ("directsync", CacheMode::Directsync),
    ("unsafe", CacheMode::Unsafe),
];
const AIOS: &[(&str, Aio)] = &[("io_uring", Aio::IoUring), ("threads", Aio::Threads)];
const LOCKS: &[(&str, LockMode)] = &[("on", LockMode::On), ("off", LockMode::Off)];
const TRUSTS: &[(&str, Trust)] =
    &[("untrusted", Trust::Untrusted), ("normal", Trust::Normal), ("damaged", Trust::Damaged)];
const DISCARDS: &[(&str, DiscardMode)] =
    &[("unmap", DiscardMode::Unmap), ("ignore", DiscardMode::Ignore)];
const DETECTS: &[(&str, DetectZeroes)] =
    &[("off", DetectZeroes::Off), ("on", DetectZeroes::On), ("unmap", DetectZeroes::Unmap)];
const REPAIRS: &[(&str, Option<Repair>)] =
    &[("off", None), ("leaks", Some(Repair::Leaks)), ("all", Some(Repair::All))];
const POLICIES: &[(&str, BackingPolicy)] = &[
    ("deny", BackingPolicy::Deny),
    ("beneath", BackingPolicy::Beneath),
    ("follow", BackingPolicy::Follow),
];

#[cfg(test)]
mod tests;
