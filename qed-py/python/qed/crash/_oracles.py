"""Oracles: what must hold in every state, by name or as a function of one's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from qed._image import Image
from qed._options import Path
from qed._qed import Prepared, View
from qed.crash._image import StateImage

STRUCTURE: Final = "structure"
"""Header and tables are sound before any recovery; libqed never sets NEED_CHECK."""
NO_FOREIGN_DATA: Final = "no-foreign-data"
"""No byte from another address; stable zeroes never show the backing file."""
DURABLE: Final = "durable"
"""What was stable reads new; what was not reads, sector by sector, old or new."""
RECOVERY: Final = "recovery"
"""The state opens, read-only without a change; recovering twice is recovering once."""
LIFE_GOES_ON: Final = "life-goes-on"
"""After recovery more is written, flushed, reopened: old and new hold, the structure is clean."""
BACKING_UNTOUCHED: Final = "backing-untouched"
"""The backing file is byte for byte what it was."""
NESTED: Final = "nested"
"""All of it again after a crash inside the session that follows; see `Nested` for more depth."""
QEMU: Final = "qemu"
"""QEMU's tools check, read and write on, in any format; see `Qemu` for settings."""

DEFAULT: Final = (
    STRUCTURE,
    NO_FOREIGN_DATA,
    DURABLE,
    RECOVERY,
    LIFE_GOES_ON,
    BACKING_UNTOUCHED,
)
"""What judges every state of a QED image unless other oracles are given."""


@dataclass(frozen=True, slots=True)
class Nested:
    """The oracle `nested`, so many crashes deep."""

    depth: int = 1


@dataclass(frozen=True, slots=True)
class Qemu:
    """The oracle `qemu`, with settings."""

    jobs: int = 4
    """States judged beside each other."""
    repair: bool = True
    """Run `qemu-img check -r all` first; else recover by opening alone."""
    beside: Path | None = None
    """The directory of the backing file that the image names by a relative name."""


Own: TypeAlias = Callable[[Image, View], str | bool | None]
"""A function of the recovered image and the view of what had happened and what was stable.

It raises, or returns what is wrong or False, where the state is not right.
"""

Oracle: TypeAlias = str | Nested | Qemu | Own
"""An oracle by name, with settings, or a function of one's own."""


def prepared(oracles: Iterable[Oracle]) -> tuple[Any, ...]:
    """Return the oracles in the form that the engine takes."""
    if isinstance(oracles, str):
        raise TypeError(f"oracles are a collection; ({oracles!r},) would be one")
    return tuple(_prepared(oracle) for oracle in oracles)


def _prepared(oracle: Oracle) -> Any:
    match oracle:
        case Nested(depth=depth):
            return (NESTED, depth)
        case Qemu(jobs=jobs, repair=repair, beside=beside):
            return (QEMU, jobs, repair, None if beside is None else os.fsdecode(beside))
    return oracle


def ask(oracle: Own, disk: Prepared, view: View) -> str | bool | None:
    """Ask an oracle about an open state, and close that; the engine calls this."""
    with StateImage(disk, None) as image:
        return oracle(image, view)
