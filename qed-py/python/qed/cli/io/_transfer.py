"""Commands that move data: read and write, also with vectors, and discard.

The checks stand in the order in which qemu-io makes them, since the first mistake is told. A range
that passes the end of the disk fails before any buffer is made for it.
"""

from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING

from qed.cli.io._disk import UNSUPPORTED, Disk
from qed.cli.io._language import Complaint, Misuse, Request
from qed.cli.io._numbers import LIMIT, Wrong, hexadecimal_dump, number, statistics

if TYPE_CHECKING:
    from qed.cli.io._session import Session

FILLER = 0xCD
"""What is written where no pattern is given."""
_CACHED = 1 << 20
_SECTOR = 512


def read(session: "Session", request: Request) -> None:
    """`read`."""
    letters, values = request.letters, request.values
    offset, count = one_range(request)
    if count > LIMIT:
        raise Wrong(f"length cannot exceed {LIMIT}, given {request.operands[1]}")
    if "P" not in letters and letters & {"s", "l"}:
        raise Misuse
    start = values.get("s", 0)
    length = values.get("l", count - start)
    if length < 0 or start + length > count:
        raise Wrong("pattern verification range exceeds end of read data")
    if "b" in letters:
        _check_sectors(offset, count)
    _read(session, request, "read", offset, [count], (start, length))


def readv(session: "Session", request: Request) -> None:
    """`readv`."""
    offset, lengths = vector(request)
    _read(session, request, "readv", offset, lengths, (0, sum(lengths)))


def write(session: "Session", request: Request) -> None:
    """`write`."""
    letters = request.letters
    if len(request.operands) != 2:
        raise Misuse
    _check_write_letters(letters)
    offset, count = one_range(request)
    if count > LIMIT and "n" not in letters:
        raise Wrong(f"length cannot exceed {LIMIT} without -n, given {request.operands[1]}")
    if letters & {"b", "c"}:
        _check_sectors(offset, count)
    # Saved machine states and compressed clusters are qcow2's, and are not written here.
    if letters & {"b", "c"} and "z" not in letters:
        raise session.failed("write", UNSUPPORTED)
    if "z" in letters:
        began = perf_counter()
        _zeroes(session, "write", letters, offset, count)
        _tell(session, letters, "wrote", offset, count, began)
    else:
        buffer = _from_file(request.values["s"], count) if "s" in letters else None
        _write(session, request, "write", offset, [count], buffer)


def writev(session: "Session", request: Request) -> None:
    """`writev`."""
    offset, lengths = vector(request)
    _write(session, request, "writev", offset, lengths)


def discard(session: "Session", request: Request) -> None:
    """`discard`."""
    offset, count = one_range(request)
    if count > LIMIT:
        raise Wrong(f"length cannot exceed {LIMIT}, given {request.operands[1]}")
    disk = disk_of(session)
    began = perf_counter()
    try:
        disk.check_range(offset, count)
        disk.image.discard(offset, count)
    except OSError as error:
        raise session.failed("discard", error) from error
    _tell(session, request.letters, "discard", offset, count, began)


def _read(
    session: "Session",
    request: Request,
    label: str,
    offset: int,
    lengths: list[int],
    verified: tuple[int, int],
) -> None:
    disk, letters, count = disk_of(session), request.letters, sum(lengths)
    began = perf_counter()
    try:
        if "b" in letters:
            raise UNSUPPORTED
        disk.check_range(offset, count)
        data = disk.image.pread(count, offset)
    except OSError as error:
        raise session.failed(label, error) from error
    elapsed = perf_counter() - began
    quiet = is_quiet(session, letters)
    text, sound = judged(
        data, offset, request.values.get("P"), verified, "v" in letters and not quiet
    )
    if not quiet:
        text += statistics("read", offset, count, elapsed, commas="C" in letters)
    if not sound:
        raise Wrong(text.removesuffix("\n"))
    session.say(text)


def judged(
    data: bytes, offset: int, pattern: int | None, verified: tuple[int, int], shown: bool
) -> tuple[str, bool]:
    """Return what is to be said about data that was read, and whether it is what was expected."""
    text, sound = "", True
    if pattern is not None:
        start, length = verified
        part = data if length == len(data) else data[start : start + length]
        if part != _repeated(pattern, length):
            where = f"offset {offset + start}, {length} bytes"
            text, sound = f"Pattern verification failed at {where}\n", False
    if shown:
        text += hexadecimal_dump(data, offset)
    return text, sound


