//! Operations on whole images, and the options by name that every face shares.

mod create;
mod options;
mod size;

pub use create::{CreateOptions, CreateSpec, create, create_file, format_storage};
pub use options::{NamedOptions, OptionValue};
pub use size::parse_size;
