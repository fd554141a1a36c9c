"""Reading and writing in the background: the command ends at once, its request on a thread.

What such a request prints appears when it has ended, and its failure is no failure of the run.
"""

from time import perf_counter
from typing import TYPE_CHECKING

from qed.cli.io._language import Misuse, Request
from qed.cli.io._numbers import Wrong, statistics
from qed.cli.io._transfer import disk_of, filled, is_quiet, judged, one_range, vector

if TYPE_CHECKING:
    from qed.cli.io._session import Session


def aio_read(session: "Session", request: Request) -> None:
    """`aio_read`: what it prints appears when it has ended."""
    if len(request.operands) < 2:
        raise Misuse
    if "i" in request.letters:
        session.say("injecting invalid read request\n")
        return
    offset, lengths = vector(request)
    disk, letters, count = disk_of(session), request.letters, sum(lengths)
    pattern, began = request.values.get("P"), perf_counter()

    def work() -> str:
        try:
            disk.check_range(offset, count)
            data = disk.read(offset, count)
        except OSError as error:
            return f"{session.failed('readv', error)}\n"
        text, _ = judged(data, offset, pattern, (0, count), "v" in letters and not_quiet)
        if not_quiet:
            elapsed = perf_counter() - began
            text += statistics("read", offset, count, elapsed, commas="C" in letters)
        return text

    not_quiet = not is_quiet(session, letters)
    session.submit(work)


def aio_write(session: "Session", request: Request) -> None:
    """`aio_write`: what it prints appears when it has ended."""
    letters = request.letters
    if len(request.operands) < 2:
        raise Misuse
    if "u" in letters and "z" not in letters:
        raise Wrong("-u requires -z to be specified")
    if {"z", "r"} <= letters:
        raise Wrong("cannot combine zero write with registered I/O buffer")
    if "i" in letters:
        session.say("injecting invalid write request\n")
        return
    if "z" in letters and len(request.operands) != 2:
        raise Wrong("-z supports only a single length parameter")
    offset, lengths = _zero_range(request) if "z" in letters else vector(request)
    disk, count, began = disk_of(session), sum(lengths), perf_counter()
    not_quiet = not is_quiet(session, letters)

    def work() -> str:
        try:
            disk.check_range(offset, count)
            if "z" in letters:
                disk.image.write_zeroes(offset, count, may_unmap="u" in letters, fua="f" in letters)
            else:
                buffers = [filled(request, length) for length in lengths]
                disk.write(buffers, offset, fua="f" in letters)
        except OSError as error:
            return f"{session.failed('aio_write', error)}\n"
        if not not_quiet:
            return ""
        return statistics("wrote", offset, count, perf_counter() - began, commas="C" in letters)

    session.submit(work)


def _zero_range(request: Request) -> tuple[int, list[int]]:
    offset, count = one_range(request)
    return offset, [count]
