//! How long the file of a converted disk will be, as an instance of the Python class.

use crate::arguments::Bytes;
use crate::call::detached;
use crate::image::Image;
use crate::options;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use qed_core::MeasureOptions;

/// Measures a copy of an open image, or a new disk of so many bytes.
#[pyfunction]
#[pyo3(signature = (source, *, format, cluster_size, table_size))]
pub(crate) fn measure<'py>(
    py: Python<'py>,
    source: &Bound<'py, PyAny>,
    format: String,
    cluster_size: Option<Bytes>,
    table_size: Option<Bytes>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut how = MeasureOptions::default();
    how.format = options::format(py, format)?;
    how.cluster_size = cluster_size.map(|Bytes(bytes)| bytes);
    how.table_size = table_size.map(|Bytes(clusters)| clusters);
    let measured = match source.cast::<Image>() {
        Ok(image) => {
            Image::with_all(py, &[image.get()], |disks| qed_core::measure(disks[0], &how))?
        }
        Err(_) => {
            let Bytes(size) = source.extract()?;
            detached(py, || qed_core::measure_size(size, &how))?
        }
    };
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let class = CLASS.import(py, "qed._results", "Measured")?;
    class.call1((measured.required, measured.fully_allocated))
}
