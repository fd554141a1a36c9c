"""Requests in the background, on threads.

What they print appears while the tool waits: for input, in `aio_flush` and `sleep`, and before the
disk is closed. So it never stands within another command's output.
"""

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_THREADS = 16
_LIMIT = 256
"""Requests that may be in flight; each holds its buffers."""


class InFlight:
    """The requests, and what they have to say."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None
        self._futures: set[Future[None]] = set()
        self._lock = threading.Lock()
        self._said: list[str] = []
        self._printing = False

    def submit(self, request: Callable[[], str]) -> None:
        """Start a request."""
        from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS)
        if len(self._futures) >= _LIMIT:
            self._futures = wait(self._futures, return_when=FIRST_COMPLETED).not_done
        self._futures.add(self._threads.submit(self._carry_out, request))

    def finish(self) -> None:
        """Wait for all of them."""
        futures, self._futures = self._futures, set()
        for future in futures:
            future.result()
        self._print()

    def printing(self) -> "_Printing":
        """Return a context in which whatever ends prints at once."""
        return _Printing(self)

    def begin_printing(self) -> None:
        """Print what has ended, and from now on what ends."""
        with self._lock:
            self._printing = True
        self._print()
        sys.stdout.flush()

    def end_printing(self) -> None:
        """Keep back what ends from now on."""
        with self._lock:
            self._printing = False

    def _carry_out(self, request: Callable[[], str]) -> None:
        text = request()
        with self._lock:
            self._said.append(text)
            if self._printing:
                self._print_locked()
                sys.stdout.flush()

    def _print(self) -> None:
        with self._lock:
            self._print_locked()

    def _print_locked(self) -> None:
        said, self._said = self._said, []
        sys.stdout.write("".join(said))


class _Printing:
    def __init__(self, requests: InFlight) -> None:
        self._requests = requests

    def __enter__(self) -> None:
        self._requests.begin_printing()

    def __exit__(self, *_: object) -> None:
        self._requests.end_printing()
