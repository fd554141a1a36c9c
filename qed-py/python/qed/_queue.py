"""`Queue`, the requests of a batch, and what they are done with."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from errno import EBUSY
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from qed import _qed
from qed._errors import BusyError, Error
from qed._handle import Handle

if TYPE_CHECKING:
    from typing_extensions import Buffer

Completion = _qed.Completion


@dataclass(frozen=True, slots=True)
class Read:
    """A request of a batch: read `length` bytes at `offset`. Its result is `bytes`."""

    length: int
    offset: int

    def _queue(self, queue: _qed.Queue, index: int) -> None:
        queue.pread(self.length, self.offset, index)


@dataclass(frozen=True, slots=True)
class ReadInto:
    """A request of a batch: fill `buffer` from `offset`."""

    buffer: "Buffer"
    offset: int

    def _queue(self, queue: _qed.Queue, index: int) -> None:
        queue.pread_into(self.buffer, self.offset, index)


@dataclass(frozen=True, slots=True)
class Write:
    """A request of a batch: write all of `buffer` at `offset`."""

    buffer: "Buffer"
    offset: int
    fua: bool = False

    def _queue(self, queue: _qed.Queue, index: int) -> None:
        queue.pwrite(self.buffer, self.offset, index, fua=self.fua)


@dataclass(frozen=True, slots=True)
class WriteZeroes:
    """A request of a batch: `length` bytes at `offset` read as zeroes."""

    offset: int
    length: int
    may_unmap: bool = False
    fua: bool = False
    no_fallback: bool = False

    def _queue(self, queue: _qed.Queue, index: int) -> None:
        queue.write_zeroes(
            self.offset,
            self.length,
            index,
            may_unmap=self.may_unmap,
            fua=self.fua,
            no_fallback=self.no_fallback,
        )


@dataclass(frozen=True, slots=True)
class Discard:
    """A request of a batch: give whole clusters among `length` bytes at `offset` back."""

    offset: int
    length: int

    def _queue(self, queue: _qed.Queue, index: int) -> None:
        queue.discard(self.offset, self.length, index)


@dataclass(frozen=True, slots=True)
class Flush:
    """A request of a batch: what stands before it ends first, and is stable then."""

    def _queue(self, queue: _qed.Queue, index: int) -> None:
        queue.flush(index)


Request: TypeAlias = Read | ReadInto | Write | WriteZeroes | Discard | Flush
"""What a batch consists of."""


class Queue(_qed.Queue, Handle):
    """Requests for an image, pending and done; use `qed.Image.queue` to get one.

    The methods that queue a request return at once; it begins with the next `submit` or `do_io`.
    Buffers are pinned until the completion was fetched. One thread at a time may use a queue;
    another one that comes meanwhile gets a `qed.BusyError`.
    """

    @overload
    def batch(
        self, requests: Iterable[Request], *, return_exceptions: Literal[False] = False
    ) -> list[bytes | None]: ...
    @overload
    def batch(
        self, requests: Iterable[Request], *, return_exceptions: bool
    ) -> list[bytes | Error | None]: ...
    def batch(self, requests: Iterable[Request], *, return_exceptions: bool = False) -> Any:
        """Carry all requests out, as many at once as the queue is deep; return their results.

        They end in any order, but for a `Flush`, which has its place: what stands before it ends
        first, and what stands behind begins when it has ended. The results are in the order of the
        requests: `bytes` for a `Read`, None for others. All of them are carried out, also where
        some fail; then the error of the first that did is raised, or with `return_exceptions` the
        errors stand among the results.
        """
        if self.pending:
            raise BusyError(EBUSY, "a batch needs the queue for itself, and requests are pending")
        results: list[bytes | Error | None] = []
        try:
            self._carry_out(requests, results)
        finally:
            self._fetch(results, self.pending)
        if not return_exceptions:
            for result in results:
                if isinstance(result, Error):
                    raise result
        return results

    def _carry_out(self, requests: Iterable[Request], results: list[bytes | Error | None]) -> None:
        depth, pending = self.depth, 0
        for index, request in enumerate(requests):
            alone = isinstance(request, Flush)
            if pending == depth or (alone and pending):
                pending -= self._fetch(results, pending if alone else 1)
            results.append(None)
            request._queue(self, index)
            pending += 1
            if alone:
                pending -= self._fetch(results, 1)

    def _fetch(self, results: list[bytes | Error | None], least: int) -> int:
        """Wait for so many completions, and note what comes."""
        done = self.do_io(min=least) if least else ()
        for completion in done:
            error = completion.error
            results[completion.user_data] = completion.data if error is None else error
        return len(done)

    def __repr__(self) -> str:
        if self.closed:
            return "<qed.Queue closed>"
        return f"<qed.Queue of {self.image!r} depth={self.depth} aio={self.aio!r}>"

    def __del__(self) -> None:
        if self.closed or not self._is_ours:
            return
        try:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
        finally:
            self.close()


def aio_refusal(aio: Literal["io_uring", "threads"] = "io_uring") -> str | None:
    """Return why queues do not get this engine on this machine; None where they do."""
    return _qed.aio_refusal(aio)
