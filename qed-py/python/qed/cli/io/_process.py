"""Commands about the run itself: help, waiting, ending; and those that nothing here answers to."""

import os
import signal
from typing import TYPE_CHECKING

from qed.cli._program import Failure
from qed.cli.io._disk import UNSUPPORTED
from qed.cli.io._language import Misuse, Request
from qed.cli.io._numbers import Wrong, milliseconds, number
from qed.cli.io._transfer import disk_of

if TYPE_CHECKING:
    from qed.cli.io._language import Run
    from qed.cli.io._session import Session

_PREALLOCATIONS = ("off", "metadata", "falloc", "full")


def flush(session: "Session", request: Request) -> None:
    """`flush`."""
    try:
        disk_of(session).image.flush()
    except OSError as error:
        raise session.failed("flush", error) from error


def aio_flush(session: "Session", request: Request) -> None:
    """`aio_flush`."""
    session.finish_requests()


def sleep(session: "Session", request: Request) -> None:
    """`sleep`: requests that end meanwhile say so."""
    duration = milliseconds(request.operands[0])
    session.wait(seconds=duration / 1000)


def quit_(session: "Session", request: Request) -> None:
    """`quit`."""
    session.finished = True


def abort(session: "Session", request: Request) -> None:
    """`abort`: the process dies at once, and nothing is closed."""
    session.settle_order()
    os.abort()


def sigraise(session: "Session", request: Request) -> None:
    """`sigraise`."""
    word = request.operands[0]
    if number(word) > signal.NSIG:
        raise Wrong(f"signal argument '{word}' is too large to be a valid signal")
    session.settle_order()
    if 0 < number(word) < signal.NSIG:
        signal.raise_signal(number(word))


def truncate(session: "Session", request: Request) -> None:
    """`truncate`: refused, since the library resizes no images."""
    if not request.operands:
        raise Misuse
    if request.values.get("m", "off") not in _PREALLOCATIONS:
        raise Failure(f"Invalid preallocation mode '{request.values['m']}'")
    number(request.operands[0])
    raise Failure("resizing images is not supported")


def unsupported(failure: str, *, numbers: bool = False) -> "Run":
    """Return a command that always fails: no disk here has break points or zones.

    In `failure`, `{}` is the command's first word; with `numbers` all words have to be.
    """

    def run(session: "Session", request: Request) -> None:
        for word in request.operands if numbers else ():
            number(word)
        raise Wrong(f"{failure.format(request.operands[0])}: {UNSUPPORTED.strerror}")

    return run
