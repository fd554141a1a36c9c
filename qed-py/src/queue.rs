//! The native class `Queue`: requests that are handed in and answered later.
//!
//! The engine works on memory that Python owns, and gives a number back for each request. What
//! belongs to the number, its memory too, is kept here until the completion was fetched or the
//! queue has settled: whatever Python code drops meanwhile, nothing in flight is freed.
//!
//! The lock is only ever tried: a queue is one thread's at a time, and who comes meanwhile is told.

use crate::arguments::Bytes;
use crate::buffers::{Fresh, Memory, Source, SourceList, Target, TargetList};
use crate::call::detached;
use crate::completion::Completion;
use crate::fork::Birth;
use crate::image::{Image, flag, judge_large, zeroing};
use crate::{errors, options};
use parking_lot::Mutex;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use qed_core::{Buffers, Error, ErrorKind, Flags, Queued};
use std::collections::HashMap;
use std::mem;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Requests for an image, pending and done.
#[pyclass(frozen, subclass, module = "qed._qed")]
pub(crate) struct Queue {
    /// None when it is closed.
    state: Mutex<Option<State>>,
    closed: AtomicBool,
    birth: Birth,
    image: Py<Image>,
}

struct State {
    /// Dropped first: it waits for what uses the memory below.
    queue: qed_core::Queue,
    pending: HashMap<u64, Pending>,
    next: u64,
    /// Fetched from the engine; a signal came before they were the caller's.
    fetched: Vec<qed_core::Completion>,
}

/// What belongs to a request while the engine has it.
struct Pending {
    user_data: Option<Py<PyAny>>,
    memory: Arc<Memory>,
}

impl Queue {
    /// Does `work` on the queue, for this thread alone.
    fn with<T>(&self, py: Python<'_>, work: impl FnOnce(&mut State) -> PyResult<T>) -> PyResult<T> {
        self.birth.check().map_err(|error| errors::to_python(py, &error))?;
        let mut state = self.state.try_lock().ok_or_else(|| busy(py, INSIDE))?;
        let closed = || errors::to_python(py, &errors::closed("queue"));
        work(state.as_mut().ok_or_else(closed)?)
    }

    /// Hands a request in; `request` gets its memory and its number.
    fn push(
        &self,
        py: Python<'_>,
        user_data: Option<Py<PyAny>>,
        memory: Memory,
        request: impl FnOnce(&mut qed_core::Queue, Buffers, u64) -> Queued,
    ) -> PyResult<()> {
        self.with(py, |state| {
            let (number, memory) = (state.next, Arc::new(memory));
            request(&mut state.queue, Memory::lend(&memory), number)
                .map_err(|busy| errors::to_python(py, &busy.into()))?;
            state.pending.insert(number, Pending { user_data, memory });
            state.next += 1;
            Ok(())
        })
    }
}

