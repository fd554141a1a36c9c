"""What an exploration found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qed._qed import Tally
    from qed.crash._log import Log


@dataclass(frozen=True, slots=True)
class GuestCall:
    """A call of the guest's, as it stood when the power failed."""

    number: int
    text: str
    """What was asked for: `write 0+4096`, `flush`."""
    returned: bool
    """It had returned without an error."""
    stable: bool
    """What it did was stable."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a recorded run."""

    kind: str
    """`call`, `returned`, `call-failed` of the guest's calls; `operation`, `completed`, `failed` of
    what the disk was asked for; or `mark`."""
    number: int | None
    """The call's or the operation's number; None for a mark."""
    text: str
    """What was asked for, why it failed, or the mark's text."""


@dataclass(frozen=True, slots=True)
class Write:
    """An operation on the disk."""

    number: int
    """Its number in the log."""
    text: str
    """What it does, with its place in the file."""

    def __str__(self) -> str:
        return f"#{self.number} {self.text}"


@dataclass(frozen=True, slots=True)
class Barrier:
    """What would have had to be ordered, and was not."""

    lost: tuple[Write, ...]
    """These are not on the disk."""
    early: tuple[Write, ...]
    """These are, although they came later: a sync is missing between."""
    torn: tuple[Write, ...]
    """These are there in part, and would have to persist whole."""

    def __bool__(self) -> bool:
        return bool(self.lost or self.early or self.torn)

    def __str__(self) -> str:
        def names(writes: tuple[Write, ...]) -> str:
            return " or ".join(map(str, writes))

        if self.torn:
            return f"{names(self.torn)} must persist whole"
        if self.early:
            return f"a sync after {names(self.lost)} and before {names(self.early)}"
        return "nothing; the order itself leaves this state"


@dataclass(frozen=True, slots=True)
class Failure:
    """A state in which something does not hold, with the fewest operations out of order."""

    oracle: str
    """The name of the oracle that objects."""
    what: str
    """What it says."""
    state: str
    """The state's name; empty where no single state is to blame."""
    writes: tuple[Write, ...]
    """The operations that persist early, or in part."""
    barrier: Barrier
    """What is missing, and between which operations."""
    guest_operations: tuple[str, ...]
    """What the guest did up to the crash."""
    replay: str
    """One word that leads back to the state: see `Log.replay`."""
    report: str = field(repr=False)
    """All of it for people: verdict, timeline, missing barrier, replay."""
    _timeline: str = field(repr=False)
    _svg: str = field(repr=False)

    def timeline(self) -> str:
        """Return the picture: guest operations, writes and their fate, the missing barrier."""
        return self._timeline

    def svg(self) -> str:
        """Return the same picture as an SVG document."""
        return self._svg

    def __str__(self) -> str:
        return self.report


@dataclass(frozen=True, slots=True)
class Stats:
    """What was walked through."""

    generated: int
    """States built."""
    unique: int
    """States of distinct content."""
    judged: int
    """Judgements: a content is judged again where less is legal."""
    modes: dict[str, tuple[int, int]]
    """For each mode the states generated and judged."""
    windows: int
    """Windows of crash points."""
    sampled: int
    """Windows of which only a sample was walked."""
    largest: int
    """The most operations that a window had to choose from."""
    left_out: int
    """States that were left out for the budget."""
    exhaustive: bool
    """Every legal state was walked, as far as the modes go."""
    text: str = field(repr=False)

    def __str__(self) -> str:
        return self.text

    @classmethod
    def of(cls, tally: Tally) -> Stats:
        """Return what a tally says."""
        modes = tally.modes
        return cls(
            generated=sum(generated for generated, _ in modes.values()),
            unique=tally.unique,
            judged=sum(judged for _, judged in modes.values()),
            modes=modes,
            windows=tally.windows,
            sampled=tally.sampled,
            largest=tally.largest,
            left_out=tally.left_out,
            exhaustive=tally.is_exhaustive,
            text=str(tally),
        )


@dataclass(frozen=True, slots=True)
class Result:
    """What an exploration found; equal for equal logs, plans and seeds, whoever did the work."""

    log: Log = field(repr=False, compare=False)
    """What was explored."""
    stats: Stats
    """What was walked through."""
    digest: int
    """A number that is equal where the same contents were walked."""
    failures: tuple[Failure, ...]
    """What does not hold, in the order of the walk."""

    @property
    def ok(self) -> bool:
        """Whether everything holds in every state that was judged."""
        return not self.failures

    def assert_ok(self) -> None:
        """Raise an `AssertionError` whose text is the report, unless everything holds."""
        if self.failures:
            raise AssertionError(str(self))

    def save(self, directory: str | Path) -> list[Path]:
        """Save the log and each failure's report and picture; return the files."""
        if not self.failures:
            return []
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / f"{self.log.digest:016x}.log"]
        self.log.save(files[0])
        for number, failure in enumerate(self.failures, 1):
            for suffix, text in (("txt", f"{failure}\n"), ("svg", failure.svg())):
                files.append(folder / f"{self.log.digest:016x}-{number}.{suffix}")
                files[-1].write_text(text, encoding="utf-8")
        return files

    def __str__(self) -> str:
        told = f"{self.stats}; {len(self.failures)} failures"
        return "\n\n".join([*map(str, self.failures), told])
