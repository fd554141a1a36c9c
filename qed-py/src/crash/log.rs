//! The native class `CrashLog`: a recorded run, explored.

use super::history::{Happening, history};
use super::oracles::{Oracles, default_names};
use super::plan::Fields;
use super::state::CrashState;
use super::tally::Tally;
use super::{results, view};
use crate::call::detached;
use crate::{errors, options};
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use qed_core::crash::log::{Leniency, LoadOptions, digest_of, load, save};
use qed_core::crash::workload::Under;
use qed_core::crash::{Lower, Medium, Recording, Study, Workload, Writer};
use qed_core::source::Source;
use qed_core::storage::Event;
use qed_core::{Disk, Format, ImageSettings, OpenOptions, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What stands below the image, and how another process finds it.
#[derive(Clone, Default)]
pub(crate) struct Below {
    source: Option<Arc<dyn Source>>,
    lower: Option<Lower>,
    place: Option<Place>,
}

#[derive(Clone)]
enum Place {
    File(PathBuf, Format),
    Made(Under),
}

impl Below {
    /// The disk at `path`, for reading.
    pub(crate) fn file(path: &Path, format: Format, options: &OpenOptions) -> Result<Self> {
        let mut options = options.clone();
        (options.format, options.observer) = (format, None);
        options.image.read_only = true;
        options.image.background = false;
        let source: Arc<dyn Source> = Arc::new(Disk::open(path, &options)?);
        let place = Some(Place::File(path.to_path_buf(), format));
        Ok(Self { source: Some(source), lower: None, place })
    }

    /// What generated workloads have below them.
    pub(crate) fn made(under: Under) -> Self {
        let (source, lower) = (Some(under.source()), under.lower());
        Self { source, lower, place: Some(Place::Made(under)) }
    }

    /// The same by its words in a workload's line.
    fn of_words(words: &str) -> Result<Self> {
        Ok(words.parse::<Workload>()?.under().map_or_else(Self::default, Self::made))
    }
}

/// A recorded run.
#[pyclass(frozen, module = "qed._qed")]
pub(crate) struct CrashLog {
    recording: Recording,
    below: Below,
    digest: u64,
    /// What is known of the recording, once it was asked for.
    study: Mutex<Option<Arc<Study>>>,
}

impl CrashLog {
    pub(crate) fn new(mut recording: Recording, below: Below) -> Self {
        recording.backing.clone_from(&below.source);
        recording.lower.clone_from(&below.lower);
        let digest = digest_of(&recording.log);
        Self { recording, below, digest, study: Mutex::new(None) }
    }

    fn study(&self) -> Result<Arc<Study>> {
        if let Some(study) = &*self.study.lock() {
            return Ok(Arc::clone(study));
        }
        // Two threads may both do it; either result will do.
        let study = Arc::new(Study::new(self.recording.clone())?);
        *self.study.lock() = Some(Arc::clone(&study));
        Ok(study)
    }
}

/// What a log's bytes do not say: how they are read, and what the image stands on.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Facts {
    format: String,
    lenient: bool,
    sector_size: Option<u32>,
    workload: Vec<(String, u64)>,
    backing: Option<(Option<PathBuf>, String)>,
    foreign: bool,
}

#[pymethods]
impl CrashLog {
    /// Reads a log's bytes; `base` is the path of what the file was at first.
    #[staticmethod]
    fn decode(
        py: Python<'_>,
        content: &[u8],
        base: Option<PathBuf>,
        facts: Facts,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<Self> {
        let format = options::format(py, facts.format.clone())?;
        let open = options::open(py, Some(options))?;
        let below_format = match &facts.backing {
            Some((Some(_), word)) => options::format(py, word.clone())?,
            _ => Format::Raw,
        };
        detached(py, || {
            let below = match &facts.backing {
                None => Below::default(),
                Some((None, words)) => Below::of_words(words)?,
                Some((Some(path), _)) => Below::file(path, below_format, &open)?,
            };
            let mut recording = facts.read(content, base.as_deref())?;
            recording.format = format;
            recording.settings = ImageSettings { background: false, ..open.image.clone() };
            Ok(Self::new(recording, below))
        })
    }

    /// The log as a dm-log-writes file.
    fn encode<'py>(&self, py: Python<'py>, sector_size: u32) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = detached(py, || save(&self.recording, sector_size))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Equal for equal logs.
    #[getter]
    fn digest(&self) -> u64 {
        self.digest
    }