#[pymethods]
impl Queue {
    #[new]
    #[pyo3(
        signature = (image, depth = Bytes(128), **options),
        text_signature = "(image, depth=128, **options)"
    )]
    fn new(
        image: &Bound<'_, Image>,
        depth: Bytes,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let py = image.py();
        let mut options = options::queue(py, options)?;
        options.depth = usize::try_from(depth.0).unwrap_or(usize::MAX);
        let disk = image.get().shared(py)?;
        let queue = detached(py, || qed_core::Queue::new(disk, &options))?;
        let state = State { queue, pending: HashMap::new(), next: 0, fetched: Vec::new() };
        let (state, closed) = (Mutex::new(Some(state)), AtomicBool::new(false));
        Ok(Self { state, closed, birth: Birth::now(), image: image.clone().unbind() })
    }

    /// The image that the requests are for.
    #[getter]
    fn image(&self, py: Python<'_>) -> Py<Image> {
        self.image.clone_ref(py)
    }

    /// The engine at work: "io_uring" or "threads".
    #[getter]
    fn aio(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.with(py, |state| Ok(state.queue.engine().name()))
    }

    /// Why threads are at work where "io_uring" was asked for, or None.
    #[getter]
    fn fallback(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.with(py, |state| Ok(state.queue.fallback().map(str::to_owned)))
    }

    /// The most requests that may be pending.
    #[getter]
    fn depth(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |state| Ok(state.queue.depth()))
    }

    /// Requests handed in whose completions have not been fetched.
    #[getter]
    fn pending(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |state| Ok(state.pending.len()))
    }

    /// Whether the queue is closed.
    #[getter]
    fn closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether this process made the queue, and not its parent before a fork.
    #[getter]
    fn _is_ours(&self) -> bool {
        self.birth.is_here()
    }

    /// Queues a read of `length` bytes at `offset`; the completion has them.
    #[pyo3(signature = (length, offset, user_data = None))]
    fn pread(
        &self,
        py: Python<'_>,
        length: Bytes,
        offset: Bytes,
        user_data: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        judge_large(self.image.get(), py, length, offset)?;
        let memory = Memory::Fresh(Fresh::new(py, usize::try_from(length.0)?)?);
        self.push(py, user_data, memory, |queue, buffers, number| {
            queue.readv(buffers, offset.0, number, Flags::NONE)
        })
    }

    /// Queues a read that fills `buffer` from `offset`.
    #[pyo3(signature = (buffer, offset, user_data = None))]
    fn pread_into(
        &self,
        buffer: &Bound<'_, PyAny>,
        offset: Bytes,
        user_data: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let memory = Memory::Target(Target::of(buffer)?);
        self.push(buffer.py(), user_data, memory, |queue, buffers, number| {
            queue.readv(buffers, offset.0, number, Flags::NONE)
        })
    }

    /// Queues a read that fills `buffers`, one after the other, from `offset`.
    #[pyo3(signature = (buffers, offset, user_data = None))]
    fn preadv(
        &self,
        buffers: &Bound<'_, PyAny>,
        offset: Bytes,
        user_data: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let memory = Memory::Targets(TargetList::of(buffers)?);
        self.push(buffers.py(), user_data, memory, |queue, buffers, number| {
            queue.readv(buffers, offset.0, number, Flags::NONE)
        })
    }

    /// Queues a write of all of `buffer` at `offset`.
    #[pyo3(signature = (buffer, offset, user_data = None, *, fua = false))]
    fn pwrite(
        &self,
        buffer: &Bound<'_, PyAny>,
        offset: Bytes,
        user_data: Option<Py<PyAny>>,
        fua: bool,
    ) -> PyResult<()> {
        let memory = Memory::Source(Source::of(buffer)?);
        self.push(buffer.py(), user_data, memory, |queue, buffers, number| {
            queue.writev(buffers, offset.0, number, flag(Flags::FUA, fua))
        })
    }

    /// Queues a write of all of `buffers`, one after the other, at `offset`.
    #[pyo3(signature = (buffers, offset, user_data = None, *, fua = false))]
    fn pwritev(
        &self,
        buffers: &Bound<'_, PyAny>,
        offset: Bytes,
        user_data: Option<Py<PyAny>>,
        fua: bool,
    ) -> PyResult<()> {
        let memory = Memory::Sources(SourceList::of(buffers)?);
        self.push(buffers.py(), user_data, memory, |queue, buffers, number| {
            queue.writev(buffers, offset.0, number, flag(Flags::FUA, fua))
        })
    }

    /// Queues a request that makes `length` bytes at `offset` read as zeroes.
    #[pyo3(signature = (
        offset, length, user_data = None, *, may_unmap = false, fua = false, no_fallback = false
    ))]
    #[allow(clippy::too_many_arguments)] // They are keywords to the caller.
    fn write_zeroes(
        &self,
        py: Python<'_>,
        offset: Bytes,
        length: Bytes,
        user_data: Option<Py<PyAny>>,
        may_unmap: bool,
        fua: bool,
        no_fallback: bool,
    ) -> PyResult<()> {
        let flags = zeroing(may_unmap, fua, no_fallback);
        self.push(py, user_data, Memory::None, |queue, _, number| {
            queue.write_zeroes(offset.0, length.0, number, flags)
        })
    }

    /// Queues a request that gives the space of whole clusters inside the range back.
    #[pyo3(signature = (offset, length, user_data = None))]
    fn discard(
        &self,
        py: Python<'_>,
        offset: Bytes,
        length: Bytes,
        user_data: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        self.push(py, user_data, Memory::None, |queue, _, number| {
            queue.discard(offset.0, length.0, number, Flags::NONE)
        })
    }

    /// Queues a flush: it covers what was fetched before it began.
    #[pyo3(signature = (user_data = None))]
    fn flush(&self, py: Python<'_>, user_data: Option<Py<PyAny>>) -> PyResult<()> {
        self.push(py, user_data, Memory::None, |queue, _, number| queue.flush(number, Flags::NONE))
    }

    /// Begins everything that is queued.
    fn submit(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |state| {
            detached(py, || {
                state.queue.submit();
                Ok(())
            })
        })
    }

    /// Begins what is queued, then waits for `min` completions, or for all that are pending where
    /// those are fewer, `timeout` seconds at most; returns up to `max`.
    #[pyo3(
        signature = (min = 1, max = None, timeout = None),
        text_signature = "($self, min=1, max=None, timeout=None)"
    )]
    fn do_io(
        &self,
        py: Python<'_>,
        min: usize,
        max: Option<usize>,
        timeout: Option<f64>,
    ) -> PyResult<Vec<Completion>> {
        let max = max.unwrap_or(usize::MAX);
        if min > max {
            let text = format!("at least {min} completions, but at most {max}");
            return Err(errors::invalid(py, text));
        }
        let deadline = timeout.map(|seconds| after(py, seconds)).transpose()?;
        self.with(py, |state| {
            state.wait(py, min, max, deadline)?;
            let count = max.min(state.fetched.len());
            let done: Vec<_> = state.fetched.drain(..count).collect();
            Ok(done.into_iter().map(|done| state.completion(py, done)).collect())
        })
    }

    /// The descriptor that is readable while completions wait: poll it, never read it.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.with(py, |state| {
            let fd = state.queue.completion_fd().map(|fd| fd.as_raw_fd());
            fd.map_err(|error| errors::to_python(py, &error))
        })
    }

    /// Waits for what has begun, and forgets what has not. Twice is harmless.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if !self.birth.is_here() {
            self.closed.store(true, Ordering::Release);
            return Ok(());
        }
        let state = self.state.try_lock().ok_or_else(|| busy(py, INSIDE))?.take();
        self.closed.store(true, Ordering::Release);
        let Some(State { queue, pending, .. }) = state else { return Ok(()) };
        detached(py, || {
            drop(queue);
            Ok(())
        })?;
        drop(pending);
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        visit.call(&self.image)?;
        // Who is inside holds the queue: then it is no garbage.
        let Some(state) = self.state.try_lock() else { return Ok(()) };
        let pending = state.iter().flat_map(|state| state.pending.values());
        pending.flat_map(|pending| &pending.user_data).try_for_each(|data| visit.call(data))
    }

    fn __clear__(&self) {
        let Some(mut state) = self.state.try_lock() else { return };
        let pending = state.iter_mut().flat_map(|state| state.pending.values_mut());
        let cleared: Vec<_> = pending.filter_map(|pending| pending.user_data.take()).collect();
        drop(state);
        drop(cleared);
    }
}

