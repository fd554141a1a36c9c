//! The verbs that take long: convert and compare, with progress, and stopped by what it raises.

use crate::arguments::{self, Bytes, Target};
use crate::call::detached;
use crate::image::Image;
use crate::progress::Reporter;
use crate::{errors, options, results};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt};
use qed_core::{
    CompareOptions, ConvertOptions, ConvertSource, ConvertTarget, CreateOptions, Disk, Error,
    Result, Source,
};
use std::fs::File;

/// What is copied: open images, or a stream.
enum From<'py> {
    Images(Vec<Bound<'py, Image>>),
    Stream(File),
}

/// Where it goes: an open image, or what a path or a descriptor names.
enum To<'py> {
    Image(Bound<'py, Image>),
    New(Target),
}

/// Copies a disk into another one; returns the bytes that could not be read.
#[pyfunction]
#[pyo3(signature = (
    source, target, *, offset, length, workers, in_order, sparse_size, target_is_zero, salvage,
    backing, progress, **options
))]
#[allow(clippy::too_many_arguments)] // Python calls it by keywords.
pub(crate) fn convert(
    py: Python<'_>,
    source: &Bound<'_, PyAny>,
    target: &Bound<'_, PyAny>,
    offset: Bytes,
    length: Option<Bytes>,
    workers: usize,
    in_order: bool,
    sparse_size: Bytes,
    target_is_zero: bool,
    salvage: bool,
    backing: Option<&Bound<'_, PyAny>>,
    progress: Option<Py<PyAny>>,
    options: Option<&Bound<'_, PyDict>>,
) -> PyResult<u64> {
    let (from, to) = (From::of(source)?, To::of(target)?);
    let creates = backing.is_some() || options.is_some_and(|given| !given.is_empty());
    match &to {
        To::Image(_) if creates => {
            let text = "options of creating are given, but the target is an open image";
            return Err(errors::invalid(py, text));
        }
        To::Image(image) if from.has(image) => {
            return Err(errors::invalid(py, "an image cannot be copied to itself"));
        }
        To::New(_) if target_is_zero => {
            return Err(errors::invalid(py, "target_is_zero is for a target that is open"));
        }
        _ => {}
    }
    let mut create = options::create(py, options)?;
    create.backing = backing.map(arguments::path).transpose()?;
    let mut how = ConvertOptions::default();
    (how.offset, how.length) = (offset.0, length.map(|Bytes(length)| length));
    (how.workers, how.in_order, how.sparse_size) = (workers, in_order, sparse_size.0);
    (how.target_is_zero, how.salvage) = (target_is_zero, salvage);
    let mut reporter = Reporter::new(progress);
    let mut report = |done, total| reporter.report(done, total);
    let outcome = match (from, to) {
        (From::Images(images), To::Image(image)) => {
            let handles: Vec<_> = images.iter().chain([&image]).map(Bound::get).collect();
            Image::with_all(py, &handles, |disks| {
                let Some((target, sources)) = disks.split_last() else { return Ok(0) };
                let target = ConvertTarget::Disk(*target);
                qed_core::convert(disks_of(sources), target, &how, &mut report)
            })
        }
        (From::Images(images), To::New(target)) => {
            let handles: Vec<_> = images.iter().map(Bound::get).collect();
            Image::with_all(py, &handles, |disks| {
                let target = new_target(&target, create)?;
                qed_core::convert(disks_of(disks), target, &how, &mut report)
            })
        }
        (From::Stream(stream), To::Image(image)) => Image::with_all(py, &[image.get()], |disks| {
            let (source, target) = (ConvertSource::Stream(stream), ConvertTarget::Disk(disks[0]));
            qed_core::convert(source, target, &how, &mut report)
        }),
        (From::Stream(stream), To::New(target)) => detached(py, || {
            let target = new_target(&target, create)?;
            qed_core::convert(ConvertSource::Stream(stream), target, &how, &mut report)
        }),
    };
    reporter.finish(outcome)
}

/// How two open images differ.
#[pyfunction]
#[pyo3(signature = (a, b, *, strict, workers, progress))]
pub(crate) fn compare<'py>(
    py: Python<'py>,
    a: &Bound<'_, Image>,
    b: &Bound<'_, Image>,
    strict: bool,
    workers: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut how = CompareOptions::default();
    (how.strict, how.workers) = (strict, workers);
    let mut reporter = Reporter::new(progress);
    let outcome = Image::with_all(py, &[a.get(), b.get()], |disks| {
        let report = &mut |done, total| reporter.report(done, total);
        let found = qed_core::compare(disks[0], disks[1], &how, report)?;
        Ok((found, disks[0].size().min(disks[1].size())))
    });
    let (found, shorter) = reporter.finish(outcome)?;
    results::comparison(py, found, shorter)
}

impl<'py> From<'py> {
    fn of(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(image) = object.cast::<Image>() {
            return Ok(Self::Images(vec![image.clone()]));
        }
        if object.is_instance_of::<PyInt>() || object.is_instance_of::<PyBool>() {
            return match object.extract()? {
                Target::File(file) => Ok(Self::Stream(file)),
                Target::Path(_) => Err(not_a_source(object)),
            };
        }
        let Ok(items) = object.try_iter() else { return Err(not_a_source(object)) };
        let image = |item: PyResult<Bound<'py, PyAny>>| {
            let item = item?;
            item.cast_into::<Image>().map_err(|error| not_a_source(&error.into_inner()))
        };
        items.map(image).collect::<PyResult<_>>().map(Self::Images)
    }

    fn has(&self, image: &Bound<'py, Image>) -> bool {
        matches!(self, Self::Images(images) if images.iter().any(|source| source.is(image)))
    }
}

impl<'py> To<'py> {
    fn of(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        match object.cast::<Image>() {
            Ok(image) => Ok(Self::Image(image.clone())),
            Err(_) => object.extract().map(Self::New),
        }
    }
}

fn disks_of<'a>(disks: &[&'a Disk]) -> ConvertSource<'a> {
    ConvertSource::Disks(disks.iter().map(|disk| *disk as &dyn Source).collect())
}

fn new_target(target: &Target, create: CreateOptions) -> Result<ConvertTarget<'_>> {
    match target {
        Target::Path(path) => Ok(ConvertTarget::New(path, create)),
        Target::File(file) => {
            let copy = file.try_clone();
            let copy = copy.map_err(|error| Error::io("duplicating a descriptor", error))?;
            Ok(ConvertTarget::Stream(copy, create))
        }
    }
}

fn not_a_source(object: &Bound<'_, PyAny>) -> PyErr {
    let kind = object.get_type();
    let name = kind.name().map(|name| name.to_string()).unwrap_or_default();
    PyTypeError::new_err(format!("an image, several, or a descriptor is wanted, not {name}"))
}
