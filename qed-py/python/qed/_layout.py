"""How a disk lies in its file, summed up in bins: what a picture of it needs to know."""

from dataclasses import dataclass
from typing import TypeAlias

from qed._results import _Result

Shares: TypeAlias = tuple[int, int, int]
"""Bytes of data, of zeroes, and of what is left to the backing file."""


@dataclass(frozen=True, slots=True)
class Layout(_Result):
    """Sums over the extents of one image file. Guest and file are cut into bins of equal length."""

    guest_bin: int
    """Bytes of a guest bin; the last one may be shorter."""
    file_bin: int
    """Bytes of a bin of the file; the last one may be shorter."""
    total: Shares
    """All guest bins together."""
    runs: int
    """Runs of data that lie in one piece."""
    longest_run: int
    """Bytes of the longest of them."""
    backward: int
    """Runs that lie before the one that the guest has before them."""
    guest: list[Shares]
    """The guest bins, from the disk's start."""
    file: list[int]
    """Bytes of each bin of the file that hold the guest's space."""
    cells: list[int]
    """Bytes of each guest bin in each bin of the file, a row for each bin of the file."""