impl State {
    /// Fetches until `min` completions are there, all that are pending, or the deadline has passed;
    /// looks at signals meanwhile, and keeps what was fetched where one raises.
    fn wait(
        &mut self,
        py: Python<'_>,
        min: usize,
        max: usize,
        deadline: Option<Instant>,
    ) -> PyResult<()> {
        loop {
            let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
            let (min, max) =
                (min.saturating_sub(self.fetched.len()), max.saturating_sub(self.fetched.len()));
            let turn = left.map_or(BETWEEN_SIGNALS, |left| left.min(BETWEEN_SIGNALS));
            let Self { queue, fetched, .. } = self;
            let count = detached(py, || queue.do_io(fetched, min, max, Some(turn)))?;
            if count >= min.min(count + queue.pending()) || left.is_some_and(|left| left <= turn) {
                return Ok(());
            }
            py.check_signals()?;
        }
    }

    fn completion(&mut self, py: Python<'_>, done: qed_core::Completion) -> Completion {
        let qed_core::Completion { user_data, result, buffers } = done;
        drop(buffers);
        let pending = self.pending.remove(&user_data);
        let (user_data, memory) =
            pending.map_or((None, None), |found| (found.user_data, Some(found.memory)));
        let error = result.as_ref().err();
        let data = memory.filter(|_| error.is_none()).and_then(|memory| memory.bytes(py));
        let error = error.map(|error| errors::to_python(py, error).into_value(py).into_any());
        Completion { user_data: user_data.unwrap_or_else(|| py.None()), error, data }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // In a child after fork nobody does the requests: waiting for them would never end.
        if !self.birth.is_here() {
            mem::forget(self.state.get_mut().take());
        }
    }
}

/// Why queues do not get the engine on this machine, or None where they do.
#[pyfunction]
#[pyo3(signature = (aio = "io_uring"))]
pub(crate) fn aio_refusal(py: Python<'_>, aio: &str) -> PyResult<Option<String>> {
    Ok(options::aio(py, aio)?.refusal())
}

fn busy(py: Python<'_>, text: &str) -> PyErr {
    errors::to_python(py, &Error::new(ErrorKind::Busy, text))
}

/// The moment so many seconds from now.
fn after(py: Python<'_>, seconds: f64) -> PyResult<Instant> {
    let moment = |length| Instant::now().checked_add(length);
    let wrong = || errors::invalid(py, format!("a timeout of {seconds} seconds makes no sense"));
    Duration::try_from_secs_f64(seconds).ok().and_then(moment).ok_or_else(wrong)
}

const INSIDE: &str = "another thread is inside a call with this queue";
/// How long a signal waits for its handler at most.
const BETWEEN_SIGNALS: Duration = Duration::from_millis(100);