    /// The format of the image: "qed", "qcow2" or "raw".
    #[getter]
    fn format(&self) -> &'static str {
        self.recording.format.name()
    }

    /// Whether another program than libqed wrote the image.
    #[getter]
    fn foreign(&self) -> bool {
        self.recording.writer == Writer::Foreign
    }

    /// Bytes that the recorded disk writes as a whole.
    #[getter]
    fn unit(&self) -> u64 {
        self.recording.log.limits.atomic_unit
    }

    /// The file below the image: its path and format; or the words of a workload's line for it.
    #[getter]
    fn backing(&self) -> Option<(Option<&Path>, String)> {
        self.below.place.as_ref().map(|place| match place {
            Place::File(path, format) => (Some(path.as_path()), format.name().to_owned()),
            Place::Made(under) => (None, format!("cluster={} {under}", under.cluster)),
        })
    }

    /// The guest's calls, in words.
    #[getter]
    fn calls(&self) -> Vec<String> {
        self.recording.calls.iter().map(ToString::to_string).collect()
    }

    /// The texts of the marks.
    #[getter]
    fn marks(&self) -> Vec<String> {
        let events = self.recording.log.events.iter();
        events
            .filter_map(|event| match event {
                Event::Mark(text) => Some(text.clone()),
                _ => None,
            })
            .collect()
    }

    /// What happened, event by event.
    #[getter]
    fn history(&self) -> Vec<Happening> {
        history(&self.recording)
    }

    /// Events of the log: issues, completions, marks.
    #[getter]
    fn events(&self) -> usize {
        self.recording.log.events.len()
    }

    /// The names of the oracles that judge images of this format unless others are asked.
    #[getter]
    fn default_oracles(&self) -> Vec<&'static str> {
        default_names(&self.recording)
    }

    /// The shards of a plan, each as one word.
    fn shards(
        &self,
        py: Python<'_>,
        plan: Fields,
        oracles: &Bound<'_, PyAny>,
    ) -> PyResult<Vec<String>> {
        let (plan, oracles) = (plan.to_plan(py)?, Oracles::of(oracles)?);
        detached(py, || {
            let study = self.study()?;
            let shards = study.shards(&plan, &oracles.build(&study))?;
            Ok(shards.iter().map(ToString::to_string).collect())
        })
    }

    /// Judges one shard.
    fn run<'py>(
        &self,
        py: Python<'py>,
        shard: &str,
        plan: Fields,
        oracles: &Bound<'py, PyAny>,
    ) -> PyResult<(Tally, Bound<'py, PyList>)> {
        let (plan, oracles) = (plan.to_plan(py)?, Oracles::of(oracles)?);
        let shard = shard.parse().map_err(|error| errors::to_python(py, &error))?;
        let report = detached(py, || {
            let study = self.study()?;
            let mut judged = 0_u32;
            let mut goes_on = || {
                judged = judged.wrapping_add(1);
                !judged.is_multiple_of(OFTEN) || oracles.goes_on()
            };
            study.run(&plan, &shard, oracles.build(&study), &mut goes_on)
        })?;
        oracles.settle()?;
        results::report(py, report)
    }

    /// Judges one state alone.
    fn replay<'py>(
        &self,
        py: Python<'py>,
        word: &str,
        plan: Fields,
        oracles: &Bound<'py, PyAny>,
    ) -> PyResult<(Tally, Bound<'py, PyList>)> {
        let (plan, oracles) = (plan.to_plan(py)?, Oracles::of(oracles)?);
        let report = detached(py, || {
            let study = self.study()?;
            study.replay(word, plan, oracles.build(&study))
        })?;
        oracles.settle()?;
        results::report(py, report)
    }

    /// States from a window on, and the next window; None behind the last.
    fn states(
        &self,
        py: Python<'_>,
        plan: Fields,
        window: usize,
    ) -> PyResult<(Vec<CrashState>, Option<usize>)> {
        let plan = plan.to_plan(py)?;
        detached(py, || {
            let study = self.study()?;
            let (states, next) = study.states(&plan, window)?;
            let state = |state| CrashState::new(Arc::clone(&study), state);
            Ok((states.into_iter().map(state).collect(), next))
        })
    }

    /// The state of a name, or of a failure's word.
    fn state(&self, py: Python<'_>, name: &str, plan: Fields) -> PyResult<CrashState> {
        let plan = plan.to_plan(py)?;
        detached(py, || {
            let study = self.study()?;
            let state = study.state(name, plan)?;
            Ok(CrashState::new(study, state))
        })
    }

    /// What had happened, and what is stable, at the log's end.
    #[getter]
    fn end(&self, py: Python<'_>) -> PyResult<view::View> {
        let study = detached(py, || self.study())?;
        Ok(view::View::new(study, self.recording.log.events.len()))
    }
}

impl Facts {
    fn read(&self, bytes: &[u8], base: Option<&Path>) -> Result<Recording> {
        let base = base.map(Medium::load).transpose()?;
        let call = |(call, entries): &(String, u64)| Ok((call.parse()?, *entries));
        let options = LoadOptions {
            leniency: Leniency { lenient: self.lenient, sector_size: self.sector_size },
            base: base.map(|medium| Arc::new(medium.to_base())),
            workload: self.workload.iter().map(call).collect::<Result<_>>()?,
        };
        let loaded = load(bytes, &options)?;
        let foreign = self.foreign || loaded.writer == Writer::Foreign;
        let writer = if foreign { Writer::Foreign } else { Writer::Libqed };
        Ok(Recording { writer, ..Recording::new(loaded.log, loaded.calls) })
    }
}

/// Signals are looked for once in so many judgements.
const OFTEN: u32 = 64;