def _write(
    session: "Session",
    request: Request,
    label: str,
    offset: int,
    lengths: list[int],
    buffer: bytes | None = None,
) -> None:
    disk, letters, count = disk_of(session), request.letters, sum(lengths)
    try:
        disk.check_range(offset, count)
        buffers = [filled(request, n) for n in lengths] if buffer is None else [buffer]
        began = perf_counter()
        if len(buffers) == 1 and not disk.guessed:
            disk.image.pwrite(buffers[0], offset, fua="f" in letters)
        else:
            disk.write(buffers, offset, fua="f" in letters)
    except OSError as error:
        raise session.failed(label, error) from error
    _tell(session, letters, "wrote", offset, count, began)


def _zeroes(session: "Session", label: str, letters: set[str], offset: int, count: int) -> None:
    disk = disk_of(session)
    try:
        disk.check_range(offset, count)
        disk.image.write_zeroes(
            offset,
            count,
            may_unmap="u" in letters,
            fua="f" in letters,
            no_fallback="n" in letters,
        )
    except OSError as error:
        raise session.failed(label, error) from error


def _check_write_letters(letters: set[str]) -> None:
    if {"b", "z"} <= letters:
        raise Wrong("-b and -z cannot be specified at the same time")
    if "f" in letters and letters & {"b", "c"}:
        raise Wrong("-f and -b or -c cannot be specified at the same time")
    if "z" not in letters:
        for letter in "nu":
            if letter in letters:
                raise Wrong(f"-{letter} requires -z to be specified")
    if len(letters & {"z", "P", "s"}) > 1:
        raise Wrong("Only one of -z, -P, and -s can be specified at the same time")
    if {"z", "r"} <= letters:
        raise Wrong("cannot combine zero write with registered I/O buffer")


def one_range(request: Request) -> tuple[int, int]:
    if len(request.operands) != 2:
        raise Misuse
    offset, count = request.operands
    return number(offset), number(count)


def vector(request: Request) -> tuple[int, list[int]]:
    if len(request.operands) < 2:
        raise Misuse
    first, *rest = request.operands
    offset = number(first)
    lengths: list[int] = []
    total = 0
    for word in rest:
        length = number(word)
        if length > LIMIT:
            raise Wrong(f"Argument '{word}' exceeds maximum size {LIMIT}")
        total += length
        if total > LIMIT:
            raise Wrong(f"The total number of bytes exceed the maximum size {LIMIT}")
        lengths.append(length)
    return offset, lengths


def _check_sectors(offset: int, count: int) -> None:
    for value, name in ((offset, "offset"), (count, "count")):
        if value % _SECTOR:
            raise Wrong(f"{value} is not a sector-aligned value for '{name}'")


def filled(request: Request, length: int) -> bytes:
    return _repeated(request.values.get("P", FILLER), length)


def _repeated(byte: int, length: int) -> bytes:
    return _kept(byte, length) if length <= _CACHED else bytes([byte]) * length


@lru_cache(maxsize=16)
def _kept(byte: int, length: int) -> bytes:
    return bytes([byte]) * length


def _from_file(name: str, length: int) -> bytes:
    """Return what the file holds, as often as it takes."""
    try:
        with open(name, "rb") as file:  # noqa: PTH123 - importing pathlib takes long
            data = file.read(length)
    except OSError as error:
        raise Complaint(f"{name}: {error.strerror}") from error
    if not data:
        raise Complaint(f"{name}: file is empty")
    return (data * (length // len(data) + 1))[:length]


def _tell(
    session: "Session", letters: set[str], label: str, offset: int, count: int, began: float
) -> None:
    if not is_quiet(session, letters):
        elapsed = perf_counter() - began
        session.say(statistics(label, offset, count, elapsed, commas="C" in letters))


def is_quiet(session: "Session", letters: set[str]) -> bool:
    return session.quiet or "q" in letters


def disk_of(session: "Session") -> Disk:
    assert session.disk is not None
    return session.disk
