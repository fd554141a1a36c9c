//! The verb `bench`: keywords to the engine's plan and settings, its report to the result class.

use crate::arguments::{self, Bytes};
use crate::errors;
use crate::image::Image;
use crate::options;
use crate::progress::Reporter;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyType};
use qed_core::bench::{Histogram, Pattern, Plan, Report, Settings, run};
use qed_core::{Error, Result};

/// Keywords that say how requests are sent.
const HOW: &[&str] = &["depth", "threads", "aio", "drain", "pattern"];
/// Keywords that say which ones: a trace says that itself.
const WHAT: &[&str] =
    &["write", "count", "length", "offset", "step", "random", "seed", "flush_interval"];

/// What the keywords ask for.
#[derive(Default)]
struct Wanted {
    pattern: Pattern,
    settings: Settings,
    random: bool,
    seed: u64,
    no_drain: bool,
    /// A keyword given that says what is sent.
    says_what: Option<String>,
}

/// Sends requests to an image and tells how long they took. A trace comes as its text; the Python
/// wrapper has read the file.
#[pyfunction]
#[pyo3(signature = (image, trace, trace_name, progress, **options))]
pub(crate) fn bench<'py>(
    py: Python<'py>,
    image: &Bound<'py, Image>,
    trace: Option<&[u8]>,
    trace_name: Option<&Bound<'py, PyAny>>,
    progress: Option<Py<PyAny>>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut wanted = Wanted::default();
    for (name, value) in options.into_iter().flatten() {
        wanted.set(&name.extract::<String>()?, &value)?;
    }
    let trace_name = trace_name.map(arguments::path).transpose()?;
    let mut reporter = Reporter::new(progress);
    let report = image.get().with_shared(py, |engine| {
        let plan = wanted.plan(trace, engine.size()).map_err(|error| match &trace_name {
            Some(name) => error.in_file(name),
            None => error,
        })?;
        run(engine, &plan, &wanted.settings, &mut |done, total| reporter.report(done, total))
    });
    result(py, &reporter.finish(report)?)
}

impl Wanted {
    fn set(&mut self, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        match name {
            "write" => self.pattern.write = value.extract()?,
            "count" => self.pattern.count = number(value)?,
            "length" => self.pattern.length = number(value)?,
            "offset" => self.pattern.offset = number(value)?,
            "step" => self.pattern.step = number(value)?,
            "random" => self.random = value.extract()?,
            "seed" => self.seed = number(value)?,
            "flush_interval" => self.pattern.flush_interval = number(value)?,
            "drain" => self.no_drain = !value.extract::<bool>()?,
            "depth" => self.settings.depth = number(value)?,
            "threads" => self.settings.threads = number(value)?,
            "aio" => self.settings.aio = options::aio(value.py(), &value.extract::<String>()?)?,
            "pattern" => self.settings.pattern = byte(value)?,
            _ => {
                let known = [HOW, WHAT].concat().join(", ");
                let text = format!("unknown option {name:?} for bench; known are {known}");
                return Err(errors::invalid(value.py(), text));
            }
        }
        if WHAT.contains(&name) {
            self.says_what = Some(name.to_owned());
        }
        Ok(())
    }

    fn plan(&self, trace: Option<&[u8]>, disk: u64) -> Result<Plan> {
        let plan = match (trace, &self.says_what) {
            (Some(text), None) => Plan::trace(text, disk)?,
            (Some(_), Some(name)) => {
                let text = format!("{name} has no meaning beside a trace, which says what is sent");
                return Err(Error::invalid(text));
            }
            (None, _) => {
                let random = self.random.then_some(self.seed);
                Plan::pattern(Pattern { random, ..self.pattern.clone() }, disk)?
            }
        };
        Ok(if self.no_drain { plan.without_drain() } else { plan })
    }
}

/// A number, or a size like "4k".
fn number(value: &Bound<'_, PyAny>) -> PyResult<u64> {
    if let Ok(text) = value.cast::<PyString>() {
        let parsed = qed_core::parse_size(&text.to_cow()?);
        return parsed.map_err(|error| errors::to_python(value.py(), &error));
    }
    value.extract().map(|Bytes(number)| number)
}

fn byte(value: &Bound<'_, PyAny>) -> PyResult<u8> {
    let wanted = number(value)?;
    u8::try_from(wanted)
        .map_err(|_| errors::invalid(value.py(), format!("pattern {wanted} is no byte")))
}

/// `qed.BenchResult`.
fn result<'py>(py: Python<'py>, report: &Report) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let fields = PyDict::new(py);
    fields.set_item("aio", report.aio.name())?;
    fields.set_item("seconds", report.elapsed.as_secs_f64())?;
    fields.set_item("reads", report.reads)?;
    fields.set_item("writes", report.writes)?;
    fields.set_item("zero_writes", report.zero_writes)?;
    fields.set_item("discards", report.discards)?;
    fields.set_item("flushes", report.flushes.count())?;
    fields.set_item("bytes", report.bytes)?;
    fields.set_item("latency", latency(py, &report.requests)?)?;
    fields.set_item("flush_latency", latency(py, &report.flushes)?)?;
    CLASS.import(py, "qed._bench", "BenchResult")?.call((), Some(&fields))
}

/// `qed.Latency`.
fn latency<'py>(py: Python<'py>, histogram: &Histogram) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let permille = |permille| histogram.permille(permille).as_nanos();
    let numbers = (
        histogram.mean().as_nanos(),
        permille(500),
        permille(900),
        permille(990),
        permille(999),
        histogram.max().as_nanos(),
    );
    CLASS.import(py, "qed._bench", "Latency")?.call1(numbers)
}
