"""The calls that are recorded: drawn by lot, or the commands of qemu-io's language."""

import io
import sys
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from random import Random

import qed
import qed.crash as qc
from qed.cli._program import Failure, Program
from qed.cli.io._disk import Disk, Source
from qed.cli.io._session import Session

_SECTOR = 512
_NEAR = 1 << 20
"""Calls that are drawn stay within the first MiB: so they meet each other."""
_LONGEST = 1 << 15


def draw(image: qed.Image, seed: int, operations: int) -> None:
    """Make so many calls; the same seed and size make the same ones."""
    if image.size < _SECTOR:
        raise Failure(f"a disk of {image.size} bytes has no sector to write to")
    lot = Random(seed)
    sectors = min(image.size, _NEAR) // _SECTOR
    for _ in range(operations):
        first = lot.randrange(sectors)
        count = 1 + lot.randrange(min(sectors - first, _LONGEST // _SECTOR))
        offset, length = first * _SECTOR, count * _SECTOR
        match lot.choices(("write", "zero", "discard", "flush"), (8, 2, 1, 3))[0]:
            case "write":
                fill = bytes([lot.randrange(1, 256)])
                image.pwrite(fill * length, offset, fua=lot.randrange(8) == 0)
            case "zero":
                image.write_zeroes(offset, length, may_unmap=lot.randrange(2) == 0)
            case "discard":
                image.discard(offset, length)
            case _:
                image.flush()


def carry_out(program: Program, recording: qc.Recording, lines: Iterable[str], path: str) -> None:
    """Carry out commands; `mark TEXT` writes a remark into the log. The first failure ends it."""
    session = _Recorded(program, recording.image, path)
    try:
        for line in lines:
            word, _, text = line.strip().partition(" ")
            if word == "mark":
                recording.mark(text)
            else:
                _carry_out(session, line.strip("\n"))
            if session.finished:
                break
    finally:
        session.finish_requests()


def _carry_out(session: Session, line: str) -> None:
    """Carry out a command; what it prints as it fails is why the recording fails."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        sound = session.run(line)
    if not sound:
        said = [text for text in (err.getvalue() + out.getvalue()).splitlines() if text]
        why = said[0].removeprefix(f"{session.program.name}: ") if said else "it failed"
        raise Failure(f"{line}: {why}")
    print(out.getvalue(), end="")
    print(err.getvalue(), end="", file=sys.stderr)


class _Recorded(Session):
    """A session on the disk that is recorded, and on no other."""

    def __init__(self, program: Program, image: qed.Image, path: str) -> None:
        source = Source(path)
        super().__init__(program, source, eager=True, quiet=True)
        self.disk = Disk(image, source, guessed=False)

    def open(self, source: Source) -> None:
        """Refuse: what another disk does would not be recorded."""
        raise Failure("another disk cannot be opened while one is recorded")

    def close(self) -> None:
        """Refuse: the disk is closed when all commands have been carried out."""
        raise Failure("the recorded disk stays open")
