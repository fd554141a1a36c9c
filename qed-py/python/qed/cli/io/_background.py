"""Reading and writing in the background: the command ends at once, its request goes to a queue.

What such a request prints appears when it has ended, and its failure is no failure of the run.
"""

from time import perf_counter
from typing import TYPE_CHECKING

from qed.cli.io._language import Misuse, Request
from qed.cli.io._numbers import Wrong, statistics
from qed.cli.io._transfer import disk_of, filled, is_quiet, judged, one_range, vector

if TYPE_CHECKING:
    import qed
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

    def finish(data: bytes | None, error: OSError | None) -> str:
        if data is None or error is not None:
            return f"{session.failed('readv', error or OSError())}\n"
        text, _ = judged(data, offset, pattern, (0, count), "v" in letters and not_quiet)
        if not_quiet:
            elapsed = perf_counter() - began
            text += statistics("read", offset, count, elapsed, commas="C" in letters)
        return text

    not_quiet = not is_quiet(session, letters)
    try:
        disk.check_range(offset, count)
        queue = session.queue(disk)
        queue.pread(count, offset, lambda done: finish(done.data, done.error))
        session.submit()
    except OSError as error:
        session.say_later(finish(None, error))


def aio_write(session: "Session", request: Request) -> None:
    """`aio_write`: what it prints appears when it has ended."""
    letters = request.letters
    _check_write_letters(request)
    if "i" in letters:
        session.say("injecting invalid write request\n")
        return
    if "z" in letters and len(request.operands) != 2:
        raise Wrong("-z supports only a single length parameter")
    offset, lengths = _zero_range(request) if "z" in letters else vector(request)
    disk, count, began = disk_of(session), sum(lengths), perf_counter()
    not_quiet = not is_quiet(session, letters)

    def finish(error: OSError | None) -> str:
        if error is not None:
            return f"{session.failed('aio_write', error)}\n"
        if not not_quiet:
            return ""
        return statistics("wrote", offset, count, perf_counter() - began, commas="C" in letters)

    def ended(done: "qed.Completion") -> str:
        return finish(done.error)

    fua = "f" in letters
    try:
        disk.check_range(offset, count)
        if "z" in letters:
            queue = session.queue(disk)
            queue.write_zeroes(offset, count, ended, may_unmap="u" in letters, fua=fua)
        else:
            buffers = [filled(request, length) for length in lengths]
            disk.check_mark(buffers, offset)
            session.queue(disk).pwritev(buffers, offset, ended, fua=fua)
        session.submit()
    except OSError as error:
        session.say_later(finish(error))


def _check_write_letters(request: Request) -> None:
    letters = request.letters
    if len(request.operands) < 2:
        raise Misuse
    if "u" in letters and "z" not in letters:
        raise Wrong("-u requires -z to be specified")
    if {"z", "r"} <= letters:
        raise Wrong("cannot combine zero write with registered I/O buffer")


def _zero_range(request: Request) -> tuple[int, list[int]]:
    offset, count = one_range(request)
    return offset, [count]
