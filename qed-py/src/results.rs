//! Facts of the engine as instances of the Python result classes (`qed/_results.py`).

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};
use qed_core::{CheckReport, Extent, ExtentKind};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// `qed.Info`.
pub(crate) fn info<'py>(py: Python<'py>, info: &qed_core::Info) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let backing = info.backing.as_ref();
    let fields = PyDict::new(py);
    fields.set_item("virtual_size", info.virtual_size)?;
    fields.set_item("cluster_size", info.cluster_size)?;
    fields.set_item("table_size", info.table_size)?;
    fields.set_item("header_size", info.header_size)?;
    fields.set_item("features", info.features)?;
    fields.set_item("compat_features", info.compat_features)?;
    fields.set_item("autoclear_features", info.autoclear_features)?;
    fields.set_item("l1_table_offset", info.l1_table_offset)?;
    fields.set_item("needs_check", info.needs_check)?;
    fields.set_item("backing", backing.map(|backing| OsStr::from_bytes(&backing.name)))?;
    fields.set_item("backing_format", backing.and_then(|backing| backing.raw.then_some("raw")))?;
    fields.set_item("file_length", info.file_length)?;
    fields.set_item("disk_usage", info.disk_usage)?;
    fields.set_item("read_only", info.read_only)?;
    CLASS.import(py, "qed._results", "Info")?.call((), Some(&fields))
}

/// `qed.Extent`.
pub(crate) fn extent<'py>(py: Python<'py>, extent: &Extent) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let (kind, file_offset) = match extent.kind {
        ExtentKind::Data { file_offset } => ("data", Some(file_offset)),
        ExtentKind::Zero => ("zero", None),
        ExtentKind::Unallocated => ("unallocated", None),
    };
    let class = CLASS.import(py, "qed._results", "Extent")?;
    class.call1((extent.offset, extent.length, kind, file_offset))
}

/// `qed.CheckReport`.
pub(crate) fn report<'py>(py: Python<'py>, report: &CheckReport) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let findings = PyTuple::new(py, report.findings.iter().map(ToString::to_string))?;
    let fields = PyDict::new(py);
    fields.set_item("image_end_offset", report.image_end_offset)?;
    fields.set_item("total_clusters", report.total_clusters)?;
    fields.set_item("allocated_clusters", report.allocated_clusters)?;
    fields.set_item("fragmented_clusters", report.fragmented_clusters)?;
    fields.set_item("check_errors", report.check_errors)?;
    fields.set_item("corruptions", report.corruptions)?;
    fields.set_item("leaks", report.leaks)?;
    fields.set_item("corruptions_fixed", report.corruptions_fixed)?;
    fields.set_item("leaks_fixed", report.leaks_fixed)?;
    fields.set_item("findings", findings)?;
    fields.set_item("first_check_error", report.first_check_error.as_deref())?;
    CLASS.import(py, "qed._results", "CheckReport")?.call((), Some(&fields))
}
