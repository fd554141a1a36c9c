//! Backing files that the caller names or opens itself, for images that may not choose their own.

use crate::arguments::Target;
use crate::{errors, options};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use qed_core::{BackingPolicy, BackingSource, Error, OpenOptions};
use std::fs::File;
use std::sync::Arc;

/// Puts what `backing_chain` and `backing_directory` say in the place of the policy.
pub(crate) fn apply(
    py: Python<'_>,
    chain: Option<&Bound<'_, PyAny>>,
    directory: Option<Target>,
    options: &mut OpenOptions,
) -> PyResult<()> {
    let given = match (chain, directory) {
        (None, None) => return Ok(()),
        (Some(_), Some(_)) => {
            let text = "both a backing chain and a directory for backing files are given";
            return Err(errors::invalid(py, text));
        }
        (Some(chain), None) => {
            let sources = chain.try_iter()?.map(|item| source(&item?));
            BackingPolicy::Chain(sources.collect::<PyResult<_>>()?)
        }
        (None, Some(directory)) => {
            let directory = open_directory(directory);
            let directory = directory.map_err(|error| errors::to_python(py, &error))?;
            BackingPolicy::BeneathDirectory(Arc::new(directory.into()))
        }
    };
    if !matches!(options.backing, BackingPolicy::Beneath) {
        let text = "backing_policy is set, and a backing chain or directory is given as well";
        return Err(errors::invalid(py, text));
    }
    options.backing = given;
    Ok(())
}

/// A path or a descriptor, or a tuple of one and its format.
fn source(item: &Bound<'_, PyAny>) -> PyResult<BackingSource> {
    let Ok(pair) = item.cast::<PyTuple>() else { return Ok(place(item.extract()?)) };
    let (target, format): (Target, String) = pair.extract()?;
    Ok(place(target).with_format(options::format(item.py(), format)?))
}

fn place(target: Target) -> BackingSource {
    match target {
        Target::Path(path) => BackingSource::path(path),
        Target::File(file) => BackingSource::file(file),
    }
}

fn open_directory(directory: Target) -> qed_core::Result<File> {
    match directory {
        Target::File(file) => Ok(file),
        Target::Path(path) => File::open(&path).map_err(|error| {
            Error::io("opening the directory of the backing files", error).in_file(&path)
        }),
    }
}
