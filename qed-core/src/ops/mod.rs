//! Operations on whole images, and the options by name that every face shares.

pub mod bench;
mod check;
mod commit;
mod compact;
mod compare;
mod convert;
mod create;
mod layout;
mod lint;
mod measure;
mod options;
mod overlay;
mod rate;
mod rebase;
mod safety;
mod size;
mod stint;
mod stream;
mod work;

pub use check::{
    CheckOptions, CheckReport, Repair, check, check_file, check_file_with, check_storage,
    check_storage_with, check_with, undo_repair, undo_repair_file,
};
pub use commit::{CommitOptions, commit, commit_disks};
pub use compact::{CompactOptions, CompactReport, compact, compact_image};
pub use compare::{CompareOptions, Difference, compare};
pub use convert::{ConvertOptions, ConvertSource, ConvertTarget, DEFAULT_SPARSE_SIZE, convert};
pub use create::{CreateOptions, CreateSpec, create, create_file, format_storage};
pub use layout::{Layout, Shares, layout};
pub use lint::{
    LintFinding, LintReport, LintRule, Reader, Severity, lint, lint_file, lint_storage,
};
pub use measure::{MeasureOptions, Measured, measure, measure_size};
pub use options::{
    CheckPlan, CommitPlan, ComparePlan, ConvertPlan, MeasurePlan, NamedOptions, OptionValue,
    RebasePlan,
};
pub use overlay::add_overlay;
pub use rebase::{RebaseOptions, rebase, rebase_disk};
pub use safety::{
    SafetyOptions, SafetyReport, safety_check, safety_check_file, safety_check_storage,
};
pub use size::parse_size;
#[cfg(feature = "crash")]
pub(crate) use stream::{StreamBase, stream_image_to};
pub use stream::{StreamOptions, stream, stream_image};
pub use work::{DEFAULT_WORKERS, MAX_WORKERS, Progress};
