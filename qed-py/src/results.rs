//! Facts of the engine as instances of the Python result classes (`qed/_results.py`).

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};
use qed_core::qcow2::Qcow2Info;
use qed_core::{
    CheckReport, CompactReport, Difference, DiskInfo, Extent, ExtentKind, Format, LayerName,
};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// `qed.Info`.
pub(crate) fn info<'py>(py: Python<'py>, info: &DiskInfo) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let (backing, qed) = (info.backing.as_ref(), info.qed.as_ref());
    let format = backing.and_then(|backing| backing.format);
    let fields = PyDict::new(py);
    fields.set_item("format", info.format.name())?;
    fields.set_item("virtual_size", info.virtual_size)?;
    fields.set_item("cluster_size", info.cluster_size)?;
    fields.set_item("table_size", qed.map(|qed| qed.table_size))?;
    fields.set_item("header_size", qed.map(|qed| qed.header_size))?;
    fields.set_item("features", qed.map(|qed| qed.features))?;
    fields.set_item("compat_features", qed.map(|qed| qed.compat_features))?;
    fields.set_item("autoclear_features", qed.map(|qed| qed.autoclear_features))?;
    fields.set_item("l1_table_offset", qed.map(|qed| qed.l1_table_offset))?;
    fields.set_item("needs_check", info.needs_check)?;
    fields.set_item("backing", backing.map(|backing| OsStr::from_bytes(&backing.name)))?;
    fields.set_item("backing_format", format.map(Format::name))?;
    fields.set_item("file_length", info.file_length)?;
    fields.set_item("disk_usage", info.disk_usage)?;
    fields.set_item("read_only", info.read_only)?;
    fields.set_item("qcow2", info.qcow2.as_ref().map(|info| qcow2(py, info)).transpose()?)?;
    CLASS.import(py, "qed._results", "Info")?.call((), Some(&fields))
}

/// `qed.Qcow2Info`.
fn qcow2<'py>(py: Python<'py>, info: &Qcow2Info) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let fields = PyDict::new(py);
    fields.set_item("compat", info.compat())?;
    fields.set_item("compression_type", info.compression.name())?;
    fields.set_item("refcount_bits", info.refcount_bits)?;
    fields.set_item("lazy_refcounts", info.has_lazy_refcounts())?;
    fields.set_item("dirty", info.is_dirty())?;
    fields.set_item("corrupt", info.is_corrupt())?;
    fields.set_item("extended_l2", info.has_extended_l2())?;
    fields.set_item("snapshots", info.snapshots)?;
    CLASS.import(py, "qed._results", "Qcow2Info")?.call((), Some(&fields))
}

/// `qed.CompactReport`.
pub(crate) fn compaction<'py>(
    py: Python<'py>,
    report: &CompactReport,
) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let fields = PyDict::new(py);
    fields.set_item("clusters_moved", report.clusters_moved)?;
    fields.set_item("tables_moved", report.tables_moved)?;
    fields.set_item("length_before", report.length_before)?;
    fields.set_item("length_after", report.length_after)?;
    CLASS.import(py, "qed._results", "CompactReport")?.call((), Some(&fields))
}

/// `qed.Extent`.
pub(crate) fn extent<'py>(py: Python<'py>, extent: &Extent) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let (kind, file_offset) = match extent.kind {
        ExtentKind::Data { file_offset } => ("data", file_offset),
        ExtentKind::Zero { file_offset } => ("zero", file_offset),
        ExtentKind::Unallocated => ("unallocated", None),
    };
    let class = CLASS.import(py, "qed._results", "Extent")?;
    class.call1((extent.offset, extent.length, kind, file_offset, extent.depth))
}

/// A list of `qed.LayerName`.
pub(crate) fn layers<'py>(py: Python<'py>, layers: &[LayerName]) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let class = CLASS.import(py, "qed._results", "LayerName")?;
    let names = layers.iter().map(|layer| {
        let path = layer.path.as_ref().map(|path| path.as_os_str());
        class.call1((path, layer.format.name()))
    });
    let names = names.collect::<PyResult<Vec<_>>>()?;
    Ok(PyList::new(py, names)?.into_any())
}

/// `qed.Comparison`; a difference of sizes begins where the `shorter` disk ends.
pub(crate) fn comparison<'py>(
    py: Python<'py>,
    found: Option<Difference>,
    shorter: u64,
) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let (reason, offset) = match found {
        None => (None, None),
        Some(Difference::Content { offset }) => (Some("content"), Some(offset)),
        Some(Difference::Allocation { offset }) => (Some("allocation"), Some(offset)),
        // A size, or what a later engine tells apart.
        Some(_) => (Some("size"), Some(shorter)),
    };
    let class = CLASS.import(py, "qed._results", "Comparison")?;
    class.call1((found.is_none(), reason, offset))
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
    fields.set_item("free_clusters", report.free_clusters)?;
    fields.set_item("corruptions_fixed", report.corruptions_fixed)?;
    fields.set_item("leaks_fixed", report.leaks_fixed)?;
    fields.set_item("findings", findings)?;
    fields.set_item("first_check_error", report.first_check_error.as_deref())?;
    CLASS.import(py, "qed._results", "CheckReport")?.call((), Some(&fields))
}
