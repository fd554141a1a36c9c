"""`Image` and `Layer`: the native handles with Python's manners."""

import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal, Unpack, overload

from qed import _qed
from qed._errors import BusyError, Error
from qed._handle import Handle
from qed._options import (
    CreateOptions,
    Path,
    PathOrDescriptor,
    Progress,
    QueueOptions,
    Size,
)
from qed._queue import Queue, Request
from qed._raw import RawImage
from qed._results import CompactReport


class Image(_qed.Image, Handle):
    """An open image. Every method may be called from any thread; use `qed.open` to get one.

    Offsets and lengths are bytes of the disk the guest sees. A range that passes its end is an
    error, and nothing is read or written. What was written is stable after `flush` or `close`.
    """

    path: str | None
    """The path of its file, or None where it was opened by descriptor."""

    def __init__(self, path: PathOrDescriptor, mode: str = "r", **options: Any) -> None:
        self.path = None if isinstance(path, int) else os.fsdecode(path)

    def resize(
        self,
        size: Size,
        *,
        shrink: bool = False,
        preallocation: Literal["off", "metadata", "falloc", "full"] = "off",
    ) -> None:
        """Make the disk `size` bytes large, while other calls run; what is new reads as zeroes.

        With `shrink` it may become smaller: what lies beyond its new end is lost, and its space
        goes back to the file system. `preallocation` gives the new part of a growing disk all its
        tables (`"metadata"`, not for raw disks), or its space as well, set aside by the file system
        (`"falloc"`) or written as zeroes (`"full"`): not over a backing file. Stable when it
        returns.
        """
        super().resize(_number(size), shrink=shrink, preallocation=preallocation)

    def queue(self, depth: int = 128, **options: Unpack[QueueOptions]) -> Queue:
        """Return a new queue, in which `depth` requests (1 to 4096) may be pending.

        Close it before the image: while an image has queues, closing it is a `qed.BusyError`.
        """
        return Queue(self, depth, **options)

    @overload
    def batch(
        self,
        requests: Iterable[Request],
        *,
        depth: int = 128,
        return_exceptions: Literal[False] = False,
        **options: Unpack[QueueOptions],
    ) -> list[bytes | None]: ...
    @overload
    def batch(
        self,
        requests: Iterable[Request],
        *,
        depth: int = 128,
        return_exceptions: bool,
        **options: Unpack[QueueOptions],
    ) -> list[bytes | Error | None]: ...
    def batch(
        self,
        requests: Iterable[Request],
        *,
        depth: int = 128,
        return_exceptions: bool = False,
        **options: Unpack[QueueOptions],
    ) -> Any:
        """Carry many requests out, `depth` at once, in a queue of their own: see `Queue.batch`."""
        with self.queue(depth, **options) as queue:
            return queue.batch(requests, return_exceptions=return_exceptions)

    @contextmanager
    def quiesced(self) -> Iterator[None]:
        """Return a context in which the disk is at rest: `quiesce` before, `resume` after."""
        self.quiesce()
        try:
            yield
        finally:
            self.resume()

    def add_overlay(
        self, path: Path, *, backing: Path | None = None, **options: Unpack[CreateOptions]
    ) -> None:
        """Create an image at `path` over the disk's file; the disk goes on in it.

        An external snapshot: the file it ran on keeps everything written before, complete and
        stable, and is only read from now on. Calls of other threads wait meanwhile. `backing` is
        the name of that file as the new image stores it: its file name alone where both lie in one
        directory, else its absolute path. On failure the disk goes on as it was.
        """
        super().add_overlay(path, backing=backing, **options)
        self.path = os.fsdecode(path)

    def raw(self) -> RawImage:
        """Return a new `io.RawIOBase` over this image, with a position of its own.

        Closing it does not close the image. Wrap it in `io.BufferedReader` or `io.BufferedRandom`.
        """
        return RawImage(self)

    def compact(
        self, *, batch: Size | None = None, progress: Progress | None = None
    ) -> CompactReport:
        """Bring the file into the guest's order and cut it to what it holds.

        Other calls on the image may go on beside it: `batch` bytes (16M) move at once. What
        `progress` raises stops it, and the image is as sound as before.
        """
        number = None if batch is None else _number(batch)
        return _qed.compact(self, batch=number, progress=progress)

    def stream(
        self,
        base: Path | None = None,
        *,
        rate: Size | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Bring what lies below into the image's own file, and drop its backing file.

        With `base`, the path of a file of the chain, that file stays, as the backing file. At most
        `rate` bytes a second are brought in. Other calls on the image may go on beside it, and
        what they write wins. What `progress` raises stops it: the backing file then stays.
        """
        number = None if rate is None else _number(rate)
        _qed.stream(self, base=base, rate=number, progress=progress)

    def __repr__(self) -> str:
        # Ctrl-C between opening and `__init__` leaves an image without a path to `__del__`.
        path = getattr(self, "path", None)
        if self.closed:
            return f"<qed.Image {path!r} closed>"
        return f"<qed.Image {path!r} mode={'r' if self.read_only else 'r+'!r}>"

    def __del__(self) -> None:
        # A child after fork leaks what its parent has open, rightly and silently.
        if self.closed or not self._is_ours:
            return
        try:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
        finally:
            # Dropped together with its queues, the last of them closes it.
            with suppress(BusyError):
                self.close()


class Layer(_qed.Layer, Handle):
    """One image file looked at: its facts and its map, with no backing file opened.

    Use `qed.inspect` to get one.
    """

    path: str | None
    """The path it was opened by, or None for a descriptor."""

    def __init__(self, path: PathOrDescriptor, **options: Any) -> None:
        self.path = None if isinstance(path, int) else os.fsdecode(path)

    def __repr__(self) -> str:
        return f"<qed.Layer {self.path!r}{' closed' if self.closed else ''}>"


def _number(size: Size) -> int:
    return _qed.parse_size(size) if isinstance(size, str) else size
