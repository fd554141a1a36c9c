"""The verb `bench`, what it takes and what it returns."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from errno import EIO
from typing import Literal, TypedDict, Unpack

from qed import _qed
from qed._errors import Error, from_system
from qed._image import Image
from qed._options import Path, Size
from qed._results import _Result

_GZIP_MAGIC = b"\x1f\x8b"

MAX_DEPTH: int = _qed.BENCH_MAX_DEPTH
"""Requests in flight of a thread at most."""
MAX_THREADS: int = _qed.BENCH_MAX_THREADS
"""Threads at most."""


class BenchOptions(TypedDict, total=False):
    """What `bench` takes beside the image and a trace."""

    write: bool
    """Write rather than read."""
    count: int
    """Requests (75000)."""
    length: Size
    """Bytes of each request (4096)."""
    depth: int
    """Requests in flight, of each thread (64)."""
    threads: int
    """Streams of requests that share the count, a thread with a queue each (1)."""
    aio: Literal["io_uring", "threads"]
    """What carries the requests out ("io_uring", or threads where the system refuses that)."""
    offset: Size
    """Where the first request begins (0)."""
    step: Size
    """Bytes from one request to the next (the length); the offsets wrap at the disk's end."""
    random: bool
    """Draw the offsets, multiples of `step` behind `offset`, by lot."""
    seed: int
    """Another seed draws others (0)."""
    pattern: int
    """The byte that is written (0)."""
    flush_interval: int
    """A flush each so many writes, and at the end (0: none)."""
    drain: bool
    """Wait for what is in flight before a flush, and for the flush (True)."""


@dataclass(frozen=True, slots=True)
class Latency(_Result):
    """How long requests took, each by itself; percentiles are right to 1.6 percent."""

    mean_ns: int
    """The mean, nanoseconds as all of these."""
    p50_ns: int
    """Half of the requests took no longer."""
    p90_ns: int
    """90 of 100 took no longer."""
    p99_ns: int
    """99 of 100 took no longer."""
    p999_ns: int
    """999 of 1000 took no longer."""
    max_ns: int
    """None took longer."""


@dataclass(frozen=True, slots=True)
class BenchResult(_Result):
    """What a benchmark did."""

    aio: str
    """What carried the requests out: "io_uring" or "threads"."""
    seconds: float
    """From the first request's begin to the last one's end."""
    reads: int
    """Requests that read."""
    writes: int
    """Requests that wrote."""
    zero_writes: int
    """Requests that wrote zeroes."""
    discards: int
    """Requests that gave space back."""
    flushes: int
    """Flushes: not counted as requests."""
    bytes: int
    """Bytes read and written."""
    latency: Latency
    """Of the requests."""
    flush_latency: Latency
    """Of the flushes; zeroes where there was none."""

    @property
    def requests(self) -> int:
        """All requests but flushes."""
        return self.reads + self.writes + self.zero_writes + self.discards

    @property
    def requests_per_second(self) -> float:
        """Requests by time."""
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def bytes_per_second(self) -> float:
        """Bytes by time."""
        return self.bytes / self.seconds if self.seconds else 0.0


def bench(
    image: Image,
    *,
    trace: Path | None = None,
    progress: Callable[[int, int], object] | None = None,
    **options: Unpack[BenchOptions],
) -> BenchResult:
    """Send requests to an image through queues, so many in flight, and tell how long they took.

    `trace` names a file of requests, one a line, `OP first_sector sector_count`, perhaps
    compressed by gzip: R read, W write, WA write with forced unit access, Z write zeroes, D
    discard, F flush. Requests that conflict keep their order, and a flush waits for what is before
    it. `progress` is called with the requests begun and all there are; what it raises ends the run.
    """
    text = None if trace is None else _text(trace)
    return _qed.bench(image, text, trace, progress, **options)


def _text(trace: Path) -> bytes:
    # Most programs replay no trace: these cost them a third of the start.
    import gzip
    import zlib
    from pathlib import Path as FilePath

    try:
        data = FilePath(os.fsdecode(trace)).read_bytes()
    except OSError as error:
        raise from_system(error) from error
    if not data.startswith(_GZIP_MAGIC):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
        raise Error(EIO, f"not a whole gzip file: {error}", os.fsdecode(trace)) from error
