"""What a row of the table is: pairs of runs, a ratio of medians, a goal, counts beside it."""

import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Run = Callable[[], float]
"""Does a side's work once and returns the seconds, or whatever else is compared."""


@dataclass(frozen=True)
class Counts:
    """What one side asked of the system, by request of the guest."""

    requests: int
    calls: dict[str, int]
    written: int
    read: int


@dataclass(frozen=True)
class Figure:
    """One comparison: ours beside theirs."""

    row: str
    work: str
    beside: str
    theirs: float | None
    ours: float
    unit: str
    """Of both numbers; "" for plain ones."""
    goal: float | None = None
    """The largest ratio wanted, or where there is nothing beside, the largest number."""

    @property
    def value(self) -> float:
        """The ratio, or ours where it stands alone."""
        return self.ours if self.theirs is None else self.ours / self.theirs

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; none where there is none."""
        return None if self.goal is None else self.value <= self.goal


@dataclass
class Result:
    """What a row gives."""

    figures: list[Figure] = field(default_factory=list)
    counts: list[tuple[str, str, str, Counts]] = field(default_factory=list)
    """Row, work, side, and what it asked of the system."""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """What every row is given."""

    folder: Path
    """On the disk that is measured; what is put there is removed afterwards."""
    pairs: int
    programs: dict[str, Path]
    """What was built for this run: "in_process" (Rust), "reads" (C)."""

    def medians(self, *sides: Run) -> list[float]:
        """Run the sides in turns, the order reversed each time, and return the medians."""
        seen: list[list[float]] = [[] for _ in sides]
        for pair in range(self.pairs):
            order = range(len(sides)) if pair % 2 == 0 else range(len(sides) - 1, -1, -1)
            for index in order:
                seen[index].append(sides[index]())
            print(".", end="", file=sys.stderr, flush=True)
        return [statistics.median(values) for values in seen]


Row = Callable[[Bench], Iterator[Result]]


def compare(
    bench: Bench,
    row: str,
    work: str,
    ours: Run,
    others: Sequence[tuple[str, Run, float | None]],
    unit: str = "ms",
) -> Result:
    """Run ours beside others, each with a goal, and return a figure for each of them."""
    mine, *theirs = bench.medians(ours, *(run for _, run, _ in others))
    scale = 1e3 if unit == "ms" else 1.0
    return Result(
        [
            Figure(row, work, name, median * scale, mine * scale, unit, goal)
            for (name, _, goal), median in zip(others, theirs, strict=True)
        ]
    )
