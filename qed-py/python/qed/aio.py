"""Images whose requests are awaited, on asyncio's event loops.

import asyncio
import qed.aio

async def main():
    async with qed.aio.open("disk.qed", "r+") as image:
        await image.pwrite(b"hello", 4096)
        await image.flush()

asyncio.run(main())

Requests go through a queue, whose descriptor the loop watches: no thread takes part but the queue's
own. Opening, closing and bringing to rest are blocking calls, which the loop's executor makes.
"""

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from contextlib import asynccontextmanager
from errno import EBUSY
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, cast

import qed
from qed._errors import BusyError, invalid
from qed._image import Image as BlockingImage
from qed._options import (
    BackingSource,
    CreateOptions,
    OpenOptions,
    Path,
    PathOrDescriptor,
    QueueOptions,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Image", "open"]

_T = TypeVar("_T")


class Options(OpenOptions, QueueOptions, total=False):
    """What `open` takes: the options of images and those of queues."""

    backing_chain: Iterable[BackingSource] | None
    backing_directory: PathOrDescriptor | None


class Image:
    """An open image, for the tasks of one event loop: the one that runs when this is made.

    Made over a `qed.Image`, which stays the caller's: several loops may each have their own over
    the same one. A task that is cancelled while it waits leaves its request to the disk, which may
    carry it out or not; the request's buffer stays pinned until then.
    """

    def __init__(
        self, image: BlockingImage, depth: int = 128, **options: Unpack[QueueOptions]
    ) -> None:
        self._closed = True
        self._owned = False
        self._loop = asyncio.get_running_loop()
        self._image = image
        self._queue = image.queue(depth, **options)
        self._room = asyncio.Semaphore(depth)
        self._drained: asyncio.Future[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._submitting = False
        self._resting: asyncio.Task[Any] | None = None
        try:
            self._loop.add_reader(self._queue.fileno(), self._reap)
        except BaseException:
            self._queue.close()
            raise
        self._closed = False

    @property
    def image(self) -> BlockingImage:
        """The image itself, whose calls block."""
        return self._image

    @property
    def size(self) -> int:
        """Bytes of the disk the guest sees."""
        return self._image.size

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def queue_engine(self) -> str:
        """What carries the requests out: "io_uring" or "threads"."""
        return self._queue.aio

    async def pread(self, length: int, offset: int) -> bytes:
        """Read `length` bytes at `offset`; all of them lie inside the image."""
        return cast("bytes", await self._request(partial(self._queue.pread, length, offset)))

    async def pread_into(self, buffer: "Buffer", offset: int) -> None:
        """Fill `buffer` from `offset`."""
        await self._request(partial(self._queue.pread_into, buffer, offset))

    async def preadv(self, buffers: "Iterable[Buffer]", offset: int) -> None:
        """Fill `buffers`, one after the other, from `offset`."""
        await self._request(partial(self._queue.preadv, buffers, offset))

    async def pwrite(self, buffer: "Buffer", offset: int, *, fua: bool = False) -> None:
        """Write all of `buffer` at `offset`."""
        await self._request(partial(self._queue.pwrite, buffer, offset, fua=fua))

    async def pwritev(self, buffers: "Iterable[Buffer]", offset: int, *, fua: bool = False) -> None:
        """Write all of `buffers`, one after the other, at `offset`."""
        await self._request(partial(self._queue.pwritev, buffers, offset, fua=fua))

    async def write_zeroes(
        self,
        offset: int,
        length: int,
        *,
        may_unmap: bool = False,
        fua: bool = False,
        no_fallback: bool = False,
    ) -> None:
        """Make `length` bytes at `offset` read as zeroes."""
        await self._request(
            partial(
                self._queue.write_zeroes,
                offset,
                length,
                may_unmap=may_unmap,
                fua=fua,
                no_fallback=no_fallback,
            )
        )

    async def discard(self, offset: int, length: int) -> None:
        """Give the space of whole clusters inside the range back."""
        await self._request(partial(self._queue.discard, offset, length))

    async def flush(self) -> None:
        """Make stable what was awaited before."""
        await self._request(self._queue.flush)

    async def quiesce(self) -> None:
        """Bring the disk to rest: its file is complete, closed and unlocked.

        Requests of other tasks wait until `resume`; one of this task is a `qed.BusyError`.
        """
        self._check()
        resting = self._in_executor(self._image.quiesce)
        try:
            await asyncio.shield(resting)
        except asyncio.CancelledError:
            # Nobody would resume it.
            resting.add_done_callback(self._resume_unwanted)
            raise
        self._resting = asyncio.current_task()

    async def resume(self) -> None:
        """Open a quiesced disk again, and let requests go on."""
        self._check()
        self._resting = None
        await asyncio.shield(self._in_executor(self._image.resume))

    @asynccontextmanager
    async def quiesced(self) -> AsyncIterator[None]:
        """Return a context in which the disk is at rest: `quiesce` before, `resume` after."""
        await self.quiesce()
        try:
            yield
        finally:
            await self.resume()

    async def add_overlay(
        self, path: Path, *, backing: Path | None = None, **options: Unpack[CreateOptions]
    ) -> None:
        """Create an image at `path` over the disk's file; the disk goes on in it."""
        self._check()
        overlaying = partial(self._image.add_overlay, path, backing=backing, **options)
        await asyncio.shield(self._in_executor(overlaying))

    async def close(self) -> None:
        """Wait for the requests under way, then close. Twice is harmless.

        The image itself is closed with it where `qed.aio.open` opened it.
        """
        if self._closing is None:
            self._check_loop()
            if self._closed:
                return
            self._closed = True
            self._closing = self._loop.create_task(self._settle())
        # A task that is cancelled here stops waiting; what has begun is brought to its end.
        await asyncio.shield(self._closing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"aio={self._queue.aio!r}"
        return f"<qed.aio.Image of {self._image!r} {state}>"

    def __del__(self) -> None:
        # A loop that still runs keeps what it watches: this is after its end.
        if getattr(self, "_closed", True):
            return
        try:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
        finally:
            self._queue.close()
            if self._owned:
                self._image.close()

    async def _request(self, queue: Callable[[Any], None]) -> bytes | None:
        """Have a request carried out; `queue` queues it with what its completion is known by."""
        self._check()
        if self._resting is not None and self._resting is asyncio.current_task():
            raise BusyError(EBUSY, "the disk is quiesced, by this very task")
        await self._room.acquire()
        future: asyncio.Future[bytes | None] = self._loop.create_future()
        try:
            self._check()
            queue(future)
        except BaseException:
            self._room.release()
            raise
        if not self._submitting:
            # What other tasks ask for in this turn of the loop begins with it.
            self._submitting = True
            self._loop.call_soon(self._submit)
        return await future

    def _submit(self) -> None:
        self._submitting = False
        if not self._queue.closed:
            self._queue.submit()

    def _reap(self) -> None:
        self._deliver(self._queue.do_io(min=0, timeout=0))
        if self._drained is not None and not self._queue.pending and not self._drained.done():
            self._drained.set_result(None)

    def _deliver(self, completions: list[qed.Completion]) -> None:
        for done in completions:
            self._room.release()
            future: asyncio.Future[bytes | None] = done.user_data
            if future.done():
                continue
            if done.error is None:
                future.set_result(done.data)
            else:
                future.set_exception(done.error)

    async def _settle(self) -> None:
        try:
            if self._queue.pending:
                self._drained = self._loop.create_future()
                self._queue.submit()
                await self._drained
        finally:
            self._loop.remove_reader(self._queue.fileno())
            # Something is left where the loop ends and cancels this; then it is waited for here.
            self._deliver(self._queue.do_io(min=self._queue.pending))
            self._queue.close()
            if self._owned:
                await self._close_image()

    async def _close_image(self) -> None:
        try:
            closing = self._in_executor(self._image.close)
        except RuntimeError:
            # The executor has been shut down.
            self._image.close()
        else:
            await asyncio.shield(closing)

    def _resume_unwanted(self, resting: "asyncio.Future[None]") -> None:
        if not resting.cancelled() and resting.exception() is None:
            self._in_executor(self._image.resume)

    def _in_executor(self, call: Callable[[], _T]) -> "asyncio.Future[_T]":
        return self._loop.run_in_executor(None, call)

    def _check(self) -> None:
        self._check_loop()
        if self._closed:
            raise invalid("I/O operation on a closed image")

    def _check_loop(self) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise invalid("the image belongs to another event loop; make one for this loop")


class _Opening:
    """An image that is being opened: to be awaited, or for `async with`."""

    def __init__(self, begin: Callable[[], BlockingImage], depth: int, how: QueueOptions) -> None:
        self._begin = begin
        self._depth = depth
        self._how = how
        self._image: Image | None = None

    def __await__(self) -> Generator[Any, None, Image]:
        return self._open().__await__()

    async def __aenter__(self) -> Image:
        self._image = await self._open()
        return self._image

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._image is not None:
            await self._image.close()

    async def _open(self) -> Image:
        opening = asyncio.get_running_loop().run_in_executor(None, self._begin)
        try:
            blocking = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # Nobody gets what is opened all the same.
            opening.add_done_callback(_close_unwanted)
            raise
        try:
            image = Image(blocking, self._depth, **self._how)
        except BaseException:
            blocking.close()
            raise
        image._owned = True
        return image


def _close_unwanted(opening: "asyncio.Future[BlockingImage]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def open(
    path: PathOrDescriptor, mode: str = "r", *, depth: int = 128, **options: Unpack[Options]
) -> _Opening:
    """Open an image as `qed.open` does: `async with` it, or await it and close it.

    So many requests as `depth` says are under way at once; tasks that ask for more wait. `aio` and
    `workers` are those of `qed.Image.queue`.
    """
    how: QueueOptions = {}
    if "aio" in options:
        how["aio"] = options.pop("aio")
    if "workers" in options:
        how["workers"] = options.pop("workers")
    return _Opening(partial(qed.open, path, mode, **cast("Any", options)), depth, how)
