"""Where `convert` and `dd` write to, and what is said when the copy fails.

A target is a new file, an image that is there, or standard output, of which a pipe may be the other
end: then the image is written front to back.
"""

import sys
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

import qed
from qed.cli import _words
from qed.cli._creation import Creation
from qed.cli._opening import Named
from qed.cli._program import Failure, Program

Source = list[qed.Image] | int
"""Open disks that are put one behind the other, or the descriptor of a stream."""


class Target(Protocol):
    """What is copied into."""

    @property
    def messages(self) -> TextIO:
        """Where what is said about the work goes."""

    def copy(self, source: Source, how: dict[str, Any]) -> None:
        """Copy, as the library's `convert` takes it."""


@dataclass(frozen=True)
class New:
    """A new image: at a path, or on standard output."""

    program: Program
    creation: Creation
    path: str | None
    """Where; None for standard output."""
    cache: str = "writeback"
    doing: str = "converting"
    """What fails where it cannot be made, in the words of QEMU's tool."""

    @property
    def messages(self) -> TextIO:
        """Standard output, unless the image goes there."""
        return sys.stderr if self.path is None else sys.stdout

    def copy(self, source: Source, how: dict[str, Any]) -> None:
        """Copy `source` into it; where that fails, nothing is left of it."""
        if self.creation.size is not None and not isinstance(source, int):
            # Only a stream's length is not known beforehand.
            raise Failure("the new image is as large as what is copied: -o size means nothing")
        keywords = self.creation.keywords()
        target: str | int
        if self.path is None:
            del keywords["overwrite"]
            target = _standard_output()
        else:
            keywords["cache"] = self.cache
            target = self.path
        if self.creation.size is not None:
            how = how | {"length": self.creation.size}
        try:
            qed.convert(source, target, backing=self.creation.backing, **how, **keywords)
        except BrokenPipeError:
            raise
        except qed.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: qed.Error) -> Failure:
        path = self.path or "standard output"
        if not self.program.is_qemu:
            return _words.ours(error)
        if error.filename != path or error.offset is not None:
            return _words.copying(error, path)
        failure = _words.creating(self.program, error, path)
        reason = failure.text.removeprefix(f"{path}: ")
        return Failure(f"{path}: error while {self.doing}: {reason}", *failure.remarks)


@dataclass(frozen=True)
class Existing:
    """An image that is there."""

    image: Named
    is_zero: bool
    """It reads as zeroes, so they need not be written."""

    @property
    def messages(self) -> TextIO:
        """Standard output."""
        return sys.stdout

    def copy(self, source: Source, how: dict[str, Any]) -> None:
        """Copy `source` over what it holds."""
        with self.image.open("r+") as disk:
            if not isinstance(source, int) and sum(part.size for part in source) > disk.size:
                raise Failure("output file is smaller than input file")
            try:
                qed.convert(source, disk, target_is_zero=self.is_zero, **how)
            except qed.Error as error:
                if self.image.program.is_qemu:
                    raise _words.copying(error, self.image.path) from error
                raise _words.ours(error) from error


def _standard_output() -> int:
    """Return its descriptor; a terminal wants no image."""
    if sys.stdout.isatty():
        raise Failure("standard output is a terminal; an image goes to a file or a pipe")
    sys.stdout.flush()
    return sys.stdout.fileno()
