//! The Python face of libqed: the native module `qed._qed`.
//!
//! Conversions, handles and errors only; every decision is the engine's. What Python code is better
//! at (exception classes, result classes, leak warnings, `io` adapters) is Python, in
//! `python/qed/`. All I/O runs detached from the interpreter, and no lock of this crate is held
//! while waiting to attach to it again.

mod arguments;
mod backing;
mod bench;
#[allow(unsafe_code)]
mod buffers;
mod call;
mod check;
mod completion;
mod convert;
mod crash;
#[allow(unsafe_code)]
mod descriptor;
mod errors;
mod extents;
mod fork;
mod functions;
mod image;
mod layer;
mod layout;
mod measure;
mod options;
mod progress;
mod queue;
mod reshape;
mod results;
mod work;

use pyo3::prelude::*;

/// The native half of the package `qed`.
#[pymodule(gil_used = false)]
mod _qed {
    #[pymodule_export]
    use crate::bench::bench;
    #[pymodule_export]
    use crate::check::{check, lint, safety_check, undo_repair};
    #[pymodule_export]
    use crate::completion::Completion;
    #[pymodule_export]
    use crate::convert::{compare, convert};
    #[pymodule_export]
    use crate::crash::log::CrashLog;
    #[pymodule_export]
    use crate::crash::prepared::Prepared;
    #[pymodule_export]
    use crate::crash::recorder::CrashRecorder;
    #[pymodule_export]
    use crate::crash::state::CrashState;
    #[pymodule_export]
    use crate::crash::tally::Tally;
    #[pymodule_export]
    use crate::crash::view::View;
    #[pymodule_export]
    use crate::crash::workload::CrashWorkload;
    #[pymodule_export]
    use crate::extents::Extents;
    #[pymodule_export]
    use crate::fork::after_fork_in_child;
    #[pymodule_export]
    use crate::functions::{create, error_kinds, parse_size, probe};
    #[pymodule_export]
    use crate::image::Image;
    #[pymodule_export]
    use crate::layer::Layer;
    #[pymodule_export]
    use crate::layout::layout;
    #[pymodule_export]
    use crate::measure::measure;
    #[pymodule_export]
    use crate::queue::{Queue, aio_refusal};
    #[pymodule_export]
    use crate::work::{compact, stream};

    #[pymodule_export]
    use crate::reshape::{commit, rebase};

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_export]
    const BENCH_MAX_DEPTH: u64 = qed_core::bench::MAX_DEPTH;
    #[pymodule_export]
    const BENCH_MAX_THREADS: u64 = qed_core::bench::MAX_THREADS;
}

/// The interpreter aligns its objects as it does: a class may not ask for more.
const fn fits_an_object<T>() {
    assert!(align_of::<T>() <= 16, "box what is aligned so");
}
const _: () = {
    fits_an_object::<image::Image>();
    fits_an_object::<layer::Layer>();
    fits_an_object::<queue::Queue>();
    fits_an_object::<extents::Extents>();
    fits_an_object::<crash::prepared::Prepared>();
    fits_an_object::<crash::recorder::CrashRecorder>();
    fits_an_object::<crash::log::CrashLog>();
    fits_an_object::<crash::state::CrashState>();
    fits_an_object::<crash::workload::CrashWorkload>();
    fits_an_object::<crash::view::View>();
};
