//! How a disk lies in its file, as an instance of the Python class (`qed/_layout.py`).

use crate::arguments::Bytes;
use crate::extents::Owner;
use crate::image::Image;
use crate::layer::Layer;
use crate::progress::Reporter;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

/// Sums up the extents of an image's or a layer's own file in bins.
#[pyfunction]
#[pyo3(signature = (disk, file_length, guest_bins, file_bins))]
pub(crate) fn layout<'py>(
    py: Python<'py>,
    disk: &Bound<'py, PyAny>,
    file_length: Bytes,
    guest_bins: Bytes,
    file_bins: Bytes,
) -> PyResult<Bound<'py, PyAny>> {
    let owner = if let Ok(image) = disk.cast::<Image>() {
        Owner::Image(image.clone().unbind())
    } else if let Ok(layer) = disk.cast::<Layer>() {
        Owner::Layer(layer.clone().unbind())
    } else {
        return Err(PyTypeError::new_err("an image or a layer is wanted"));
    };
    let mut reporter = Reporter::new(None);
    let found = owner.with(py, |runs| {
        let guest = (runs.size(), guest_bins.0);
        let file = (file_length.0, file_bins.0);
        qed_core::layout(runs.runs(0, guest.0)?, guest, file, &mut |done, total| {
            reporter.report(done, total)
        })
    });
    to_python(py, &reporter.finish(found)?)
}

fn to_python<'py>(py: Python<'py>, layout: &qed_core::Layout) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let shares = |shares: &qed_core::Shares| (shares.data, shares.zero, shares.unallocated);
    let fields = PyDict::new(py);
    fields.set_item("guest_bin", layout.guest_bin)?;
    fields.set_item("file_bin", layout.file_bin)?;
    fields.set_item("total", shares(&layout.total))?;
    fields.set_item("runs", layout.runs)?;
    fields.set_item("longest_run", layout.longest_run)?;
    fields.set_item("backward", layout.backward)?;
    fields.set_item("guest", layout.guest.iter().map(shares).collect::<Vec<_>>())?;
    fields.set_item("file", &layout.file)?;
    fields.set_item("cells", &layout.cells)?;
    CLASS.import(py, "qed._layout", "Layout")?.call((), Some(&fields))
}
