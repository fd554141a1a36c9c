//! The C face of libqed: `libqed.so`, `libqed.a` and `include/qed.h`.
//!
//! A thin boundary over the public API of `qed_core`: three small mechanisms (the handle, the panic
//! guard, the error slot), conversions of arguments, and no logic of its own. The documentation of
//! the public items is written for C programmers: it becomes the header (`cargo run -p qed-capi
//! --example generate-header`). The conventions that hold for every function stand once, at the
//! head of the header and in `docs/c-api.md`.

// C's names, and C's manner of documenting what a pointer must be: once for all functions.
#![allow(non_camel_case_types, clippy::missing_safety_doc)]
// This crate is the C boundary: it takes pointers from callers that no compiler has checked.
#![allow(unsafe_code)]

mod arguments;
pub mod backing;
pub mod completion;
pub mod convert;
pub mod extents;
mod fork;
mod guard;
mod handle;
pub mod image;
pub mod info;
pub mod io;
pub mod judge;
pub mod measure;
pub mod options;
pub mod probe;
pub mod queue;
pub mod quiesce;
pub mod repair;
pub mod report;
pub mod reshape;
pub mod status;
pub mod version;
pub mod work;
