//! libqed's engine: QED disk images that are never dirty after a crash.
//!
//! Layers, left to right; each uses only what stands left of it (`docs/architecture.md`):
//! `error, addr, sync -> format -> storage -> source -> meta -> image -> chain -> queue -> ops ->
//! crash`.

pub mod addr;
mod chain;
#[cfg(feature = "crash")]
pub mod crash;
pub mod error;
pub mod format;
pub mod image;
pub mod meta;
mod ops;
mod queue;
pub mod source;
pub mod storage;
mod sync;

pub use chain::qcow2;
pub use chain::{
    AskBacking, BackingPolicy, BackingRequest, BackingSource, DEFAULT_MAX_DEPTH, Disk, DiskInfo,
    GuestCall, Layer, LayerName, LockMode, MAX_DEPTH, Observer, OpenOptions, inspect, inspect_file,
    open, open_file, probe, probe_file,
};
pub use error::{Corruption, Error, ErrorKind, Result};
pub use image::{
    BackingInfo, CacheMode, DetectZeroes, DiscardMode, Flags, Image, ImageSettings, Info,
    ResizeOptions,
};
pub use meta::{Rule, Rules, Trust};
pub use ops::CheckPlan;
pub use ops::bench;
pub use ops::{
    CheckOptions, CheckReport, Repair, check, check_file, check_file_with, check_storage,
    check_storage_with, check_with, undo_repair, undo_repair_file,
};
pub use ops::{
    CommitOptions, CommitPlan, RebaseOptions, RebasePlan, commit, commit_disks, rebase, rebase_disk,
};
pub use ops::{
    CompactOptions, CompactReport, CompareOptions, ComparePlan, ConvertOptions, ConvertPlan,
    ConvertSource, ConvertTarget, CreateOptions, CreateSpec, DEFAULT_SPARSE_SIZE, DEFAULT_WORKERS,
    Difference, Layout, MAX_WORKERS, NamedOptions, OptionValue, Progress, Shares, add_overlay,
    compact, compact_image, compare, convert, create, create_file, format_storage, layout,
    parse_size,
};
pub use ops::{LintFinding, LintReport, LintRule, Reader, Severity, lint, lint_file, lint_storage};
pub use ops::{MeasureOptions, MeasurePlan, Measured, measure, measure_size};
pub use ops::{SafetyOptions, SafetyReport, safety_check, safety_check_file, safety_check_storage};
pub use ops::{StreamOptions, stream, stream_image};
pub use queue::{Aio, Buffers, Busy, Completion, Queue, QueueOptions, Queued, RawPart};
pub use source::{Extent, ExtentKind, Extents, Format, Source, Target};
pub use storage::Preallocation;
