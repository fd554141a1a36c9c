//! Operations on whole images, and the options by name that every face shares.

mod check;
mod compare;
mod convert;
mod create;
mod options;
mod size;
mod work;

pub use check::{CheckReport, check, check_file, check_storage};
pub use compare::{CompareOptions, Difference, compare};
pub use convert::{ConvertOptions, ConvertSource, ConvertTarget, DEFAULT_SPARSE_SIZE, convert};
pub use create::{CreateOptions, CreateSpec, create, create_file, format_storage};
pub use options::{NamedOptions, OptionValue};
pub use size::parse_size;
pub use work::{DEFAULT_WORKERS, MAX_WORKERS, Progress};
