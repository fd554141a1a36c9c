"""Requests in the background, in a queue of the disk's.

What they print appears while the tool waits: for input, in `aio_flush` and `sleep`, and before the
disk is closed. So it never stands within another command's output.
"""

import select
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import qed

_LIMIT = 256
"""Requests that may be in flight; each holds its buffers."""

Finish = Callable[["qed.Completion"], str]
"""Makes of a completion what is to be printed."""


class InFlight:
    """The requests, and what they have to say."""

    def __init__(self) -> None:
        self._queue: qed.Queue | None = None
        self._said: list[str] = []

    def queue(self, image: "qed.Image", engine: str) -> "qed.Queue":
        """Return the queue, with room for a request; its user data is a `Finish`."""
        if self._queue is None:
            # There is no third engine for QEMU's "native", which is to be fast.
            self._queue = image.queue(_LIMIT, aio="threads" if engine == "threads" else "io_uring")
        if self._queue.pending == _LIMIT:
            self._fetch(self._queue, least=1)
        return self._queue

    def submit(self) -> None:
        """Begin what is queued, and note what has ended."""
        if self._queue is not None:
            self._fetch(self._queue, least=0)

    def say_later(self, text: str) -> None:
        """Print what a request has to say that ended before it began."""
        self._said.append(text)

    @property
    def pending(self) -> int:
        """Requests that have not ended, as far as is known."""
        return 0 if self._queue is None else self._queue.pending

    def finish(self) -> None:
        """Wait for all of them, and print what they have to say."""
        if self._queue is not None:
            self._fetch(self._queue, least=self._queue.pending)
        self._print()

    def close(self) -> None:
        """Wait for all of them; what comes next has a queue of its own."""
        try:
            self.finish()
        finally:
            queue, self._queue = self._queue, None
            if queue is not None:
                queue.close()

    def wait(self, descriptor: int | None = None, seconds: float | None = None) -> None:
        """Wait until there is input, or so long; requests that end meanwhile print at once."""
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            self._print()
            sys.stdout.flush()
            left = None if end is None else max(end - time.monotonic(), 0)
            if self._poll(descriptor, left) or left == 0:
                return

    def _poll(self, descriptor: int | None, seconds: float | None) -> bool:
        """Wait for input or completions, which are fetched; return whether there is input."""
        poll = select.poll()
        if descriptor is not None:
            poll.register(descriptor, select.POLLIN)
        # A queue at rest can have nothing new to say.
        watched = self._queue if self._queue is not None and self._queue.pending else None
        if watched is not None:
            poll.register(watched.fileno(), select.POLLIN)
        ready = poll.poll(None if seconds is None else seconds * 1000)
        if watched is not None:
            self._fetch(watched, least=0)
        return any(number == descriptor for number, _ in ready)

    def _fetch(self, queue: "qed.Queue", least: int) -> None:
        for done in queue.do_io(min=least, timeout=None if least else 0):
            self._said.append(done.user_data(done))

    def _print(self) -> None:
        said, self._said = self._said, []
        sys.stdout.write("".join(said))
